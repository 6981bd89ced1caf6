"""What the README tells its reader to run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits

pytestmark = pytest.mark.xdist_group("site")

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def _block(kind: str, url: str) -> str:
    found = re.search(rf"<!-- test: {kind} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no example of {kind}"
    return found[1].replace("http://127.0.0.1:8080", url)


def _run(command: list[str], text: str, folder: Path) -> str:
    done = subprocess.run(
        command, input=text, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_python_example_runs(site, tmp_path):
    out = _run([sys.executable, "-"], _block("python", site.url), tmp_path)
    assert "#this" in out
    assert "#cutout" in out
    assert fits.getdata(tmp_path / "cutout.fits", "IMAGE").size > 100


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_shell_example_runs(site, tmp_path):
    _run(["sh", "-eu"], _block("shell", site.url), tmp_path)
    assert (tmp_path / "id.txt").read_text().startswith("ivo://")
    assert "#cutout" in (tmp_path / "links.vot").read_text()
    assert fits.getdata(tmp_path / "cutout.fits", "IMAGE").shape == (320, 320)


def test_the_first_commands_are_those_of_the_makefile():
    makefile = (Path(__file__).parents[2] / "Makefile").read_text("utf-8")
    for target in re.findall(r"^    make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_command_of_the_readme_exists(cli):
    for line in re.findall(r"^    skylane ([a-z ]+?)(?: [/-].*)?$", README, re.MULTILINE):
        cli.run(*line.split(), "--help")

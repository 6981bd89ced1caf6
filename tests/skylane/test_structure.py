"""The structure that the project keeps to."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("vodal", "obscore", "soda", "hips", "datalink", "skylane")


def test_packages_keep_to_the_import_rule():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_cutout_workers_start_without_the_web_and_the_database():
    code = (
        "import sys, soda.worker\n"
        "bad = {'starlette', 'sqlalchemy', 'uvicorn', 'apsw'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_module_says_what_it_is_for():
    silent = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "node_modules" not in path.parts and not path.read_text("utf-8").startswith('"""')
    ]
    assert not silent


def test_no_module_is_named_after_nothing():
    vague = {"utils", "helpers", "common", "manager", "misc"}
    found = [p for package in PACKAGES for p in (ROOT / package).rglob("*.py") if p.stem in vague]
    assert not found


def test_every_local_link_of_the_documents_leads_somewhere():
    broken = []
    for page in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")]:
        targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        broken += [f"{page.name}: {t}" for t in targets if not (page.parent / t).exists()]
    assert not broken

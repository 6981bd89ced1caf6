"""What the pages for users tell their readers to run."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from pyarrow import parquet

from obscore.declared.reading import read_declaration
from obscore.tap.settings import TapSettings
from vodal.testing.skies import make_survey
from vodal.uploads.settings import UploadSettings

pytestmark = pytest.mark.xdist_group("site")

DOCS = Path(__file__).parents[2] / "docs"

SHELLS = {"shell": ["sh", "-eu"], "stilts": ["sh", "-eu"], "python": [sys.executable, "-"]}


def run_blocks(page: str, kinds: str, site, folder: Path, data: Path | None = None) -> str:
    """Run the examples of one kind, or of several, in their order; give what they print."""
    text = (DOCS / page).read_text("utf-8")
    blocks = re.findall(rf"<!-- test: ({kinds}) -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert blocks, f"{page} has no example of {kinds}"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    said = ""
    for kind, block in blocks:
        code = block.replace("http://127.0.0.1:8080", site.url).replace("SITE", str(site.folder))
        code = code.replace("DATA", str(data))
        done = subprocess.run(
            SHELLS[kind], input=code, cwd=folder, env={**os.environ, "PATH": path},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout
    return said


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def dids_at(site) -> set[str]:
    return set(site.dids_around(150.1, 2.2, 1e-9))


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_shell_examples_of_tap_run(site, tmp_path):
    said = run_blocks("tap.md", "shell", site, tmp_path)
    images = rows(tmp_path / "images.csv")
    assert len(images) == len(dids_at(site)) > 0
    assert set(images[0]) == {"obs_id", "filter", "s_ra", "s_dec", "t_min"}
    assert fits.getheader(tmp_path / "images.fits", 1)["NAXIS2"] == len(site.rows)
    assert rows(tmp_path / "found.csv") == [{"name": "first", "images": str(len(images))}]
    # Without a server.
    assert "# 5 rows" in said
    assert parquet.read_table(tmp_path / "images.parquet").num_rows == len(site.rows)
    assert len(parse_single_table(tmp_path / "images.vot").to_table()) == len(site.rows)
    assert len(json.loads((tmp_path / "o.json").read_text())["data"]) == len(images)


def test_the_python_examples_of_tap_run(site, tmp_path):
    said = run_blocks("tap.md", "python", site, tmp_path)
    in_r = sum(row["filter"] == "r" for row in site.rows)
    assert f"{in_r} images in r; deg" in said
    assert "{'first'}" in said
    assert "COMPLETED" in said
    assert "#this" in said
    assert f"{len(site.rows)} rows" in said


@pytest.mark.stilts
@pytest.mark.skipif(not shutil.which("stilts"), reason="stilts is not installed")
def test_the_stilts_examples_of_tap_run(site, tmp_path):
    run_blocks("tap.md", "stilts", site, tmp_path)
    in_r = sum(row["filter"] == "r" for row in site.rows)
    assert fits.getheader(tmp_path / "r.fits", 1)["NAXIS2"] == in_r
    assert {row["name"] for row in rows(tmp_path / "found.csv")} == {"first"}


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_examples_of_uploads_run(site, tmp_path):
    run_blocks("uploads.md", "shell", site, tmp_path)
    found = rows(tmp_path / "found.csv")
    assert len(found) == len(dids_at(site))
    assert {row["weight"] for row in found} == {"2.5"}


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_examples_of_simple_image_access_run(site, tmp_path):
    said = run_blocks("sia.md", "shell|python", site, tmp_path)
    found = {did for did in dids_at(site) if did in said}
    assert found
    assert f"{site.url}/datalink/links" in said


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_examples_of_published_tables_run(site, tmp_path):
    said = run_blocks("howto/tables.md", "shell|python", site, tmp_path)
    assert "cat.stars: 3 rows" in said
    assert "Stars that were seen" in said
    assert "HD 3" in said
    images = len(dids_at(site))
    assert {"star": "HD 1", "images": str(images)} in rows(tmp_path / "seen.csv")
    declared, _ = read_declaration((tmp_path / "cat.yaml").read_text("utf-8"))
    assert declared == read_declaration((tmp_path / "stars.yaml").read_text("utf-8"))[0]
    assert "cat.stars is gone, with its 3 rows" in said


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_examples_of_explanations_run(site, tmp_path):
    said = run_blocks("explain.md", "shell|python", site, tmp_path)
    assert "found by" in said
    assert "row by row: s_fov > 0.1" in said
    assert "the kept counts answer it" in said
    assert "all rows" in said


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_examples_of_cutouts_run(site, tmp_path):
    run_blocks("soda.md", "shell|python", site, tmp_path)
    with fits.open(tmp_path / "cutout.fits") as cut:
        assert cut[0].header["CUTID"] in dids_at(site)
        assert cut[0].header["CUTSTEN"].startswith("CIRCLE")
    with fits.open(tmp_path / "stitched.fits") as stitched:
        used = set(stitched["INPUTS"].data["obs_publisher_did"].tolist())
        assert used <= {row["obs_publisher_did"] for row in site.rows if row["filter"] == "r"}


def test_the_examples_of_publishing_a_folder_run(tmp_path):
    make_survey(tmp_path / "data", exposures=2, size=96, seed=4)
    for number, path in enumerate(sorted((tmp_path / "data").glob("*.fits"))):
        path.rename(path.with_name(f"exp{number:02d}.fits"))
    site = SimpleNamespace(url="", folder=tmp_path / "site")
    said = run_blocks("howto/folder.md", "shell", site, tmp_path, tmp_path / "data")
    assert "2 rows would be written" in said
    assert "the world coordinates of HDU" in said
    assert "2 rows written" in said
    assert "# 2 rows" in said
    assert list((tmp_path / "site" / "hips").glob("deep-*/properties"))


def test_the_examples_for_operators_of_jobs_run(site, tmp_path):
    assert "phase" in run_blocks("jobs.md", "shell", site, tmp_path)


def test_every_link_between_the_pages_leads_somewhere():
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md", DOCS.parent / "ARCHITECTURE.md"]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)\s]*)\)", page.read_text("utf-8")):
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            assert path.exists(), f"{page.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
                anchors = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]
                assert anchor in anchors, f"{page.name}: {target}"


def test_every_limit_of_tap_and_uploads_is_on_its_page():
    tap, uploads = (DOCS / "tap.md").read_text("utf-8"), (DOCS / "uploads.md").read_text("utf-8")
    for name in UploadSettings.model_fields:
        assert name in uploads, name
    for name in re.findall(r"`(tap\.\w+)`", tap):
        assert name.removeprefix("tap.") in TapSettings.model_fields, name


def test_every_page_is_in_the_list_of_pages():
    listed = (DOCS / "README.md").read_text("utf-8")
    for page in [*DOCS.glob("*.md"), *DOCS.glob("howto/*.md")]:
        name = page.relative_to(DOCS).as_posix()
        assert name == "README.md" or f"]({name})" in listed, name

"""The examples of the cutout service: each has an answer, on either store, as the archive grows."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
import time
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.parse import parse_qsl, urljoin, urlsplit
from xml.etree import ElementTree as ET

import httpx
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from vodal.testing.skies import make_survey

pytestmark = [
    pytest.mark.xdist_group("soda-examples"),
    pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning"),
]

XHTML = "{http://www.w3.org/1999/xhtml}"
OF_IMAGES = {
    "circle", "polygon", "range", "picture", "compressed", "pixels", "header", "several", "job",
    "color", "stitched", "combined",
}  # fmt: skip
OF_CUBES = {"band", "polarization"}
OF_TIMES = {"time"}


def write_cube(path):
    """Write a cube of 6 channels and 4 Stokes parameters."""
    header = fits.Header()
    axes = (("RA---SIN", 150.0, -1e-3, "deg"), ("DEC--SIN", 2.0, 1e-3, "deg"),
            ("STOKES", 1.0, 1.0, ""), ("FREQ", 1e11, 1e7, "Hz"))  # fmt: skip
    for i, (ctype, value, step, unit) in enumerate(axes, 1):
        header[f"CTYPE{i}"], header[f"CRVAL{i}"], header[f"CDELT{i}"] = ctype, value, step
        header[f"CRPIX{i}"] = 6.5 if i < 3 else 1.0
        if unit:
            header[f"CUNIT{i}"] = unit
    header["DATE-OBS"], header["EXPTIME"] = "2023-02-25T06:00:00", 600.0
    data = np.arange(6 * 4 * 12 * 12, dtype=np.float32).reshape(6, 4, 12, 12)
    fits.PrimaryHDU(data, header).writeto(path)


def write_times(path):
    """Write a cube of 8 hours from 2024-03-01T00:00:00, TT, whose other cards tell another day."""
    header = fits.Header()
    axes = (("RA---TAN", 150.0, -1e-3, "deg"), ("DEC--TAN", 2.0, 1e-3, "deg"),
            ("TIME", 0.5, 1.0, "h"))  # fmt: skip
    for i, (ctype, value, step, unit) in enumerate(axes, 1):
        header[f"CTYPE{i}"], header[f"CRVAL{i}"], header[f"CDELT{i}"] = ctype, value, step
        header[f"CRPIX{i}"] = 20.5 if i < 3 else 1.0
        header[f"CUNIT{i}"] = unit
    header["MJDREF"], header["TIMESYS"] = 60370.0, "TT"
    header["DATE-OBS"], header["EXPTIME"] = "2024-02-25T06:00:00", 60.0
    fits.PrimaryHDU(np.arange(8 * 40 * 40, dtype=np.int16).reshape(8, 40, 40), header).writeto(path)


@dataclass
class Example:
    """One as the page has it."""

    params: list[tuple[str, str]]
    standard: str | None
    link: str | None
    form: list[tuple[str, str]] | None


def examples(url) -> dict[str, Example]:
    """Read the page as a client would, by its RDFa properties."""
    answer = httpx.get(f"{url}/soda/examples", timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/xhtml+xml")
    page = ET.fromstring(answer.content)
    body = page.find(f"{XHTML}body")
    assert body.attrib["vocab"] == "http://www.ivoa.net/rdf/examples#"
    found = {}
    for one in body.iterfind(".//*[@typeof='example']"):
        assert one.attrib["resource"] == f"#{one.attrib['id']}"
        assert one.findtext("*[@property='name']")
        keyed = one.findall(".//*[@property='generic-parameter']")
        assert {item.attrib["typeof"] for item in keyed} == {"keyval"}
        link, form = one.find(f".//{XHTML}a"), one.find(f".//{XHTML}form")
        found[one.attrib["id"]] = Example(
            [
                (item.findtext("*[@property='key']"), item.findtext("*[@property='value']"))
                for item in keyed
            ],
            one.findtext(".//*[@property='capability']"),
            None if link is None else urljoin(f"{url}/soda/examples", link.attrib["href"]),
            form and [(i.get("name"), i.get("value")) for i in form.iter(f"{XHTML}input")],
        )
    return found


def until(url, names):
    """Read the page again until it has the examples; it is kept for a moment."""
    end = time.monotonic() + 30
    while not names <= set(found := examples(url)):
        assert time.monotonic() < end, sorted(found)
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(request, tmp_path_factory, cli):
    """A site with a cube, then exposures in three bands; its examples at each step."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "postgres":
            patch.setenv("SKYLANE_STORE__URL", request.getfixturevalue("fresh_postgres")())
        process, url = cli.start(folder)
        empty = examples(url)
        page = httpx.get(f"{url}/soda/examples").text
        (folder / "cubes").mkdir()
        write_cube(folder / "cubes" / "a & b.fits")
        cli.run("ingest", folder / "cubes", "--site", folder)
        with_cube = until(url, OF_CUBES)
        (folder / "times").mkdir()
        write_times(folder / "times" / "t.fits")
        cli.run("ingest", folder / "times", "--site", folder)
        make_survey(folder / "survey", exposures=9, size=192, scale_arcsec=0.8, seed=3)
        cli.run("ingest", folder / "survey", "--site", folder)
        found = until(url, OF_IMAGES | OF_CUBES | OF_TIMES)
        yield SimpleNamespace(
            url=url, empty=empty, empty_page=page, with_cube=with_cube, examples=found
        )
        cli.stop(process)


def test_they_follow_what_the_archive_holds(site):
    assert site.empty == {}
    assert "holds nothing yet" in site.empty_page
    assert set(site.with_cube) == OF_CUBES | OF_IMAGES - {"combined", "color", "stitched"}
    (did,) = {dict(one.params)["ID"] for one in site.with_cube.values()}
    assert did.endswith("?a%20%26%20b.fits")
    assert set(site.examples) == OF_IMAGES | OF_CUBES | OF_TIMES


def test_each_has_an_answer_of_its_kind(site):
    found = site.examples
    with httpx.Client(timeout=60) as client:
        for name, example in found.items():
            if name == "job":
                continue
            resource = "stitched" if name == "stitched" else "sync"
            answer = client.get(f"{site.url}/soda/{resource}", params=example.params)
            assert answer.status_code == 200, (name, answer.text)
            kind = answer.headers["content-type"]
            match name:
                case "picture" | "color":
                    assert kind == "image/png"
                    Image.open(io.BytesIO(answer.content)).load()
                case "several":
                    assert kind == "application/x-tar"
                    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
                        assert len(tar.getnames()) == 3
                case _:
                    assert kind.startswith("image/fits")
                    with fits.open(io.BytesIO(answer.content)) as hdus:
                        assert hdus[0].header["CUTBY"]
            # What a person gets who follows the link.
            assert sorted(parse_qsl(urlsplit(example.link).query)) == sorted(example.params)
            assert client.get(example.link).status_code == 200
            standard = None if resource == "stitched" else "ivo://ivoa.net/std/SODA#sync-1.0"
            assert example.standard == standard


def test_what_they_cut_is_what_they_say(site):
    found = site.examples

    def get(name):
        answer = httpx.get(f"{site.url}/soda/sync", params=found[name].params, timeout=60)
        return fits.open(io.BytesIO(answer.content))

    with get("circle") as hdus:
        # A fifth of the image's diagonal.
        assert all(54 <= side <= 57 for side in hdus["IMAGE"].shape)
    with get("pixels") as hdus:
        assert hdus["IMAGE"].shape == (64, 64)
    with get("polygon") as hdus:
        assert set(hdus["OUTSIDE"].data.ravel().tolist()) == {0, 1}
    with get("header") as hdus:
        assert hdus["IMAGE"].header["CUTSEC"] == "[1:192,1:192]"
        assert hdus["IMAGE"].data.size == 0
    with get("band") as hdus:
        assert 1 <= hdus[0].shape[0] < 6
    with get("combined") as hdus:
        header = hdus[0].header
        assert header["CUTTIME"]
        assert header["CUTBAND"]
    with get("time") as hdus:
        # The fifth hour; the row of the catalogue tells of another day.
        assert hdus[0].header["CUTSEC"].endswith(",5:5]")
        assert 1 < hdus[0].shape[1] < 40
    with get("polarization") as hdus:
        assert hdus[0].header["CUTPOL"] == "I Q"
    assert dict(found["stitched"].params)["COLLECTION"] == "survey"


def test_the_job_runs_as_the_form_sends_it(site):
    example = site.examples["job"]
    assert example.standard == "ivo://ivoa.net/std/SODA#async-1.0"
    assert example.form == example.params
    data = {name: [v for n, v in example.params if n == name] for name, _ in example.params}
    made = httpx.post(f"{site.url}/soda/async", data=data, timeout=60)
    assert made.status_code == 303, made.text
    job = made.headers["location"]
    for _ in range(30):
        answer = httpx.get(job, params={"WAIT": "5"}, timeout=60).text
        if "COMPLETED" in answer:
            break
    assert "COMPLETED" in answer
    results = httpx.get(f"{job}/results").text
    hrefs = re.findall(r'href="([^"]+)"', results)
    files = [httpx.get(href).content for href in hrefs]
    assert sum(content.startswith(b"SIMPLE") for content in files) == 2


@pytest.mark.stilts
@pytest.mark.skipif(not shutil.which("stilts"), reason="stilts is not installed")
def test_capabilities_tell_of_them_and_are_valid(site, tmp_path):
    answer = httpx.get(f"{site.url}/soda/capabilities")
    root = ET.fromstring(answer.content)
    urls = {
        item.get("standardID"): item.findtext("interface/accessURL")
        for item in root.findall("capability")
    }
    assert urls["ivo://ivoa.net/std/DALI#examples"] == f"{site.url}/soda/examples"
    assert urls[None] == f"{site.url}/soda/stitched"
    (tmp_path / "capabilities.xml").write_bytes(answer.content)
    command = ["stilts", "xsdvalidate", "uselocals=true", "verbose=true"]
    done = subprocess.run(
        [*command, f"doc={tmp_path / 'capabilities.xml'}"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "Validation OK" in done.stdout + done.stderr, done.stdout + done.stderr

"""Cubes from end to end: catalogued, found by their axes, cut by what their descriptor tells."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import pyvo
from astropy.io import fits

from datalink.testing import links_faults
from hips.properties import parse_properties
from skylane.testing import call, refused

pytestmark = [
    pytest.mark.xdist_group("cubes"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

C = 299792458.0


@pytest.fixture(scope="module")
def cubes(tmp_path_factory, cli):
    """A site with one radio cube: 20 channels of 10 MHz from 100 GHz up, states I Q U V."""
    folder = tmp_path_factory.mktemp("cubes")
    header = fits.Header()
    axes = (("RA---SIN", 150.0, -1e-3, "deg"), ("DEC--SIN", 2.0, 1e-3, "deg"),
            ("STOKES", 1.0, 1.0, ""), ("FREQ", 1e11, 1e7, "Hz"))  # fmt: skip
    for i, (ctype, value, step, unit) in enumerate(axes, 1):
        header[f"CTYPE{i}"], header[f"CRVAL{i}"], header[f"CDELT{i}"] = ctype, value, step
        header[f"CRPIX{i}"] = 10.0 if i < 3 else 1.0
        if unit:
            header[f"CUNIT{i}"] = unit
    header["DATE-OBS"], header["EXPTIME"] = "2023-02-25T06:00:00", 600.0
    data = np.arange(20 * 4 * 20 * 20, dtype=np.float32).reshape(20, 4, 20, 20)
    (folder / "data").mkdir()
    fits.PrimaryHDU(data, header).writeto(folder / "data" / "cube.fits")
    cli.run("ingest", folder / "data", "--site", folder)
    process, url = cli.start(folder)
    yield SimpleNamespace(url=url, data=data, folder=folder, path=folder / "data" / "cube.fits")
    cli.stop(process)


@pytest.fixture(scope="module")
def row(cubes):
    (row,) = pyvo.dal.TAPService(f"{cubes.url}/tap").search("SELECT * FROM ivoa.obscore")
    return row


def cut(cubes, row, **params):
    given = {"ID": row["obs_publisher_did"], **params}
    return httpx.get(f"{cubes.url}/soda/sync", params=given, timeout=60)


def test_pyvo_cuts_by_the_descriptor_of_the_answer(cubes, row):
    band = (C / (1e11 + 7.4e7), C / (1e11 + 2.6e7))
    answer = row.processed(circle=(150.0, 2.0, 0.0021), band=band).read()
    with fits.open(io.BytesIO(answer)) as out:
        np.testing.assert_array_equal(out[0].data, cubes.data[3:8, :, 7:12, 7:12])


def test_the_links_tell_what_can_be_asked(cubes, row):
    (proc,) = [one for one in row.getdatalink().iter_procs() if one.semantics == "#cutout"]
    given = {param.name: param for param in proc.input_params}
    low, high = C / (1e11 + 1.95e8), C / (1e11 - 5e6)
    assert float(given["BAND"].values.min) == pytest.approx(low, rel=1e-11)
    assert float(given["BAND"].values.max) == pytest.approx(high, rel=1e-11)
    assert [value for _, value in given["POL"].values.options] == ["I", "Q", "U", "V"]
    assert float(given["TIME"].values.max) - float(given["TIME"].values.min) == pytest.approx(
        600 / 86400
    )
    # What is told is what the service takes: the whole is the whole.
    whole = cut(cubes, row, BAND=f"{low!r} {high!r}", POL=["I", "Q", "U", "V"])
    with fits.open(io.BytesIO(whole.content)) as out:
        np.testing.assert_array_equal(out[0].data, cubes.data)
    assert cut(cubes, row, BAND=f"{high * 1.0001!r} +Inf").status_code == 204


@pytest.mark.stilts
def test_stilts_finds_no_fault_in_the_links_of_a_cube(cubes, row):
    url = httpx.URL(f"{cubes.url}/datalink/links", params={"ID": row["obs_publisher_did"]})
    assert links_faults(str(url)) == []


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"POL": "U"}, np.s_[:, 2:3]),
        ({"POL": ["V", "Q"]}, np.s_[:, 1:4:2]),
        ({"TIME": "60000.25 60000.26"}, np.s_[:]),
        ({"TIME": "59999 60000.2", "POL": "I"}, None),
        ({"POL": "XX"}, None),
        ({"PIXELS": "[1:5,*,*,11:99]"}, np.s_[10:20, :, :, :5]),
        ({"PIXEL_4": "2 3", "PIXEL_2": "20 +Inf"}, np.s_[1:3, :, 19:20]),
        ({"PIXELS": "[*,*,2:3]", "POL": ["I", "Q"]}, np.s_[:, 1:2]),
        ({"PIXELS": "[21:30]"}, None),
    ],
)
def test_what_is_asked_is_what_comes(cubes, row, params, expected):
    answer = cut(cubes, row, **params)
    if expected is None:
        assert (answer.status_code, answer.content) == (204, b"")
        return
    with fits.open(io.BytesIO(answer.content)) as out:
        np.testing.assert_array_equal(out[0].data, cubes.data[expected])


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"POL": ["I", "Q", "V"]}, "POL: the states I Q V are not evenly spaced"),
        ({"PIXELS": "1:2,1:2,1:2,1:2,1:2"}, "PIXELS names 5 axes, but the image has 4"),
        ({"HDU": "MASK"}, "HDU: 'MASK' is not part of this dataset; it has 0"),
        ({"KIND": "all"}, "KIND may be DATA, HEADER"),
    ],
)
def test_what_cannot_be_is_told(cubes, row, params, words):
    answer = cut(cubes, row, **params)
    assert answer.status_code == 400
    assert answer.text.startswith(f"UsageError: {words}")


def test_a_cube_is_not_stitched(cubes, row):
    given = {"ID": row["obs_publisher_did"], "CIRCLE": "150 2 0.002"}
    answer = httpx.get(f"{cubes.url}/soda/stitched", params=given, timeout=60)
    assert answer.status_code == 400
    assert answer.text.startswith("UsageError: ID: ")
    assert "is a cube; only images are stitched" in answer.text
    procs = [proc["service_def"] for proc in row.getdatalink().iter_procs()]
    assert procs == ["soda-sync", "soda-async"]


def test_headers_alone_tell_the_size(cubes, row):
    answer = cut(cubes, row, KIND="HEADER", POL="I", PIXELS="[3:4]")
    assert answer.headers["content-type"] == "image/fits"
    header = fits.Header.fromstring(answer.content)
    assert header["CUTSEC"] == "[3:4,1:20,1:1,1:20]"
    assert header["CUTPOL"] == "I"
    assert len(answer.content) % 2880 == 0
    assert len(answer.content) <= 5760


def test_the_command_line_takes_the_same(cubes, tmp_path, cli):
    out = tmp_path / "out.fits"
    cli.run("cut", cubes.path, "--pol", "V", "--pol", "U", "--pixels", "[*,5]", "--band",
            f"{C / (1e11 + 7.4e7)!r} 1", "-p", "TABLES=1", "-o", out)  # fmt: skip
    with fits.open(out) as made:
        np.testing.assert_array_equal(made[0].data, cubes.data[:8, 2:4, 4:5])
        assert made[0].header["CUTPOL"] == "V U"
        assert made[0].header["CUTBAND"].endswith(" 1.0")


def test_channels_become_hips_that_are_served(cubes):
    said = refused("hips", "build", "--site", cubes.folder)
    assert "they have 80 planes, more than hips.max_channels (64) is" in said
    assert "--channels: '4:3' names no channels" in refused(
        "hips", "build", "--channels", "4:3", "--site", cubes.folder
    )
    said = call("hips", "build", "--channels", "3", "--workers", "1", "--site", cubes.folder)
    names = [f"data-stokes{state}-ch003" for state in "IQUV"]
    assert re.findall(r"^  (\S+): order", said, re.MULTILINE) == names
    listed = httpx.get(f"{cubes.url}/hips/list", timeout=60).text
    records = [parse_properties(record) for record in listed.strip().split("\n\n")]
    assert [record["hips_service_url"].rpartition("/")[2] for record in records] == names
    for record, mean in zip(records, cubes.data[2].mean(axis=(1, 2)), strict=True):
        assert float(record["em_max"]) == pytest.approx(C / (1e11 + 1.5e7), rel=1e-11)
        url = f"{record['hips_service_url']}/cutout"
        given = {"ra": 149.9995, "dec": 2.0005, "fov": 0.01, "width": 20, "height": 20}
        with fits.open(io.BytesIO(httpx.get(url, params=given, timeout=60).content)) as out:
            assert np.nanmean(out[0].data) == pytest.approx(mean, abs=10.0)

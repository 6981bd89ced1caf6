"""Filters and their wavelengths."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from obscore.assembly.bands import band_table
from obscore.mapping.band import BandSettings
from obscore.settings import ObsCoreSettings


@pytest.mark.parametrize(
    ("cards", "name", "low_nm", "high_nm"),
    [
        ({"FILTER": "r DECam SDSS c0002 6415.0 1480.0", "INSTRUME": "DECam"}, "r", 567.5, 715.5),
        ({"FILTER": "zd DECam k1038", "INSTRUME": "Mosaic3"}, "z", 850, 1002),
        ({"FILTER": "g.MP9401", "INSTRUME": "MegaPrime"}, "g", 415, 560),
        ({"FILTER": "g", "INSTRUME": "DECam"}, "g", 396, 548),
        ({"FILTER": "HSC-I", "INSTRUME": "Hyper Suprime-Cam"}, "i", 692, 850),
        ({"FILTER": "r_57", "INSTRUME": "LSSTCam"}, "r", 552, 691),
        ({"FILTER": "W-S-I+", "INSTRUME": "SuprimeCam"}, "i", 691, 846),
        ({"FILTER": "K", "INSTRUME": "WFCAM"}, "K", 2030, 2370),
        ({"BAND": "K"}, "Ks", 2010, 2310),
        ({"FILTER": "V"}, "V", 507, 595),
        ({"FILTER": "I"}, "I", 731, 881),
        ({"FILTER": "i"}, "i", 685, 825),
        ({"FILTER": "OG590", "TELESCOP": "UK Schmidt"}, "R", 590, 690),
        ({"FILTER1": "F606W", "FILTER2": "CLEAR2L", "INSTRUME": "ACS"}, "F606W", 480, 707),
        ({"FILTER1": "CLEAR1S", "FILTER2": "F814W", "INSTRUME": "ACS"}, "F814W", 703, 957),
        ({"FILTNAM1": "F606W", "FILTER1": 28, "INSTRUME": "WFPC2"}, "F606W", 480, 707),
        ({"PHOTMODE": "ACS WFC1 F606W"}, "F606W", 480, 707),
        ({"FILTER": "f160w", "INSTRUME": "WFC3"}, "F160W", 1400, 1671),
        ({"FILTER": "F200W", "INSTRUME": "NIRCAM"}, "F200W", 1760, 2221),
        ({"FILTER": "F444W", "PUPIL": "F470N", "INSTRUME": "NIRCAM"}, "F470N", 4681, 4733),
        ({"FILTER": "F1500W", "INSTRUME": "MIRI"}, "F1500W", 13500, 16500),
        ({"BAND": 1, "TELESCOP": "WISE"}, "W1", 3035, 3671),
        ({"CHNLNUM": 4, "INSTRUME": "IRAC"}, "I4", 6420, 9325),
    ],
)
def test_filter_of_header(row_of, cards, name, low_nm, high_nm):
    row = row_of(cards)
    assert row["filter"] == name
    assert row["em_min"] == pytest.approx(low_nm * 1e-9, rel=1e-6)
    assert row["em_max"] == pytest.approx(high_nm * 1e-9, rel=1e-6)
    assert row["em_xel"] == 1
    middle = (low_nm + high_nm) / 2
    assert row["em_res_power"] == pytest.approx(middle / (high_nm - low_nm), rel=1e-4)
    assert row["notes"] == ()


@pytest.mark.parametrize(
    ("name", "nm", "width"),
    [("F588N", 588, 0.013), ("F547M", 547, 0.09), ("F127M", 1270, 0.09), ("F1042M", 1042, 0.09)],
)
def test_hst_filters_by_their_number(name, nm, width):
    band = band_table({}).find(name, "HST WFPC2")
    assert (band.em_min_m + band.em_max_m) / 2 == pytest.approx(nm * 1e-9)
    assert band.em_max_m - band.em_min_m == pytest.approx(nm * 1e-9 * width)


@pytest.mark.parametrize(
    "cards",
    [
        {"FILTER": "_unknown_"},
        {"FILTER": "CLEAR"},
        {"FILTER": "='0,0,0,0'           / rowstart"},
        {"FILTER": ""},
        {},
    ],
)
def test_no_filter(row_of, cards):
    row = row_of(cards)
    assert row["filter"] is None
    assert row["em_min"] is None


def test_unknown_filter_keeps_its_name(row_of):
    row = row_of({"FILTER": "Al +1", "INSTRUME": "EIT"})
    assert row["filter"] == "Al +1"
    assert row["em_min"] is None


def test_cards_that_contradict_each_other_are_noted(row_of):
    row = row_of({"FILTER": "g", "BAND": "r"})
    assert row["filter"] == "g"
    assert row["notes"] == ("the header names the filter g and also r",)


def test_bands_of_the_settings(row_of):
    settings = ObsCoreSettings.model_validate(
        {
            "bands": {
                "Ha": {"min_nm": 654, "max_nm": 658},
                "g": {"min_nm": 1, "max_nm": 2, "name": "x", "instrument": "OtherCam"},
            }
        }
    )
    assert row_of({"FILTER": "HA"}, settings=settings)["em_min"] == pytest.approx(654e-9)
    assert row_of({"FILTER": "g"}, settings=settings)["filter"] == "g"
    assert row_of({"FILTER": "g", "INSTRUME": "OtherCam"}, settings=settings)["filter"] == "x"


def test_a_single_wavelength(row_of):
    assert row_of({"WAVELENG": (1.12, "mm (avoids CO 2-1)")})["em_min"] == pytest.approx(1.12e-3)
    assert row_of({"WAVELENG": 2.134e-05})["em_max"] == pytest.approx(2.134e-05)
    assert row_of({"WAVELNTH": (500.0, "[micrometer] reference")})["em_min"] == pytest.approx(5e-4)
    assert row_of({"WAVELEN": 5000.0})["em_min"] is None


def test_every_band_of_the_table_is_sound():
    data = tomllib.loads(files("obscore.assembly").joinpath("bands.toml").read_text("utf-8"))
    table = band_table({})
    seen = 0
    for system in data["system"]:
        for key, band in system["bands"].items():
            low, high = band["range"]
            assert 100 < low < high < 1e6, (system["name"], key)
            assert high / low < 3.2, (system["name"], key)
            seen += 1
    for name, (low, high) in data["hst"].items():
        number = int(name[1:4]) * (10 if int(name[1:4]) < 200 else 1)
        assert low < number < high, name
        assert table.find(name, "HST").known
    assert seen > 120


def test_table_is_shared():
    own = {"x": BandSettings(min_nm=1, max_nm=2)}
    assert band_table(own) is band_table(dict(own))

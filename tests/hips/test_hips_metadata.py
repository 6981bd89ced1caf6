"""What a HiPS says of itself: properties from the ObsCore rows, and the table of its images."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.io import fits, votable

from hips.build import build
from hips.color.build import build_color
from hips.properties import MANDATORY, RECOMMENDED, parse_properties
from hips.settings import HipsSettings
from vodal.testing.skies import make_wcs

ROWS = {
    "t_min": 60000.25, "t_max": 60000.75, "em_min": 4.1e-7, "em_max": 5.5e-7, "t_exptime": 90.0,
    "s_ra": 40.0, "s_dec": 10.0, "o_ucd": "phot.flux", "obs_creator_name": "Zoë Survey Team",
    "bib_reference": "2026A&A...1..1X", "o_unit": "ct", "facility_name": "Dome",
    "instrument_name": "Cam",
}  # fmt: skip


@pytest.fixture
def bands(tmp_path, shelf, save_image):
    """Give the HiPS of three bands; the first of two images, of which one has no times."""
    wcs = make_wcs(40.0, 10.0, 60, 0.5, distorted=False)
    folders = {}
    settings = HipsSettings(
        copyright="(c) us", copyright_url="https://us.example/c", acknowledgment="Based on us"
    )
    for band in "gri":
        shelf.items.clear()
        for number in range(2 if band == "g" else 1):
            image = np.full((60, 60), 5.0, np.float32)
            path = save_image(tmp_path / f"é{band}{number}.fits", image, wcs)
            rows = ROWS if number == 0 else {**ROWS, "t_min": None, "t_max": None, "em_max": 5.7e-7}
            shelf.put(path, **rows)
        folders[band] = build(
            shelf.items, shelf.index, tmp_path / "hips", settings,
            name=band, title=f"Sky ö {band}", creator_did=f"ivo://test.example/hips/{band}",
        ).path  # fmt: skip
    return folders


def properties(folder):
    return parse_properties((folder / "properties").read_text("utf-8"))


def test_properties_are_complete_and_from_the_rows(bands, tmp_path):
    values = properties(bands["g"])
    needed = {
        "hips_pixel_bitpix", "hips_tile_width", "hips_pixel_cut", "hips_order_min", "hips_nb_tiles",
        "moc_sky_fraction", "hips_estsize", "hips_builder", "hips_sampling", "hips_overlay",
        "hips_creator", "publisher_id", "obs_collection", "obs_copyright", "hips_pixel_scale",
        "s_pixel_scale", "client_category", "data_ucd", "bib_reference", "hips_bunit",
        "hips_data_range", "hips_skyval", "hips_hierarchy", "data_pixel_bitpix", "obs_ack",
        "obs_copyright_url",
    }  # fmt: skip
    assert {*MANDATORY, *RECOMMENDED, *needed} <= {key for key, value in values.items() if value}
    assert values["hips_creator"] == "Zoë Survey Team"
    assert values["hips_bunit"] == "ct"
    assert values["data_pixel_bitpix"] == "-32"
    assert values["hips_data_range"] == "5 5"
    assert values["publisher_id"] == "ivo://test.example"
    assert (values["obs_regime"], values["client_category"]) == ("Optical", "Image/Optical")
    assert (float(values["em_min"]), float(values["em_max"])) == (4.1e-7, 5.7e-7)
    assert (float(values["t_min"]), float(values["t_max"])) == (60000.25, 60000.75)
    assert values["data_ucd"] == "phot.flux"
    assert values["bib_reference"] == "2026A&A...1..1X"
    assert "2 images" in values["prov_progenitor"]
    made = build_color(
        bands, tmp_path, HipsSettings(), name="c", title="c", creator_did="ivo://test.example/c"
    )
    color = properties(made.path)
    assert [color[f"hips_rgb_{part}"] for part in ("red", "green", "blue")] == list("gri")
    without_fits = {
        "hips_pixel_bitpix", "hips_pixel_cut", "hips_sampling", "hips_overlay", "hips_bunit",
        "hips_data_range",
    }  # fmt: skip
    assert {*MANDATORY, *RECOMMENDED, "dataproduct_subtype"} <= set(color)
    assert without_fits.isdisjoint(color)
    for key in ("hips_creator", "data_ucd", "bib_reference", "client_category"):
        assert color[key] == values[key]


def test_who_made_it_is_the_authority_where_no_row_says_it(tmp_path, shelf, save_image):
    wcs = make_wcs(40.0, 10.0, 60, 0.5, distorted=False)
    shelf.put(save_image(tmp_path / "a.fits", np.ones((60, 60), np.float32), wcs))
    for creator, expected in (("", "test.example"), ("An observatory", "An observatory")):
        folder = build(
            shelf.items, shelf.index, tmp_path / "hips", HipsSettings(creator=creator),
            name="one", title="t", creator_did="ivo://test.example/hips/one",
        ).path  # fmt: skip
        assert properties(folder)["hips_creator"] == expected


def test_metadata_name_the_images_behind_the_hips(bands):
    with fits.open(bands["g"] / "metadata.fits") as file:
        file.verify("exception")
        assert file[0].header["OBJECT"] == "Sky ? g"
        table = file["PROGENITORS"].data
        assert table["obs_publisher_did"].tolist() == [
            f"ivo://test.example/demo??g{n}.fits" for n in range(2)
        ]
        assert table["t_exptime"].tolist() == [90.0, 90.0]
        assert table["t_min"][0] == 60000.25
        assert np.isnan(table["t_min"][1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = votable.parse(bands["g"] / "metadata.xml", verify="exception").get_first_table()
    assert rows.array["obs_publisher_did"].tolist() == [
        f"ivo://test.example/demo?ég{n}.fits" for n in range(2)
    ]
    units = {field.name: str(field.unit) for field in rows.fields if field.unit}
    assert units["em_max"] == "m"
    assert {field.ucd for field in rows.fields} >= {"meta.ref.ivoid", "pos.eq.ra"}
    # The same images give the same bytes.
    assert b"Produced" not in (bands["g"] / "metadata.fits").read_bytes()

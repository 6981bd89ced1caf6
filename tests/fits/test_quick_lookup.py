"""Tables of distortions, read of their bytes, are those that astropy reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vodal.errors import DataError
from vodal.fits.quicklookup import quick_lookup
from vodal.fits.quiet import quiet
from vodal.fits.scan import scan_file
from vodal.fits.wcs import is_of_coordinates, load_wcs
from vodal.fits.wcslib import read_wcs
from vodal.storage import LocalReader

CELESTIAL = {
    "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRVAL1": 150.0, "CRVAL2": 2.0,
    "CRPIX1": 25.0, "CRPIX2": 20.0, "CD1_1": -1e-4, "CD1_2": 2e-5, "CD2_1": 2e-5, "CD2_2": 1e-4,
    "A_ORDER": 2, "B_ORDER": 2, "A_0_2": 1e-5, "B_1_1": -2e-5,
}  # fmt: skip
CPDIS, D2IM = ["CPDIS1", "CPDIS2"], ["D2IMDIS1", "D2IMDIS2"]
ODD = st.sampled_from(
    [
        "",
        "transposed",
        "polynomial",
        "scaled",
        "whole",
        "absent",
        "error",
        "no axis",
        "old",
        "double",
    ]
)


def write(path: Path, kinds: list[str], odd: str, seed: int) -> None:
    """Write an image with tables of some kinds, and something odd about the last one."""
    rng = np.random.default_rng(seed)
    image = fits.ImageHDU(np.zeros((40, 50), np.float32), fits.Header(CELESTIAL), name="SCI")
    hdus = [fits.PrimaryHDU(), image]
    for number, kind in enumerate(kinds):
        axis, name = kind[-1], kind[:-1]
        record, extension = ("DP", "WCSDVARR") if name == "CPDIS" else ("D2IM", "D2IMARR")
        last = odd if number == len(kinds) - 1 else ""
        image.header[kind] = "polynomial" if last == "polynomial" else "Lookup"
        order = "21" if last == "transposed" else "12"
        fields = [f"EXTVER: {number + 1}", "NAXES: 2"]
        if last != "no axis":
            fields += [f"AXIS.{k}: {order[k - 1]}" for k in (1, 2)]
        for field in fields:
            image.header.append((f"{record}{axis}", field), end=True)
        if last == "error":
            image.header[f"{name[:-3] if name == 'CPDIS' else 'D2IM'}ERR{axis}"] = -1.0
        if last == "old":
            image.header["AXISCORR"] = 1
        type_ = {"whole": np.int16, "double": np.float64}.get(last, np.float32)
        table = rng.normal(0, 3, (5, 7)).astype(type_)
        hdu = fits.ImageHDU(table, name=extension, ver=number + 1)
        for key in ("CRPIX", "CRVAL", "CDELT"):
            for k in (1, 2):
                if rng.random() < 0.8:
                    hdu.header[f"{key}{k}"] = rng.choice([1.0, 2.5, 7.0])
        if last == "scaled":
            hdu.header["BSCALE"], hdu.header["BZERO"] = 2.0, 0.5
        if last != "absent":
            hdus.append(hdu)
    fits.HDUList(hdus).writeto(path, overwrite=True, output_verify="ignore")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([CPDIS, D2IM, [*CPDIS, *D2IM], [*D2IM, *CPDIS], ["CPDIS1"], ["D2IMDIS2"]]),
    ODD,
    st.integers(0, 99),
)
@example([*CPDIS, *D2IM], "", 1)
@example(CPDIS, "transposed", 2)
@example(D2IM, "scaled", 3)
def test_tables_are_read_as_astropy_reads_them_or_left_to_it(tmp_path, kinds, odd, seed):
    path = tmp_path / "a.fits"
    with quiet():
        write(path, kinds, odd, seed)
        index = scan_file(path)
        hdu = index.hdus[1]
        values = hdu.image_values.chosen(lambda keyword, _: is_of_coordinates(keyword))
        with LocalReader(path) as reader:
            lookup = quick_lookup(values, index, reader)
            found = None if lookup is None else read_wcs(values, lookup)
            if odd or len(kinds) == 1:
                assert lookup is None
                try:
                    found = load_wcs(hdu, index, reader)
                except DataError:
                    return  # as astropy refuses it
        assert found is not None
        with fits.open(path) as hdus:
            truth = WCS(hdus["SCI"].header, hdus)
        assert_same(found, truth)


def assert_same(found: WCS, truth: WCS) -> None:
    truth.wcs.set()
    assert found.wcs.compare(truth.wcs, tolerance=0.0)
    for name in ("cpdis1", "cpdis2", "det2im1", "det2im2"):
        one, other = getattr(found, name), getattr(truth, name)
        assert (one is None) == (other is None), name
        if one is not None:
            np.testing.assert_array_equal(one.data, other.data)
            for part in ("crpix", "crval", "cdelt"):
                np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    places = np.random.default_rng(5).uniform(-10.0, 60.0, (50, 2))
    np.testing.assert_array_equal(found.all_pix2world(places, 0), truth.all_pix2world(places, 0))


@pytest.mark.realdata
def test_tables_of_real_images_are_read_quickly_and_alike(real_images: Path) -> None:
    read = 0
    for path in sorted((real_images / "hst").glob("*")):
        index = scan_file(path)
        with LocalReader(path) as reader, quiet():
            for hdu in index.hdus:
                if hdu.kind != "image" or "CPDIS1" not in hdu.values or index.encoding:
                    continue
                found = load_wcs(hdu, index, reader)
                values = hdu.image_values.chosen(lambda keyword, _: is_of_coordinates(keyword))
                with fits.open(path) as hdus:
                    assert_same(found, WCS(values.header(), hdus))
                read += 1
    assert read >= 4

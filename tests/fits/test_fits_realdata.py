"""Every file of the folder of real ones: a right place on the sky, or a reason."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from vodal.errors import DataError
from vodal.fits.footprint import Footprint, footprint
from vodal.fits.index import FileIndex
from vodal.fits.opening import open_pixels
from vodal.fits.pixels import physical, read_section
from vodal.fits.planes import group_planes
from vodal.fits.quiet import quiet
from vodal.fits.scan import scan_file
from vodal.fits.wcs import celestial_axes, load_wcs, pixel_to_icrs

pytestmark = pytest.mark.realdata

FILES_REFUSED = {
    "broken/S11.fits": "Git LFS pointer",
    "derived_broken/dev_badcrc.fits.gz": "checksum",
    "derived_broken/dev_empty.fits": "empty file",
    "derived_broken/dev_html_error_page.fits": "HTML page",
    "derived_broken/dev_naxis1_negative.fits": "NAXIS1 is negative",
    "derived_broken/dev_naxis1_too_big.fits": "bytes early",
    "derived_broken/dev_truncated.fits.gz": "truncated",
    "derived_broken/dev_truncated_data.fits": "bytes early",
    "derived_broken/dev_truncated_header.fits": "cut before its END",
    "derived_broken/dev_truncated_heap.fits.fz": "bytes early",
}
COORDINATES_REFUSED = {
    "derived_broken/dev_crval_string.fits": "CRVAL1 is the text",
    "derived_broken/dev_dec_out_of_range.fits": "broken",
    "derived_broken/dev_one_axis_celestial.fits": "only one celestial axis",
    "derived_broken/dev_singular_cd.fits": "singular",
    "derived_broken/dev_unknown_ctype.fits": "projection 'XYZ'",
    "odd/efz20040301.000010_s.fits": "SOLAR-X",
}


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def accepted(folder: Path) -> Iterator[tuple[str, Path, FileIndex]]:
    for name, path in files(folder):
        try:
            yield name, path, scan_file(path)
        except DataError:
            continue


def places(path: Path, index: FileIndex) -> Iterator[tuple[int, Footprint | str]]:
    """Give the footprint of each product, or why it has none."""
    with open_pixels(path.resolve().as_uri(), index) as reader:
        for group in group_planes(index):
            hdu = index.hdus[group.hdus[0]]
            try:
                wcs = load_wcs(hdu, index, reader)
                x, y = celestial_axes(wcs)
                yield hdu.number, footprint(wcs, hdu.shape[::-1][x], hdu.shape[::-1][y])
            except DataError as error:
                yield hdu.number, error.message


def test_each_refusal_has_its_reason(real_images: Path) -> None:
    for table in (FILES_REFUSED, COORDINATES_REFUSED):
        for name, words in table.items():
            path = real_images / name
            if table is FILES_REFUSED:
                with pytest.raises(DataError, match=words):
                    scan_file(path)
            else:
                (place,) = places(path, scan_file(path))
                assert isinstance(place[1], str)
                assert words in place[1]


def test_only_what_is_no_fits_is_refused_as_a_file(real_images: Path) -> None:
    taken = {name for name, _, _ in accepted(real_images)}
    refused = {name for name, _ in files(real_images)} - taken
    assert {name for name in refused if name.endswith((".fits", ".fz", ".gz"))} == set(
        FILES_REFUSED
    )


def test_headers_and_offsets_are_astropys(real_images: Path) -> None:
    for name, path, index in accepted(real_images):
        with (
            quiet(),
            fits.open(path, disable_image_compression=True, lazy_load_hdus=False) as hdus,
        ):
            found = [(hdu.fileinfo()["hdrLoc"], hdu.fileinfo()["datLoc"]) for hdu in hdus]
        assert [(hdu.header_offset, hdu.data_offset) for hdu in index.hdus] == found, name
        for hdu in index.hdus:
            for card in hdu.image_header.cards:
                _ = card.keyword, card.value, card.comment
            assert fits.Header.fromstring(hdu.image_header.tostring())["NAXIS"] >= 0
        assert FileIndex.from_bytes(index.to_bytes()).to_bytes() == index.to_bytes()


def test_products_lie_where_the_manifest_says(real_images: Path) -> None:
    with (real_images.parent / "MANIFEST.tsv").open(encoding="utf-8") as table:
        manifest = {row["path"]: row for row in csv.DictReader(table, delimiter="\t")}
    # The manifest has these without their distortion (SIP), or its centre is no place on the sky.
    loose = ("hst/", "lsst_family/", "jwst_nircam/", "projections/Npix418374.fits")
    swapped = {"distortion/tanflip.fits"}
    checked = 0
    for name, path, index in accepted(real_images):
        row = manifest[name]
        place = next(places(path, index), None)
        if place is None or isinstance(place[1], str):
            # Broken coordinates that the manifest's simpler look let pass are named above.
            assert not row["ra_icrs"] or name in COORDINATES_REFUSED or place is None, name
            continue
        if name in swapped or not row["ra_icrs"]:
            continue
        found = place[1]
        east = (found.ra_deg - float(row["ra_icrs"]) + 180.0) % 360.0 - 180.0
        off = np.hypot(
            east * np.cos(np.deg2rad(found.dec_deg)), found.dec_deg - float(row["dec_icrs"])
        )
        limit_pixels = 40.0 if name.startswith(loose) else 1.0
        assert off * 3600.0 < limit_pixels * found.pixel_scale_arcsec, name
        checked += 1
    assert checked > 200


def test_coordinates_with_all_distortions_are_astropys(real_images: Path) -> None:
    rng = np.random.default_rng(0)
    checked = 0
    for name, path, index in accepted(real_images):
        if name.startswith(("legacysurvey_small", "unwise_epochs", "decam_dithers")):
            continue  # hundreds of the same kind
        with (
            quiet(),
            open_pixels(path.resolve().as_uri(), index) as reader,
            fits.open(path) as hdus,
        ):
            for group in group_planes(index):
                hdu = index.hdus[group.hdus[0]]
                try:
                    wcs = load_wcs(hdu, index, reader)
                    truth = WCS(hdus[hdu.number].header, hdus)
                except Exception:  # noqa: BLE001 - refused by the one or the other
                    continue
                pixels = rng.uniform(0, np.resize(hdu.shape[::-1], truth.naxis), (20, truth.naxis))
                off = wcs.all_pix2world(pixels, 0) - truth.all_pix2world(pixels, 0)
                assert not (np.abs(off) > 1e-9).any(), name
                checked += 1
    assert checked > 90


def test_pixels_are_astropys(real_images: Path) -> None:
    rng = np.random.default_rng(0)
    for name, path, index in accepted(real_images):
        if name.startswith(("legacysurvey_small", "unwise_epochs", "decals_coadd")):
            continue  # hundreds of the same kind, or large
        with (
            quiet(),
            open_pixels(path.resolve().as_uri(), index) as reader,
            fits.open(path) as hdus,
        ):
            for hdu in index.hdus:
                if hdu.kind not in {"image", "compressed"} or hdu.number > 4:
                    continue
                try:
                    truth = hdus[hdu.number].data
                except Exception:  # noqa: BLE001 - the tile is damaged
                    with pytest.raises(DataError, match="tile 50 is damaged"):
                        read_section(reader, hdu, tuple(slice(None) for _ in hdu.shape))
                    continue
                corners = [np.sort(rng.integers(0, size + 1, 2)) for size in hdu.shape]
                section = tuple(slice(int(a), int(b)) for a, b in corners)
                found = physical(read_section(reader, hdu, section), hdu.image_header)
                assert found.dtype == truth.dtype.newbyteorder("="), name
                floats = found.dtype.kind == "f"
                assert np.array_equal(found, truth[section], equal_nan=floats), name


def test_outlines_hold_their_pixels(real_images: Path) -> None:
    for name, path, index in accepted(real_images):
        with open_pixels(path.resolve().as_uri(), index) as reader:
            for group in group_planes(index)[:2]:
                hdu = index.hdus[group.hdus[0]]
                try:
                    wcs = load_wcs(hdu, index, reader)
                except DataError:
                    continue
                x_axis, y_axis = celestial_axes(wcs)
                nx, ny = hdu.shape[::-1][x_axis], hdu.shape[::-1][y_axis]
                found = footprint(wcs, nx, ny)
                x = np.unique(np.linspace(0, nx - 1, 30).round())
                y = np.unique(np.linspace(0, ny - 1, 30).round())
                ra, dec = (np.deg2rad(v) for v in pixel_to_icrs(wcs, *np.meshgrid(x, y)))
                a0, d0 = np.deg2rad(found.ra_deg), np.deg2rad(found.dec_deg)
                cosine = np.sin(dec) * np.sin(d0) + np.cos(dec) * np.cos(d0) * np.cos(ra - a0)
                reach = np.rad2deg(np.arccos(np.clip(np.nanmin(cosine), -1, 1)))
                assert reach <= found.fov_deg / 2 + 1e-6, name

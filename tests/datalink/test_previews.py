"""Previews: what they show of known pixels, and that they are made once."""

from __future__ import annotations

import asyncio
import io
import math
import os
import shutil
import threading
from dataclasses import replace

import httpx
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount

from datalink.app import create_files_app
from datalink.makers.preview import PreviewLinkMaker
from datalink.picture import make_preview, shrink, stretch
from datalink.preview import Previews
from datalink.process import DecodingProcess
from datalink.settings import DatalinkSettings
from vodal.errors import DataError
from vodal.fits.opening import open_pixels
from vodal.fits.planes import group_planes
from vodal.fits.scan import scan_file
from vodal.products import Resolver
from vodal.testing.server import serve


def written(path, data, **compression):
    if compression:
        hdus = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, **compression)])
    else:
        hdus = fits.HDUList([fits.PrimaryHDU(data)])
    hdus.writeto(path)
    index = scan_file(path)
    return index, next(hdu for hdu in index.hdus if hdu.kind in {"image", "compressed"})


def shrunk(path, data, pixels, **compression):
    index, hdu = written(path, data, **compression)
    with open_pixels(path.as_uri(), index) as reader:
        return shrink(reader, hdu, pixels)


COMPRESSIONS = {
    "plain": {},
    "rows": {"compression_type": "GZIP_2", "quantize_level": 0},
    "tiles": {"compression_type": "GZIP_2", "quantize_level": 0, "tile_shape": (32, 32)},
}


@pytest.mark.parametrize("compression", COMPRESSIONS.values(), ids=COMPRESSIONS)
@pytest.mark.parametrize("shape", [(100, 80), (64, 200), (7, 5), (1, 1), (301, 3)])
def test_a_preview_averages_blocks_of_pixels(tmp_path, compression, shape):
    rng = np.random.default_rng(1)
    data = rng.normal(size=shape).astype(np.float32)
    data[rng.random(shape) < 0.1] = np.nan
    got = shrunk(tmp_path / "x.fits", data, 40, **compression)
    step = max(1, math.ceil(max(shape) / 40))
    assert got.shape == tuple(math.ceil(size / step) for size in shape)
    all_rows = "tile_shape" in compression
    for row in range(got.shape[0]):
        start, stop = row * step, min((row + 1) * step, shape[0])
        if not all_rows and step > 4:
            start = max(start, (start + stop - 4) // 2)
            stop = min(start + 4, stop)
        for column in range(got.shape[1]):
            block = data[start:stop, column * step : (column + 1) * step]
            known = block[np.isfinite(block)].astype(np.float64)
            if known.size:
                assert got[row, column] == pytest.approx(known.mean(), rel=1e-5, abs=1e-6)
            else:
                assert np.isnan(got[row, column])


def test_scaled_integers_and_blanks_are_physical(tmp_path):
    data = np.array([[1, 2], [-32768, 4]], np.int16)
    hdu = fits.PrimaryHDU(data)
    hdu.header.update({"BZERO": 10.0, "BSCALE": 2.0, "BLANK": -32768})
    path = tmp_path / "x.fits"
    path.write_bytes(
        hdu.header.tostring().encode() + data.astype(">i2").tobytes().ljust(2880, b"\0")
    )
    index = scan_file(path)
    with open_pixels(path.as_uri(), index) as reader:
        got = shrink(reader, index.hdus[0], 16)
    np.testing.assert_array_equal(got, [[12, 14], [np.nan, 18]])


def test_a_cube_shows_its_middle_plane_and_a_stokes_axis_its_first(tmp_path):
    data = np.arange(3 * 11 * 4 * 5, dtype=np.float32).reshape(3, 11, 4, 5)
    got = shrunk(tmp_path / "x.fits", data, 16)
    np.testing.assert_array_equal(got, data[0, 5])


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((3, 4)),
        np.full((3, 4), np.nan),
        np.full((3, 4), np.inf),
        np.array([[1e30, -1e30], [0, 3.4e38]]),
        np.array([[5.0]]),
        np.array([[0.0] * 999 + [1.0]]),
    ],
)
def test_any_values_make_a_picture(values):
    grey = stretch(values.astype(np.float32))
    assert grey.shape == (*values.shape, 2)
    assert ((grey[..., 1] == 255) == np.isfinite(values)).all()


def test_the_stretch_keeps_order_and_shows_faint_sources():
    rng = np.random.default_rng(2)
    values = rng.normal(100, 1, (200, 200)).astype(np.float32)
    values[100, 100], values[50:53, 50:53] = 1e5, 115
    grey = stretch(values)[..., 0].astype(int)
    order = np.argsort(values, axis=None)
    assert (np.diff(grey.ravel()[order]) >= 0).all()
    assert grey[51, 51] > np.median(grey) + 50
    assert grey.min() == 0
    assert grey.max() == 255


def test_the_sky_is_not_upside_down(tmp_path):
    data = np.zeros((20, 30), np.float32)
    data[2, 5] = 100  # near the lower left in FITS's sense
    index, hdu = written(tmp_path / "x.fits", data)
    png = make_preview((tmp_path / "x.fits").as_uri(), index, hdu.number, 64)
    picture = np.asarray(Image.open(io.BytesIO(png)))
    assert picture.shape == (20, 30, 2)
    assert np.unravel_index(picture[..., 0].argmax(), (20, 30)) == (17, 5)


def test_what_is_no_image_is_a_data_error(tmp_path):
    for number, data in enumerate([None, np.zeros(5, np.float32)]):
        path = tmp_path / f"{number}.fits"
        fits.PrimaryHDU(data).writeto(path)
        with pytest.raises(DataError):
            make_preview(path.as_uri(), scan_file(path), 0, 64)
    with pytest.raises(DataError):
        make_preview(path.as_uri(), scan_file(path), 7, 64)


def test_previews_of_the_survey_come_over_http_and_are_kept(survey_resolver, tmp_path):
    limits = DatalinkSettings(preview_pixels=64, thumbnail_pixels=32)
    files = create_files_app(survey_resolver, limits, cache=tmp_path)
    app = Starlette(
        routes=[Mount("/files", files)], lifespan=lambda _: files.router.lifespan_context(files)
    )
    (did, product), *_ = survey_resolver.products.items()
    with serve(app) as running:
        link, larger, thumbnail = PreviewLinkMaker().links(product, running.url)
        for other, size in ((larger, (256, 256)), (thumbnail, (32, 32))):
            picture = Image.open(io.BytesIO(httpx.get(other.access_url, timeout=60).content))
            assert picture.size == size
        shutil.rmtree(tmp_path / "previews")
        answer = httpx.get(link.access_url, timeout=60)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == link.content_type == "image/png"
        picture = Image.open(io.BytesIO(answer.content))
        assert picture.size == (64, 64)
        (kept,) = (tmp_path / "previews").glob("*/*.png")
        assert kept.read_bytes() == answer.content
        kept.write_bytes(b"kept")
        assert httpx.get(link.access_url).content == b"kept"
        etag = answer.headers["etag"]
        again = httpx.get(link.access_url, headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        # Another version of the file has another picture.
        survey_resolver.products[did] = replace(product, version="other")
        changed = httpx.get(link.access_url, headers={"If-None-Match": etag}, timeout=60)
        assert changed.status_code == 200
        assert changed.content == answer.content
        assert httpx.get(f"{running.url}/files/preview/nothing").status_code == 404


def test_a_damaged_file_is_an_error_in_words(resolver, tmp_path):
    path = tmp_path / "x.fits"
    fits.PrimaryHDU(np.zeros((100, 100), np.float32)).writeto(path)
    product = resolver.add_fits("ivo://a/b", path)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[:10_000])
    os.utime(path, ns=times)

    async def run():
        process = DecodingProcess(DatalinkSettings())
        previews = Previews(resolver, DatalinkSettings(), tmp_path / "cache", process)
        try:
            with pytest.raises(DataError):
                await previews.png(product)
        finally:
            await previews.close()
            await process.close()

    asyncio.run(run())


def test_many_who_ask_at_once_have_it_made_once(resolver, tmp_path):
    path = tmp_path / "x.fits"
    fits.PrimaryHDU(np.zeros((10, 10), np.float32)).writeto(path)
    product = resolver.add_fits("ivo://a/b", path)
    asked = []

    class Counting(Resolver):
        def index(self, wanted):
            asked.append(threading.get_ident())
            return resolver.index(wanted)

    async def run():
        process = DecodingProcess(DatalinkSettings())
        previews = Previews(Counting(), DatalinkSettings(), tmp_path / "cache", process)
        try:
            return await asyncio.gather(*(previews.png(product) for _ in range(10)))
        finally:
            await previews.close()
            await process.close()

    assert len(set(asyncio.run(run()))) == 1
    assert len(asked) == 1


@pytest.mark.realdata
def test_every_real_image_has_a_picture_or_a_reason(real_images):
    made = 0
    for path in sorted(path for path in real_images.rglob("*") if path.is_file())[::8]:
        try:
            index = scan_file(path)
            numbers = [group.hdus[0] for group in group_planes(index)[:1]]
        except DataError:
            continue
        for number in numbers:
            picture = Image.open(io.BytesIO(make_preview(path.as_uri(), index, number, 128)))
            assert 1 <= max(picture.size) <= 128
            made += 1
    assert made > 10

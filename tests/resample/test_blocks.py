"""Blocks of any size on grids of any WCS: the mapping against wcslib, pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from vodal.fits.wcs import pixel_to_icrs
from vodal.resample.block import Layout
from vodal.resample.canvas import Canvas
from vodal.resample.grid import TOLERANCE_PIXELS, pixel_grid
from vodal.resample.mapping import ImageMapping
from vodal.testing.skies import make_wcs

SHAPE = (300, 260)


@dataclass
class Window:
    """A part of a grid whose first pixel is (x0, y0)."""

    wcs: WCS
    layout: Layout
    x0: int = 0
    y0: int = 0
    seed: int = 1

    def sky(self, u, v):
        return pixel_to_icrs(self.wcs, v - 0.5 + self.x0, u - 0.5 + self.y0)


def target(ra, dec, width, height, scale=0.3, kind="TAN", rotation=0.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [f"RA---{kind}", f"DEC--{kind}"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [width / 2 + 0.5, height / 2 + 0.5]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    c, s = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    wcs.wcs.pc = [[c, -s], [s, c]]
    wcs.wcs.set()
    return wcs


def places(grid, layout):
    """Give the image pixel of each pixel of a block as the canvas finds it; NaN where none."""
    x = np.full((layout.height, layout.width), np.nan)
    y = x.copy()
    for u in range(layout.height):
        for v in range(layout.width):
            a, b = u // grid.step, v // grid.step
            if not grid.interpolate[a, b]:
                continue
            f, g = (u + 0.5) / grid.step - a, (v + 0.5) / grid.step - b
            for out, n in ((x, grid.x), (y, grid.y)):
                out[u, v] = (n[a, b] * (1 - f) + n[a + 1, b] * f) * (1 - g) + (
                    n[a, b + 1] * (1 - f) + n[a + 1, b + 1] * f
                ) * g
    x[grid.exact_u, grid.exact_v] = grid.exact_x
    y[grid.exact_u, grid.exact_v] = grid.exact_y
    return x, y


@settings(max_examples=30, deadline=None)
@given(
    ra=st.one_of(st.floats(0, 359.99), st.just(0.0)),
    dec=st.one_of(st.floats(-89.99, 89.99), st.sampled_from([90.0, -90.0, 0.0])),
    height=st.integers(1, 140),
    width=st.integers(1, 140),
    kind=st.sampled_from(["TAN", "SIN", "ZEA", "STG", "ARC"]),
    rotation=st.floats(0, 360),
    corner=st.tuples(st.integers(-60, 60), st.integers(-60, 60)),
)
def test_every_pixel_of_any_block_is_mapped_right(ra, dec, height, width, kind, rotation, corner):
    image = make_wcs(ra, dec, SHAPE[0], 0.25, 40.0)
    wcs = target(ra, dec, width, height, kind=kind, rotation=rotation)
    block = Window(wcs, Layout(height, width), *corner)
    grid = pixel_grid(ImageMapping(image), block, SHAPE)
    rows, columns = np.indices((height, width))
    sky = wcs.all_pix2world(columns.ravel() + corner[0], rows.ravel() + corner[1], 0)
    true_x, true_y = (
        k.reshape(height, width) for k in image.all_world2pix(*sky, 0, tolerance=1e-7, maxiter=60)
    )
    inside = (true_x > -0.5) & (true_y > -0.5)
    inside &= (true_x < SHAPE[1] - 0.5) & (true_y < SHAPE[0] - 0.5)
    if grid is None:
        assert not inside.any()
        return
    assert grid.exact_u.size == 0 or (grid.exact_u.max() < height and grid.exact_v.max() < width)
    x, y = places(grid, block.layout)
    off = np.hypot(x - true_x, y - true_y)[inside]
    assert off.max(initial=0.0) < TOLERANCE_PIXELS


@pytest.mark.parametrize("sampling", ["bilinear", "lanczos3"])
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("corner", [(0, 0), (170, 90), (-30, -40), (40, 200)])
def test_the_part_that_a_block_reaches_gives_the_same_as_the_whole(sampling, flipped, corner):
    image = np.random.default_rng(3).random(SHAPE, np.float32)
    image[100:104, 50:60] = np.nan
    mapping = ImageMapping(make_wcs(10.0, 60.0, SHAPE[0], 0.25, 30.0))
    layout = Layout(117, 93, flipped)
    block = Window(target(10.0, 60.0, 200, 200), layout, *corner)
    grid = pixel_grid(mapping, block, SHAPE)
    assert grid is not None
    whole = Canvas(layout, sampling)
    whole.add(image, grid)
    x0, x1, y0, y1 = grid.reach(SHAPE)
    assert (x1 - x0) * (y1 - y0) < image.size
    part = Canvas(layout, sampling)
    part.add(np.ascontiguousarray(image[y0:y1, x0:x1]), grid.moved(x0, y0))
    first, second = whole.finish(), part.finish()
    assert np.isfinite(first).sum() > 1000
    np.testing.assert_allclose(first, second, rtol=1e-6)
    np.testing.assert_array_equal(whole.weights > 0, part.weights > 0)


def test_rows_are_written_in_the_order_that_the_block_asks_for():
    image = np.random.default_rng(4).random((64, 64), np.float32)
    wcs = target(20.0, -30.0, 64, 64)
    made = []
    for flipped in (False, True):
        layout = Layout(64, 64, flipped)
        canvas = Canvas(layout)
        canvas.add(image, pixel_grid(ImageMapping(wcs), Window(wcs, layout), image.shape))
        made.append(canvas.finish())
    np.testing.assert_allclose(made[0], image, atol=1e-4)
    np.testing.assert_array_equal(made[0], made[1][::-1])

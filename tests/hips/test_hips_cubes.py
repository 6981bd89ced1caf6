"""HiPS of cubes: each channel is the HiPS of its plane, and made of that plane's bytes alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from hips.build import build
from hips.channels import ChannelList
from hips.check import Level, check_hips
from hips.choice import ChannelChoice
from hips.collection import build_collection
from hips.cubes import CubeHips
from hips.links import HipsLinks
from hips.part import Part
from hips.properties import parse_properties
from hips.recipe import BUILD_FOLDER
from hips.settings import HipsSettings
from hips.shown import ShownHips
from hips.testing import served_files
from hips.tiles.tree import TileTree
from vodal.errors import DataError, UsageError
from vodal.fits.cubes import WAVELENGTH, ChannelAxis
from vodal.fits.opened import OpenImage
from vodal.links import Asked
from vodal.resample.reading import good_pixels

JAR = Path("/usr/share/java/aladin.jar")
SIZE = 60
FIRST_HZ, STEP_HZ = 1.0e11, 1.0e7
CHANNELS = 6
OF_AXIS_3 = re.compile(
    r"(NAXIS|CTYPE|CRVAL|CRPIX|CDELT|CUNIT|CROTA)[3-9]|(CD|PC)(0?[3-9]_?0?\d|0?\d_?0?[3-9])|WCSAXES"
)


def star_of(channel):
    """Give where the star of a channel is: ICRS degrees."""
    return 150.0 + 0.004 * (channel - 2.5), 2.0 - 0.006 * (channel - 2.5)


def sky_header(ra=150.0, dec=2.0, size=SIZE, step=0.001):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [ra, dec]
    wcs.wcs.crpix, wcs.wcs.cdelt = [size / 2, size / 2 + 1], [-step, step]
    return wcs


def plane_of(wcs, star, seed, size=SIZE):
    """Give an image with one star and noise."""
    y, x = np.indices((size, size))
    sx, sy = wcs.all_world2pix(*star, 0)
    light = 1000.0 * np.exp(-0.5 * ((x - sx) ** 2 + (y - sy) ** 2) / 1.5**2)
    noise = np.random.default_rng(seed).normal(0, 1, x.shape)
    return (light + noise).astype(np.float32)


def cube_of(planes, wcs, order, **axes):
    """Make an HDU of planes (..., y, x), with the axes of FITS in an order, the sky's first.

    Each further axis is a list of CTYPE, unit, value at its first pixel and step.
    """
    names = ["x", "y", *reversed(axes)]
    header = fits.Header()
    for i, name in enumerate(order, 1):
        if name in axes:
            ctype, unit, value, step = axes[name]
            reference = 1.0
        else:
            k = names.index(name)
            ctype, unit, value, step = (
                wcs.wcs.ctype[k], "deg", float(wcs.wcs.crval[k]), float(wcs.wcs.cdelt[k])
            )  # fmt: skip
            reference = float(wcs.wcs.crpix[k])
        header[f"CTYPE{i}"], header[f"CUNIT{i}"] = ctype, unit
        header[f"CRPIX{i}"], header[f"CRVAL{i}"], header[f"CDELT{i}"] = reference, value, step
    header["RADESYS"] = "ICRS"
    # numpy's axes are the reverse of those of FITS.
    have = [*axes, "y", "x"]
    return np.transpose(planes, [have.index(name) for name in reversed(order)]), header


@pytest.fixture(scope="module")
def sky(tmp_path_factory, new_shelf):
    """Give two cubes that overlap on the sky and in frequency, their shelf and their planes.

    The second, tile-compressed, runs down in frequency along its first axis, a fifth of a channel
    off.
    """
    folder = tmp_path_factory.mktemp("sky")
    shelf = new_shelf()
    planes: dict[tuple[int, str], np.ndarray] = {}
    wcses = {"a": sky_header(), "b": sky_header(150.02, 2.01)}
    for name, numbers in (("a", [0, 1, 2, 3]), ("b", [5, 4, 3, 2])):
        wcs = wcses[name]
        for number in numbers:
            planes[number, name] = plane_of(wcs, star_of(number), 100 * number + ord(name))
        stack = np.stack([planes[number, name] for number in numbers])
        if name == "a":
            axis = ("FREQ", "Hz", FIRST_HZ, STEP_HZ)
            data, header = cube_of(stack, wcs, ("x", "y", "f"), f=axis)
            path = folder / "a.fits"
            fits.PrimaryHDU(data, header).writeto(path)
        else:
            axis = ("FREQ", "GHz", (FIRST_HZ + 5.2 * STEP_HZ) / 1e9, -STEP_HZ / 1e9)
            data, header = cube_of(stack, wcs, ("f", "x", "y"), f=axis)
            path = folder / "b.fits.fz"
            hdu = fits.CompImageHDU(
                data, header, compression_type="GZIP_1", tile_shape=(10, SIZE, 1),
                quantize_level=0,
            )  # fmt: skip
            fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
        shelf.put(path, dataproduct_type="cube", t_exptime=100.0 if name == "a" else 300.0)
    made = build_collection(shelf, shelf, "demo", folder / "hips", HipsSettings())
    return {"folder": folder, "shelf": shelf, "planes": planes, "wcs": wcses, "made": made}


def pixels(folder):
    """Give what is served of pixels, and the map of the sky."""
    served, _ = served_files(folder)
    return {name: data for name, data in served.items() if name[:6] in {"Norder", "Moc.fi"}}


def test_each_channel_is_byte_for_byte_the_hips_of_its_plane(sky, tmp_path, new_shelf):
    assert [item.name for item in sky["made"]] == [f"demo-ch00{n}" for n in range(1, 7)]
    assert [item.images for item in sky["made"]] == [1, 1, 2, 2, 1, 1]
    assert all(item.notes == () for item in sky["made"])
    for channel in (0, 2, 5):
        shelf = new_shelf()
        for name, exposure_s in (("a", 100.0), ("b", 300.0)):
            if (channel, name) in sky["planes"]:
                path = tmp_path / f"{name}{channel}.fits"
                header = sky["wcs"][name].to_header()
                fits.PrimaryHDU(sky["planes"][channel, name], header).writeto(path)
                shelf.put(path, t_exptime=exposure_s)
        flat = build(
            shelf.items, shelf.index, tmp_path, HipsSettings(), name=f"flat{channel}",
            title="A plane", creator_did="ivo://test.example/hips/flat",
        )  # fmt: skip
        here = pixels(sky["folder"] / "hips" / f"demo-ch{channel + 1:03d}")
        assert here == pixels(flat.path)
        assert len(here) > 10


def test_the_mean_of_channels_is_that_of_their_planes(sky, tmp_path, new_shelf):
    settings = HipsSettings(cubes="mean", channels={"demo": "2:4"}, max_channels=1)
    cubes, flats = sky["shelf"], new_shelf()
    (made,) = build_collection(cubes, cubes, "demo", tmp_path / "hips", settings)
    for name, exposure_s in (("a", 100.0), ("b", 300.0)):
        # In the order of the file, so that sums are the same bit for bit.
        numbers = [1, 2, 3] if name == "a" else [3, 2]
        mean = np.mean([sky["planes"][n, name] for n in numbers], axis=0, dtype=np.float64)
        path = tmp_path / f"{name}.fits"
        header = sky["wcs"][name].to_header()
        fits.PrimaryHDU(mean.astype(np.float32), header).writeto(path)
        flats.put(path, t_exptime=exposure_s)
    flat = build(
        flats.items, flats.index, tmp_path, HipsSettings(), name="flat", title="A mean",
        creator_did="ivo://test.example/hips/flat",
    )  # fmt: skip
    assert (made.name, made.images) == ("demo-mean", 2)
    assert pixels(made.path) == pixels(flat.path)
    values = parse_properties((made.path / "properties").read_text())
    assert values["obs_title"] == "demo, mean of 3 channels"
    ends = (np.array([FIRST_HZ + 3.7 * STEP_HZ, FIRST_HZ + 0.5 * STEP_HZ]) * u.Hz).to_value(
        u.m, u.spectral()
    )
    assert float(values["em_min"]) == pytest.approx(ends[0], rel=1e-9)
    assert float(values["em_max"]) == pytest.approx(ends[1], rel=1e-9)
    assert check_hips(made.path) == []


def test_a_channel_has_its_own_star(sky):
    for channel, item in enumerate(sky["made"]):
        tree = TileTree(item.path)
        best, place = -np.inf, None
        for npix in tree.tiles(item.order, "fits"):
            with fits.open(tree.path(item.order, npix, "fits")) as file:
                data = file[0].data
                at = np.unravel_index(np.nanargmax(data), data.shape)
                if data[at] > best:
                    best, place = data[at], WCS(file[0].header).all_pix2world(at[1], at[0], 0)
        ra, dec = star_of(channel)
        off = np.hypot(
            (float(place[0]) % 360.0 - ra) * np.cos(np.deg2rad(dec)), float(place[1]) - dec
        )
        assert best > 500
        assert off * 3600.0 < 5.0


def test_properties_are_those_of_the_channel(sky, lint):
    for channel, item in enumerate(sky["made"]):
        values = parse_properties((item.path / "properties").read_text())
        # As the cubes have it: the second is a fifth of a channel off.
        low = FIRST_HZ + (channel - 0.5 + (0.2 if channel > 3 else 0.0)) * STEP_HZ
        high = FIRST_HZ + (channel + 0.5 + (0.2 if channel > 1 else 0.0)) * STEP_HZ
        ends = (np.array([high, low]) * u.Hz).to_value(u.m, u.spectral())
        assert float(values["em_min"]) == pytest.approx(ends[0], rel=1e-9)
        assert float(values["em_max"]) == pytest.approx(ends[1], rel=1e-9)
        assert values["obs_title"].startswith(f"demo, channel {channel + 1}, 100")
        assert values["obs_title"].endswith(" GHz")
        assert values["dataproduct_type"] == "image"
        assert values["obs_regime"] == "Millimeter"
        assert check_hips(item.path) == []
    report = lint(sky["made"][2].path)
    assert "IVOA HiPS 1.0 compatible" in report, report
    assert "ERROR" not in report, report


def test_a_cube_is_linked_to_the_hips_of_its_channels(sky):
    (tmp := sky["folder"] / "hips" / "demo-chart").mkdir()
    (tmp / "properties").write_text("obs_title = no channel\n")
    for product, numbers in zip(sky["shelf"].items, ([1, 2, 3, 4], [3, 4, 5, 6]), strict=True):
        hz = FIRST_HZ + np.array([numbers[0] - 1.4, numbers[-1] - 0.4]) * STEP_HZ
        ends = (hz[::-1] * u.Hz).to_value(u.m, u.spectral()).tolist()
        row = {**product.obscore, "em_min": ends[0], "em_max": ends[1]}
        one = replace(product, obscore=row)
        maker = HipsLinks(ShownHips(sky["folder"] / "hips"), {})
        links = maker.links_of(Asked([one], "https://x.example", sky["shelf"]))[one.did]
        assert [link.access_url for link in links] == [
            f"https://x.example/hips/demo-ch{number:03d}/" for number in numbers
        ]
        assert f"'demo, channel {numbers[0]}, 100" in links[0].description
    shutil.rmtree(tmp)


@pytest.mark.skipif(
    not JAR.is_file() or not shutil.which("java"), reason="Debian's aladin package is not installed"
)
def test_hipsgen_puts_a_cube_together_of_the_channels(sky, tmp_path):
    out = tmp_path / "cube"
    done = subprocess.run(
        ["java", "-Djava.awt.headless=true", "-jar", str(JAR), "-hipsgen",
         f"in={';'.join(str(item.path) for item in sky['made'])}", f"out={out}",
         "creator_did=ivo://test.example/hips/cube", "CUBE"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    values = parse_properties((out / "properties").read_text())
    assert (values["dataproduct_type"], values["hips_cube_depth"]) == ("cube", "6"), done.stdout
    for plane, item in enumerate(sky["made"]):
        behind = f"_{plane}" if plane else ""
        tiles = [*item.path.glob("Norder*/Dir*/Npix*"), *item.path.glob("Norder*/Allsky*")]
        assert len(tiles) > 10
        for path in tiles:
            told = path.relative_to(item.path).with_name(f"{path.stem}{behind}{path.suffix}")
            assert (out / told).read_bytes() == path.read_bytes()
    assert not [finding for finding in check_hips(out) if finding.level == Level.ERROR]


def test_only_the_bytes_of_a_plane_are_read(sky, tmp_path, shelf):
    plain, turned = sky["shelf"].items
    with fits.open(sky["folder"] / "a.fits") as file:
        hdu = fits.CompImageHDU(
            file[0].data, file[0].header, compression_type="GZIP_1", tile_shape=(1, 10, SIZE),
            quantize_level=0,
        )  # fmt: skip
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits.fz")
    tiled = shelf.put(tmp_path / "a.fits.fz")
    indexes = {**sky["shelf"].indexes, **shelf.indexes}
    for product, key in ((plain, (1, "a")), (tiled, (1, "a")), (turned, (4, "b"))):
        image = OpenImage(product.uri, indexes[product.did], product.hdus, planes=((1,),))
        values = image.section(image.hdu, slice(0, SIZE), slice(0, SIZE))
        image.close()
        np.testing.assert_array_equal(values, sky["planes"][key])
        tiles = image.hdu.tiles
        whole = 4 * SIZE * SIZE * 4 if tiles is None else int(tiles.lengths.sum())
        assert 0 < image.tally.needed_bytes < 1.1 * whole / 4
        # Where the planes alternate in the file, holes smaller than a read is worth are read too.
        assert product is turned or image.tally.read_bytes < 1.1 * whole / 4
    with pytest.raises(DataError, match=r"it has no plane \(4,\)"):
        OpenImage(plain.uri, indexes[plain.did], plain.hdus, planes=((4,),))
    with pytest.raises(DataError, match="it is a cube"):
        OpenImage(plain.uri, indexes[plain.did], plain.hdus)


@pytest.mark.parametrize(
    "order", [("x", "y", "f", "s"), ("s", "y", "f", "x"), ("y", "s", "x", "f")]
)
def test_states_and_channels_with_axes_in_any_order(tmp_path, shelf, order):
    wcs = sky_header(size=24)
    planes = np.stack([
        np.stack([plane_of(wcs, (150.0, 2.0), 7 * s + f, 24) * (s + 1) for f in range(2)])
        for s in range(3)
    ])  # fmt: skip
    axes = {"s": ("STOKES", "", 1.0, 1.0), "f": ("WAVE", "nm", 500.0, 10.0)}
    data, header = cube_of(planes, wcs, order, **axes)
    fits.PrimaryHDU(data, header).writeto(tmp_path / "c.fits")
    shelf.put(tmp_path / "c.fits", dataproduct_type="cube", filter="z")
    settings = HipsSettings(channels={"demo": "2"}, photometry=False)
    made = build_collection(shelf, shelf, "demo", tmp_path / "hips", settings)
    assert [item.name for item in made] == [f"demo-stokes{s}-ch002" for s in "IQU"]
    values = parse_properties((made[1].path / "properties").read_text())
    assert values["obs_title"] == "demo z, Stokes Q, channel 2, 510 nm"
    assert float(values["em_min"]) == pytest.approx(5.05e-7)
    for s, item in enumerate(made):
        product = shelf.items[0]
        flat = planes[s, 1] if order.index("x") < order.index("y") else planes[s, 1].T
        image = OpenImage(
            product.uri, shelf.indexes[product.did], product.hdus,
            planes=(tuple({"s": s, "f": 1}[name] for name in reversed(order) if name in "sf"),),
        )  # fmt: skip
        np.testing.assert_array_equal(image.section(image.hdu, slice(0, 24), slice(0, 24)), flat)
        image.close()
        assert check_hips(item.path) == []


def test_the_mask_of_a_plane_or_of_all_leaves_its_pixels_out(tmp_path, shelf):
    wcs = sky_header(size=24)
    planes = np.stack([plane_of(wcs, (150.0, 2.0), f, 24) for f in range(2)])
    axis = ("FREQ", "Hz", FIRST_HZ, STEP_HZ)
    data, header = cube_of(planes, wcs, ("x", "y", "f"), f=axis)
    for name, mask in (
        ("cube", np.stack([np.zeros((24, 24), np.int16), np.eye(24, dtype=np.int16)])),
        ("flat", np.eye(24, dtype=np.int16)),
    ):
        head = header.copy() if mask.ndim == 3 else wcs.to_header()
        head["MP_BAD"] = 0
        path = tmp_path / f"{name}.fits"
        fits.HDUList([
            fits.PrimaryHDU(), fits.ImageHDU(data, header, name="SCI"),
            fits.ImageHDU(mask, head, name="MASK"),
        ]).writeto(path)  # fmt: skip
        product = shelf.put(path)
        index = shelf.indexes[product.did]
        for plane, masked in ((0, name == "flat"), (1, True)):
            image = OpenImage(product.uri, index, product.hdus, planes=((plane,),))
            flags = image.section(image.mask(), slice(0, 24), slice(2, 20))
            image.close()
            np.testing.assert_array_equal(flags, np.eye(24)[:, 2:20] * masked)
        image = OpenImage(product.uri, index, product.hdus, planes=((0,), (1,)))
        (mean,) = good_pixels(image, image.mask(), 1)
        image.close()
        used = np.stack([planes[0], np.where(np.eye(24) > 0, np.nan, planes[1])])
        if name == "flat":
            used[0][np.eye(24) > 0] = np.nan
        known = np.isfinite(used).any(axis=0)
        np.testing.assert_array_equal(np.isfinite(mean), known)
        expected = np.nanmean(used[:, known], axis=0, dtype=np.float64).astype(np.float32)
        np.testing.assert_array_equal(mean[known], expected)


def save_cube(path, number, level=100.0):
    """Write one of a row of cubes of two channels."""
    wcs = sky_header(40.0 + 0.25 * number, 10.0, 120, 0.0005)
    data = np.random.default_rng(number).normal(level, 5.0, (2, 120, 120)).astype(np.float32)
    axis = ("FREQ", "Hz", FIRST_HZ, STEP_HZ)
    data, header = cube_of(data, wcs, ("x", "y", "f"), f=axis)
    fits.PrimaryHDU(data, header).writeto(path / f"{number}.fits", overwrite=True)
    return path / f"{number}.fits"


def test_a_changed_cube_makes_anew_the_tiles_it_touches(tmp_path, shelf):
    settings = HipsSettings(order_shard=1, order=9)

    def make(folder):
        return build_collection(shelf, shelf, "demo", tmp_path / folder, settings)

    for number in range(3):
        shelf.put(save_cube(tmp_path, number), dataproduct_type="cube")
    first = make("hips")
    before = {
        (item.name, str(path.relative_to(item.path))): path.stat().st_ino
        for item in first for path in (item.path / "Norder9").rglob("Npix*")
    }  # fmt: skip
    assert all(item.rendered == 0 for item in make("hips"))
    shelf.items.pop(1)
    shelf.put(save_cube(tmp_path, 1, level=900.0), dataproduct_type="cube")
    shelf.items.sort(key=lambda product: product.did)
    second = make("hips")
    for item in second:
        folder = tmp_path / "whole" / item.name / BUILD_FOLDER
        folder.mkdir(parents=True)
        shutil.copy(item.path / BUILD_FOLDER / "recipe.json", folder)
    whole = make("whole")
    for one, other, begun in zip(second, whole, first, strict=True):
        assert 0 < one.rendered < other.rendered
        assert served_files(one.path) == served_files(other.path)
        same = [key for key, inode in before.items() if key[0] == one.name
                and (one.path / key[1]).stat().st_ino == inode]  # fmt: skip
        assert 0 < len(same) < sum(key[0] == begun.name for key in before)


def test_a_row_that_wrongly_tells_of_a_cube_is_an_image(tmp_path, shelf):
    image = tmp_path / "flat.fits"
    wcs = sky_header(size=16)
    fits.PrimaryHDU(plane_of(wcs, (150.0, 2.0), 3, 16)[None], wcs.to_header()).writeto(image)
    shelf.put(image, dataproduct_type="cube")
    (made,) = build_collection(shelf, shelf, "demo", tmp_path / "hips", HipsSettings())
    assert (made.name, made.images) == ("demo", 1)


def test_too_many_channels_are_chosen_not_all_made(tmp_path, shelf):
    wcs = sky_header(size=16)
    data = np.stack([plane_of(wcs, (150.0, 2.0), f, 16) for f in range(5)])
    data[4] = np.nan
    data, header = cube_of(data, wcs, ("x", "y", "f"), f=("FREQ", "Hz", FIRST_HZ, STEP_HZ))
    fits.PrimaryHDU(data, header).writeto(tmp_path / "c.fits")
    shelf.put(tmp_path / "c.fits", dataproduct_type="cube")

    def make(**settings):
        return build_collection(shelf, shelf, "demo", tmp_path / "hips", HipsSettings(**settings))

    with pytest.raises(DataError, match=r"have 5 planes, more than hips.max_channels \(4\)"):
        make(max_channels=4)
    with pytest.raises(DataError, match=r"of the 5 channels .* none is among 9:12"):
        make(channels={"demo": "9:12"})
    with pytest.raises(DataError, match="only images with two axes"):
        make(cubes="skip")
    made = make(max_channels=4, channels={"demo": "4:9,2"})
    assert [item.name for item in made] == ["demo-ch002", "demo-ch004"]
    (note,) = made[0].notes
    assert "'demo-ch005': all pixels are blank" in note
    image = tmp_path / "flat.fits"
    fits.PrimaryHDU(plane_of(wcs, (150.0, 2.0), 3, 16), wcs.to_header()).writeto(image)
    shelf.put(image)
    assert [item.name for item in make(channels={"demo": "none"})] == ["demo"]
    assert [item.name for item in make(channels={"demo": "1"})] == ["demo", "demo-ch001"]


def test_a_channel_keeps_its_name_until_all_are_numbered_anew(tmp_path, shelf):
    wcs = sky_header(size=8)

    def save(name, first):
        axis = ("FREQ", "Hz", FIRST_HZ + first * STEP_HZ, STEP_HZ)
        data, header = cube_of(np.zeros((2, 8, 8), np.float32), wcs, ("x", "y", "f"), f=axis)
        fits.PrimaryHDU(data, header).writeto(tmp_path / name)
        shelf.put(tmp_path / name, dataproduct_type="cube")

    def planes(**options):
        found = CubeHips(
            shelf.items, shelf.index, tmp_path / "hips", HipsSettings(), collection="demo",
            name="demo", title="demo", **options,
        )  # fmt: skip
        assert not found.skipped
        return {
            one.name: {did.rpartition("?")[2]: places for did, places in one.planes.items()}
            for one in found.hips()
        }

    save("m.fits", 2)
    own = {"demo-ch001": {"m.fits": ((0,),)}, "demo-ch002": {"m.fits": ((1,),)}}
    assert planes() == own
    save("a.fits", 1)
    own["demo-ch001"]["a.fits"] = ((1,),)
    assert planes() == {**own, "demo-ch003": {"a.fits": ((0,),)}}
    both = {"a.fits": ((1,),), "m.fits": ((0,),)}
    anew = {"demo-ch001": {"a.fits": ((0,),)}, "demo-ch002": both}
    assert planes(fresh=True) == {**anew, "demo-ch003": {"m.fits": ((1,),)}}


def test_shares_make_what_one_build_makes(sky, tmp_path):
    shelf, settings = sky["shelf"], HipsSettings(channels={"demo": "3"}, order_shard=1)
    for part in (Part(2, 2), Part(1, 2), None):
        (made,) = build_collection(shelf, shelf, "demo", tmp_path, settings, part=part)
    assert made.rendered == 0
    (whole,) = build_collection(shelf, shelf, "demo", tmp_path / "whole", settings)
    assert served_files(made.path) == served_files(whole.path)


def axis_of(low, step, count, kind=WAVELENGTH, unit="m"):
    ends = low + step * np.arange(count + 1.0)
    lower, upper = np.minimum(ends[:-1], ends[1:]), np.maximum(ends[:-1], ends[1:])
    return ChannelAxis(kind, unit, lower, upper)


def test_channels_are_the_same_where_their_coordinates_are(tmp_path):
    known = ChannelList()
    assert known.number(axis_of(5e-7, 1e-9, 4)) == [1, 2, 3, 4]
    assert known.number(axis_of(5e-7 + 2.4e-9, 1e-9, 4)) == [3, 4, 5, 6]
    # The other way round, and wider by a little; what is new goes on in the first one's way.
    assert known.number(axis_of(5e-7, -1.01e-9, 3)) == [9, 8, 7]
    known.save(tmp_path / "kept.json")
    kept = ChannelList.load(tmp_path / "kept.json")
    assert kept == known
    assert kept.number(axis_of(5e-7, 1e-9, 4)) == [1, 2, 3, 4]
    (tmp_path / "kept.json").write_text("{]")
    assert ChannelList.load(tmp_path / "kept.json") is None
    assert ChannelList.load(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        (axis_of(5e-7, 5e-10, 8), "its channels are 5e-10 m wide, those of the other cubes"),
        (axis_of(5.002e-7, 2e-9, 2), "its channels are 2e-09 m wide"),
        (axis_of(5.005e-7, 1e-9, 3), "its channels lie between those of the other cubes"),
        (axis_of(0.0, 1.0, 4, "VOPT", "m/s"), r"by VOPT \(m/s\), .* by wavelength \(m\)"),
        (axis_of(0.5, 1.0, 4, "", ""), "by numbers alone"),
    ],
)
def test_channels_that_are_others_are_refused(axis, words):
    known = ChannelList()
    known.number(axis_of(5e-7, 1e-9, 4))
    with pytest.raises(DataError, match=words):
        known.number(axis)
    assert len(known) == 4


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        (axis_of(4.995e-7, 1e-9, 1), "channel 1, 500 nm"),
        (axis_of(2.15e-6, 1e-7, 1), "channel 1, 2.2 um"),
        (axis_of(0.2, 0.02, 1), "channel 1, 1.4308276 GHz"),
        (axis_of(-1500.0, 1000.0, 1, "VOPT", "m / s"), "channel 1, -1 km/s"),
        (axis_of(0.5, 1.0, 1, "", ""), "channel 1"),
        (axis_of(3.0, 1.0, 1, "PHASE", ""), "channel 1, 3.5"),
    ],
)
def test_a_channel_in_words(axis, words):
    known = ChannelList()
    known.number(axis)
    assert known.words(1) == words


def test_choices_of_channels():
    chosen = ChannelChoice.parse("3, 10:12")
    assert [number for number in range(1, 20) if number in chosen] == [3, 10, 11, 12]
    assert 99999 in ChannelChoice.parse("All")
    assert 1 not in ChannelChoice.parse("none")
    for text in ("", "0", "5:4", "a", "1:", "1;2", "-3", "1:2:3"):
        with pytest.raises(UsageError, match=r"--channels: .* such as 1,10:20"):
            ChannelChoice.parse(text)
    with pytest.raises(ValueError, match="maps: 'x' names no channels"):
        HipsSettings(channels={"maps": "x"})


REAL = {
    "cubes/1904-66_SIN_cube.fits": (4, "uniform"),
    "cubes/l1448_13co.fits": (25, "uniform"),
    "cubes/Central_Datacube_bkg.fits": (5, "variance"),
}


@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
@pytest.mark.parametrize("name", REAL)
def test_a_channel_of_a_real_cube_is_its_plane(real_images, tmp_path, new_shelf, name):
    channel, weights = REAL[name]
    settings = HipsSettings(
        weights=weights, photometry=False, channels={"demo": f"{channel}"}
    )  # fmt: skip
    cubes, planes = new_shelf(), new_shelf()
    cubes.put(real_images / name, dataproduct_type="cube")
    (made,) = build_collection(cubes, cubes, "demo", tmp_path, settings)
    with fits.open(real_images / name) as file:
        flat = fits.HDUList()
        for hdu in file:
            header = hdu.header.copy()
            for keyword in [k for k in header if OF_AXIS_3.fullmatch(k)]:
                del header[keyword]
            data = None if hdu.data is None else hdu.data[channel - 1]
            kind = fits.ImageHDU if flat else fits.PrimaryHDU
            flat.append(kind(data, header))
        flat.writeto(tmp_path / "flat.fits", output_verify="silentfix")
    planes.put(tmp_path / "flat.fits")
    one = build(
        planes.items, planes.index, tmp_path, settings, name="flat", title="A plane",
        creator_did="ivo://test.example/hips/flat",
    )  # fmt: skip
    assert made.name == f"demo-ch{channel:03d}"
    assert pixels(made.path) == pixels(one.path)
    assert check_hips(made.path) == []

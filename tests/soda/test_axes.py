"""BAND, TIME and POL along axes, against what astropy's coordinates and units say."""

from __future__ import annotations

import io
import itertools
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from cubes import SPECTRA, cube, edges, meeting, quiet_wcs, times_utc, wavelengths
from soda_files import assert_same_pixels, assert_same_sky, section, verify, write

from soda.cut import cutout_file
from soda.selection import Interval, Selection
from vodal.errors import UsageError
from vodal.regions import Circle


def cut(path, **wanted):
    """Cut and compare all that is there with the original; gives the header, None for nothing."""
    made = cutout_file(path, Selection(**wanted))
    if made is None:
        return None
    with fits.open(io.BytesIO(bytes(made.body))) as out, fits.open(path) as original:
        for hdu in out:
            if "CUTHDU" in hdu.header:
                before = original[hdu.header["CUTHDU"]]
                assert_same_pixels(hdu, before)
                assert_same_world(hdu, before, out, original)
        return out[0].header.copy()


def assert_same_world(hdu, before, out, original):
    """Compare all coordinates of a cutout with the original's, to 1e-6 pixel."""
    ours, theirs = quiet_wcs(hdu.header, out), quiet_wcs(before.header, original)
    slices = section(hdu.header)[::-1]
    rng = np.random.default_rng(4)
    places = np.zeros((30, ours.naxis))
    moved = places.copy()
    for axis, part in enumerate(slices[: ours.naxis]):
        count = len(range(part.start, part.stop, part.step or 1))
        places[:, axis] = rng.uniform(-0.45, count - 0.55, 30)
        moved[:, axis] = part.start + places[:, axis] * (part.step or 1)
    found, expected = ours.all_pix2world(places, 0), theirs.all_pix2world(moved, 0)
    # A difference in pixels of the original: by how far each coordinate moves in one.
    step = np.empty(ours.naxis)
    for axis in range(ours.naxis):
        near = moved.copy()
        near[:, axis] += 0.01
        step[axis] = np.nanmax(np.abs(theirs.all_pix2world(near, 0) - expected)[:, axis]) * 100
    off = np.abs(found - expected)
    assert (np.isfinite(found) == np.isfinite(expected)).all()
    assert (off <= 1e-6 * step + 4e-15 * np.abs(expected)).all(), off / step


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cubes")


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("matrix", ["cdelt", "cd", "pc"])
def test_every_kind_of_spectral_axis(tmp_path, spectrum, matrix):
    hdu = cube(spectrum=spectrum, matrix=matrix, sizes={"spectral": 20})
    path = write(tmp_path / "a.fits", hdu)
    header = fits.getheader(path)
    waves = wavelengths(SPECTRA[spectrum][0], edges(header, 2))
    middles = (waves[1:] + waves[:-1]) / 2
    for first, last in ((0, 0), (3, 9), (7, 7), (12, 19)):
        low, high = sorted((middles[first], middles[last]))
        found = cut(path, band_m=Interval(low, high))
        assert section(found)[1] == slice(first, last + 1)
    low, high = sorted((waves[4], waves[5]))
    inside = (low + (high - low) * 0.01, high - (high - low) * 0.01)
    assert section(cut(path, band_m=Interval(*inside)))[1] == slice(4, 5)
    outer = (low - (high - low) * 0.01, high + (high - low) * 0.01)
    assert section(cut(path, band_m=Interval(*outer)))[1] == slice(3, 6)
    assert section(cut(path, band_m=Interval(-np.inf, np.inf)))[1] == slice(0, 20)
    assert cut(path, band_m=Interval(0.0, waves.min() * 0.999)) is None
    assert cut(path, band_m=Interval(waves.max() * 1.001, np.inf)) is None


ORDERS = list(itertools.permutations(("ra", "dec", "spectral", "stokes", "time")))


@settings(max_examples=40, deadline=None)
@given(
    order=st.sampled_from(ORDERS),
    spectrum=st.sampled_from(sorted(set(SPECTRA) - {"awav"})),
    matrix=st.sampled_from(["cdelt", "cd", "pc"]),
    reference=st.sampled_from(["mjd", "split", "jd", "date"]),
    scale=st.sampled_from(["utc", "tai", "tt", "tdb"]),
    # As parts of the axis' length; never to the digit at the edge of a bin.
    ends=st.tuples(*[st.integers(-15, 90).map(lambda n: 0.0137 * n + 0.0041)] * 4),
    states=st.sets(st.sampled_from("IQUV"), min_size=1),
    circle=st.booleans(),
)
def test_axes_in_any_order_all_at_once(
    order, spectrum, matrix, reference, scale, ends, states, circle
):
    moment = {
        "mjd": {"MJDREF": 60000.25},
        "split": {"MJDREFI": 60000, "MJDREFF": 0.25},
        "jd": {"JDREF": 2460000.75},
        "date": {"DATEREF": "2023-02-25T06:00:00"},
    }[reference]
    hdu = cube(order, spectrum=spectrum, matrix=matrix, time=("TIME", "min", 5.0, 30.0),
               TIMESYS=scale.upper(), **moment)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write(Path(folder) / "a.fits", hdu)
        header = fits.getheader(path)
        waves = wavelengths(SPECTRA[spectrum][0], edges(header, order.index("spectral")))
        clock = times_utc(edges(header, order.index("time")), "min", 60000.25, scale)
        band = Interval(*sorted(waves.min() + np.ptp(waves) * np.array(ends[:2])))
        time = Interval(*sorted(clock.min() + np.ptp(clock) * np.array(ends[2:])))
        wanted = {
            "spectral": meeting(waves, band.low, band.high),
            "time": meeting(clock, time.low, time.high),
            "stokes": [k for k, state in enumerate("IQUV") if state in states],
        }
        gaps = set(np.diff(wanted["stokes"]))
        stencil = Circle(150.0, 2.0, 0.0004) if circle else None
        pol = tuple(sorted(states))
        if len(gaps) > 1:
            with pytest.raises(UsageError, match=r"POL: .* evenly"):
                cut(path, pol=pol)
            return
        found = cut(path, stencil=stencil, band_m=band, time_mjd=time, pol=pol)
        if not all(wanted.values()):
            assert found is None
            return
        sections = dict(zip(order, reversed(section(found)), strict=True))
        for name, places in wanted.items():
            part = sections[name]
            assert list(range(part.start, part.stop, part.step or 1)) == places, name
        assert found[f"NAXIS{order.index('ra') + 1}"] == (1 if circle else 7)


@pytest.mark.parametrize(
    ("ctype", "timesys", "scale"),
    [("TIME", None, "utc"), ("TIME", "TDB", "tdb"), ("TIME", "TT(TAI)", "tt"), ("TAI", None, "tai"),
     ("UTC", "TAI", "utc"), ("TIME", "GPS", "gps"), ("TT", None, "tt"), ("TCB", None, "tcb")],
)  # fmt: skip
@pytest.mark.parametrize("unit", ["s", None, "h"])
def test_time_scales_and_units(tmp_path, ctype, timesys, scale, unit):
    cards = {"MJDREF": 57753.9} | ({"TIMESYS": timesys} if timesys else {})
    if unit is None:
        cards["TIMEUNIT"] = "min"
    # Seconds that tell scales apart: there was a leap second at the end of 2016.
    hdu = cube(("time", "ra", "dec"), time=(ctype, unit, 1000.0, 2.0), sizes={"time": 9}, **cards)
    path = write(tmp_path / "a.fits", hdu)
    values = 1000.0 + (np.arange(10) - 1.5) * 2.0
    clock = times_utc(values, unit or "min", 57753.9, scale)
    middles = (clock[1:] + clock[:-1]) / 2
    found = cut(path, time_mjd=Interval(middles[2], middles[5]))
    assert section(found)[2] == slice(2, 6)
    assert cut(path, time_mjd=Interval(0, clock[0] - 1e-6)) is None
    assert section(cut(path, time_mjd=Interval(-np.inf, middles[0])))[2] == slice(0, 1)


@pytest.mark.parametrize(
    ("stokes", "states", "wanted", "expected"),
    [
        ((1.0, 1.0), "I Q U V", ("Q",), slice(1, 2)),
        ((1.0, 1.0), "I Q U V", ("U", "Q", "XX"), slice(1, 3)),
        ((1.0, 1.0), "I Q U V", ("V", "Q"), slice(1, 4, 2)),
        ((1.0, 1.0), "I Q U V", ("I", "V"), slice(0, 4, 3)),
        ((-5.0, -1.0), "XX YY XY YX", ("XX", "YY"), slice(0, 2)),
        ((-5.0, -1.0), "XX YY XY YX", ("XX", "XY"), slice(0, 3, 2)),
        ((-1.0, -1.0), "RR LL RL LR", ("LR", "RL"), slice(2, 4)),
        ((4.0, -1.0), "V U Q I", ("I", "U"), slice(1, 4, 2)),
    ],
)
@pytest.mark.parametrize("matrix", ["cdelt", "cd", "pc", "none"])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_states_are_taken_exactly(tmp_path, stokes, states, wanted, expected, matrix, place):
    order = ["ra", "dec", "spectral"]
    order.insert(place, "stokes")
    hdu = cube(order, stokes=stokes, matrix=matrix)
    if matrix == "none":
        hdu.header[f"PC{1 + (place == 0)}_{2 + (place <= 1)}"] = 0.1
    path = write(tmp_path / "a.fits", hdu)
    found = cut(path, pol=wanted)
    assert section(found)[3 - place] == expected
    wcs = quiet_wcs(found)
    count = found[f"NAXIS{place + 1}"]
    codes = wcs.all_pix2world([[k if a == place else 0 for a in range(4)] for k in range(count)], 0)
    names = {1: "I", 2: "Q", 3: "U", 4: "V", -1: "RR", -2: "LL", -3: "RL", -4: "LR",
             -5: "XX", -6: "YY", -7: "XY", -8: "YX"}  # fmt: skip
    kept = [names[round(code)] for code in codes[:, place]]
    assert kept == [state for state in states.split() if state in wanted]
    assert cut(path, pol=("POLI",)) is None


def test_states_that_lie_unevenly_are_refused_by_name(tmp_path):
    path = write(tmp_path / "a.fits", cube())
    with pytest.raises(UsageError, match=r"POL: the states I Q V .*\(I Q U V\)"):
        cut(path, pol=("I", "Q", "V"))


@pytest.mark.parametrize("across", ["time", "ra"])
@pytest.mark.parametrize("matrix", ["pc", "cd"])
def test_an_entangled_axis_is_judged_anywhere_across_it(tmp_path, across, matrix):
    """Wavelengths that drift with time or across a slit: any pixel that meets takes its plane."""
    order = ("spectral", across, *sorted({"time", "ra", "dec"} - {across}))
    hdu = cube(order, spectrum="wave", matrix=matrix, sizes={"spectral": 30, "ra": 8, "dec": 8})
    hdu.header["PC1_2" if matrix == "pc" else "CD1_2"] = 0.5 if matrix == "pc" else 0.625
    path = write(tmp_path / "a.fits", hdu)
    wcs = quiet_wcs(fits.getheader(path))
    x, y = np.meshgrid(np.arange(31) - 0.5, np.arange(9) - 0.5)
    places = np.stack([x.ravel(), y.ravel(), 0 * x.ravel(), 0 * x.ravel()], 1)
    waves = wcs.all_pix2world(places, 0)[:, 0].reshape(9, 31)
    low, high = 5.1e-7, 5.12e-7
    met = [k for k in range(30) if waves[:, k].min() <= high and waves[:, k + 1].max() >= low]
    assert len(met) > 4
    found = cut(path, band_m=Interval(low, high))
    assert section(found)[3] == slice(met[0], met[-1] + 1)
    assert cut(path, stencil=Circle(150.0, 2.0, 0.0012))[f"NAXIS{order.index('ra') + 1}"] < 8


def tab_cube(*, index):
    """Make a cube whose wavelengths are in a table, unevenly spaced."""
    waves = 4e-7 + np.cumsum(np.linspace(1e-10, 9e-10, 16))
    table = np.zeros(1, [("WAVE", ">f8", (16, 1))] + ([("IND", ">f8", 16)] if index else []))
    table["WAVE"][0, :, 0] = waves
    if index:
        table["IND"][0] = np.arange(16) * 3.0 + 10.0
    hdu = cube(("ra", "spectral", "dec"), sizes={"spectral": 16})
    header = hdu.header
    header["CTYPE2"], header["CUNIT2"] = "WAVE-TAB", "m"
    header["CRPIX2"], header["CRVAL2"], header["CDELT2"] = (
        (4.0, 19.0, 3.0) if index else (4.0, 4.0, 1.0)
    )
    header["PS2_0"], header["PS2_1"] = "WCS-TABLE", "WAVE"
    header["PV2_1"], header["PV2_2"], header["PV2_3"] = 1, 1, 1
    if index:
        header["PS2_2"] = "IND"
    return hdu, fits.BinTableHDU(table, name="WCS-TABLE"), waves


@pytest.mark.parametrize("index", [False, True])
def test_wavelengths_in_a_table(tmp_path, index):
    hdu, table, waves = tab_cube(index=index)
    path = write(tmp_path / "a.fits", hdu, table)
    for first, last in ((0, 0), (2, 2), (3, 8), (15, 15)):
        found = cut(path, band_m=Interval(waves[first], waves[last]))
        assert section(found)[1] == slice(first, last + 1)
    # Each bin reaches half-way to its neighbours.
    half = (waves[6] + waves[7]) / 2
    assert section(cut(path, band_m=Interval(half - 1e-13, half - 1e-14)))[1] == slice(6, 7)
    assert section(cut(path, band_m=Interval(half + 1e-14, half + 1e-13)))[1] == slice(7, 8)
    made = cutout_file(path, Selection(band_m=Interval(waves[3], waves[8])))
    (tmp_path / "cut.fits").write_bytes(made.body)
    assert verify(tmp_path / "cut.fits") == ""
    again = cutout_file(tmp_path / "cut.fits", Selection(band_m=Interval(waves[5], waves[6])))
    direct = cutout_file(path, Selection(band_m=Interval(waves[5], waves[6])))
    assert_equal_cutouts(again, direct)


def assert_equal_cutouts(one, other):
    """Compare pixels and coordinates of two cutouts."""
    with (
        fits.open(io.BytesIO(bytes(one.body))) as a,
        fits.open(io.BytesIO(bytes(other.body))) as b,
    ):
        assert [hdu.name for hdu in a] == [hdu.name for hdu in b]
        for first, second in zip(a, b, strict=True):
            if not first.is_image or first.data is None:
                continue
            np.testing.assert_array_equal(first.data, second.data)
            places = np.random.default_rng(2).uniform(0, 3, (10, first.data.ndim))
            world = [
                quiet_wcs(hdu.header, f).all_pix2world(places, 0)
                for hdu, f in ((first, a), (second, b))
            ]
            np.testing.assert_allclose(*world, rtol=1e-13)


def test_a_cutout_of_a_cutout_is_a_cutout_of_the_original(tmp_path):
    path = write(
        tmp_path / "a.fits", cube(("stokes", "dec", "spectral", "ra"), spectrum="vopt-f2w")
    )
    waves = wavelengths("VOPT", edges(fits.getheader(path), 2))
    outer = Selection(band_m=Interval(waves[2], waves[9]), pol=("Q", "V"))
    inner = Selection(Circle(150.0, 2.0, 0.0012), Interval(waves[4] * 1.00001, waves[6] * 0.99999))
    both = Selection(inner.stencil, inner.band_m, None, ("Q", "V"))
    (tmp_path / "b.fits").write_bytes(cutout_file(path, outer).body)
    assert verify(tmp_path / "b.fits") == ""
    assert_equal_cutouts(cutout_file(tmp_path / "b.fits", inner), cutout_file(path, both))


def test_alternate_coordinates_move_along(tmp_path):
    hdu = cube(spectrum="freq")
    for i, (ctype, value, step) in enumerate(
        (("RA---TAN", 150.0, -1e-3), ("DEC--TAN", 2.0, 1e-3), ("VRAD", 0.0, -7.5e5),
         ("STOKES", 1.0, 1.0)), 1,
    ):  # fmt: skip
        hdu.header[f"CTYPE{i}A"], hdu.header[f"CRVAL{i}A"] = ctype, value
        hdu.header[f"CRPIX{i}A"], hdu.header[f"CDELT{i}A"] = 1.0, step
        if i < 3:
            # Of the other axes nothing is told: their coordinates are the pixels' numbers.
            hdu.header[f"CTYPE{i}B"], hdu.header[f"CRVAL{i}B"] = ctype, value
    hdu.header["RESTFRQA"] = 1e11
    path = write(tmp_path / "a.fits", hdu)
    waves = wavelengths("FREQ", edges(fits.getheader(path), 2))
    made = cutout_file(path, Selection(band_m=Interval(waves[8], waves[5]), pol=("I", "U")))
    with fits.open(io.BytesIO(bytes(made.body))) as out, fits.open(path) as before:
        part = section(out[0].header)
        assert part[0] == slice(0, 3, 2)
        for key in (" ", "A", "B"):
            ours, theirs = quiet_wcs(out[0].header, key=key), quiet_wcs(before[0].header, key=key)
            found = ours.all_pix2world([[2.0, 3.0, 1.0, 1.0]], 0)
            expected = theirs.all_pix2world([[2.0, 3.0, 1.0 + part[1].start, 2.0]], 0)
            np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_planes_share_the_cut_and_a_flat_mask_keeps_to_the_sky(tmp_path):
    first = cube(("ra", "dec", "spectral"), spectrum="wave")
    image = fits.ImageHDU(first.data, first.header, name="SCI")
    error = fits.ImageHDU(first.data * 2, first.header, name="ERR")
    mask = fits.ImageHDU(first.data[0].astype(np.uint8), name="MASK")
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), image, error, mask)
    waves = edges(fits.getheader(path, 1), 2)
    wanted = Selection(Circle(150.0, 2.0, 0.0012), Interval(waves[3] * 1.0001, waves[5] * 0.9999))
    made = cutout_file(path, wanted)
    with fits.open(io.BytesIO(bytes(made.body))) as out:
        assert section(out["SCI"].header) == section(out["ERR"].header)
        assert section(out["SCI"].header)[0] == slice(3, 5)
        assert section(out["MASK"].header) == section(out["SCI"].header)[1:]
        np.testing.assert_array_equal(out["SCI"].data * 2, out["ERR"].data)


def test_cubes_of_two_lines_on_one_sky_are_each_cut_by_their_own_axis(tmp_path):
    blue, red = cube(("ra", "dec", "spectral"), spectrum="wave"), None
    red = fits.ImageHDU(blue.data, blue.header, name="RED")
    red.header["CRVAL3"] = 505.0
    image = fits.ImageHDU(blue.data, blue.header, name="BLUE")
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), image, red)
    made = cutout_file(path, Selection(band_m=Interval(5.06e-7, 5.07e-7)))
    with fits.open(io.BytesIO(bytes(made.body))) as out:
        for name in ("BLUE", "RED"):
            ends = edges(fits.getheader(path, name), 2)
            places = meeting(ends, 5.06e-7, 5.07e-7)
            assert section(out[name].header)[0] == slice(places[0], places[-1] + 1)
        assert section(out["BLUE"].header) != section(out["RED"].header)


@pytest.mark.parametrize(
    ("cards", "wanted", "words"),
    [
        ({}, {"time_mjd": Interval(0, 1)}, "TIME is not supported .* no such axis"),
        ({"CTYPE3": "VRAD", "CUNIT3": "m/s"}, {"band_m": Interval(0, 1)}, "BAND .* rest frequency"),
        ({"CTYPE3": "TIME", "CUNIT3": "fortnight"}, {"time_mjd": Interval(0, 1)}, "TIME .*'fortni"),
        ({"CTYPE3": "LOCAL", "CUNIT3": "s"}, {"time_mjd": Interval(0, 1)}, "TIME .* scale 'LOCAL'"),
        ({"CTYPE3": "LINEAR", "CUNIT3": ""}, {"band_m": Interval(0, 1)}, "BAND is not supported"),
        ({"CTYPE4": "LINEAR"}, {"pol": ("I",)}, "POL is not supported .* no Stokes axis"),
    ],
)
def test_what_cannot_be_cut_is_refused_by_name(tmp_path, cards, wanted, words):
    hdu = cube()
    hdu.header.update(cards)
    path = write(tmp_path / "a.fits", hdu)
    with pytest.raises(UsageError, match=words):
        cutout_file(path, Selection(**wanted))


def test_what_restricts_nothing_needs_no_axis(tmp_path):
    hdu = cube()
    hdu.header.update({"CTYPE3": "VRAD", "CUNIT3": "m/s"})
    path = write(tmp_path / "a.fits", hdu)
    everything = Interval(-np.inf, np.inf)
    made = cutout_file(path, Selection(band_m=everything, time_mjd=everything))
    with fits.open(io.BytesIO(bytes(made.body))) as out:
        np.testing.assert_array_equal(out[0].data, hdu.data)


CUBES = ("cubes/casalike.fits", "cubes/Central_Datacube_bkg.fits", "cubes/noise_4d.fits",
         "cubes/noise_4d_casa.fits", "cubes/ra_pol_freq_dec.fits", "cubes/small_perplanebeam.fits",
         "cubes/1904-66_SIN_cube.fits")  # fmt: skip


@pytest.mark.realdata
@pytest.mark.parametrize("name", CUBES)
def test_real_cubes(real_images, tmp_path, name):
    path = real_images / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        everything = Selection(band_m=Interval(0.0, np.inf))
        whole = cutout_file(path, everything)
        (tmp_path / "all.fits").write_bytes(whole.body)
        with fits.open(io.BytesIO(bytes(whole.body))) as out:
            image = next(hdu for hdu in out if "CUTHDU" in hdu.header)
            shape = image.shape
            wcs = quiet_wcs(image.header)
        # The middle third of the spectral axis, by astropy's own spectral coordinates.
        axis = next(
            k for k in range(wcs.naxis)
            if wcs.wcs.ctype[k][:4].upper() in {"FREQ", "VOPT", "LINE"}
        )  # fmt: skip
        size = shape[len(shape) - 1 - axis]
        first, last = size // 3, size - 1 - size // 3
        places = np.zeros((2, wcs.naxis))
        places[:, axis] = first, last
        values = wcs.wcs_pix2world(places, 0)[:, axis]
        rest = wcs.wcs.restfrq
        waves = {
            "FREQ": lambda: 299792458.0 / values,
            "VOPT": lambda: 299792458.0 / rest * (1 + values / 299792458.0),
            "LINE": lambda: values * 1e-10,
        }[wcs.wcs.ctype[axis][:4].upper()]()
        found = cutout_file(path, Selection(band_m=Interval(*sorted(waves))))
        out = tmp_path / "cut.fits"
        out.write_bytes(found.body)
        with fits.open(out) as cut_file, fits.open(path) as original:
            for hdu in cut_file:
                if "CUTHDU" in hdu.header:
                    before = original[hdu.header["CUTHDU"]]
                    assert section(hdu.header)[len(shape) - 1 - axis] == slice(first, last + 1)
                    assert_same_pixels(hdu, before)
                    assert_same_sky(hdu, before, cut_file, original)
        assert not verify(out) or verify(path)

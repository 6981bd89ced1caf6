from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soda.filters import Extent, judge, passes, passes_whole
from soda.params import MOST_VERTICES, parse_params
from soda.selection import HduChoice, Interval, PixelRange, Selection
from vodal.errors import MultiValuedParamNotSupported, UsageError
from vodal.params import Params
from vodal.products import Product
from vodal.regions import Circle, Polygon, Range


def parse(**given):
    pairs = [
        (name, value)
        for name, values in given.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return parse_params(Params(pairs))


@pytest.mark.parametrize(
    ("given", "stencil"),
    [
        ({"CIRCLE": "12 34 0.5"}, Circle(12, 34, 0.5)),
        ({"circle": " 12  34 0.5 "}, Circle(12, 34, 0.5)),
        ({"POLYGON": "12 34 14 34 14 36 12 36"}, Polygon(((12, 34), (14, 34), (14, 36), (12, 36)))),
        ({"POS": "CIRCLE 12 34 0.5"}, Circle(12, 34, 0.5)),
        ({"Pos": "RANGE 12 14 34 36"}, Range(12, 14, 34, 36)),
        ({"POS": "RANGE 0 360 89 +Inf"}, Range(0, 360, 89, 90)),
        ({"POS": "polygon 1 1 2 1 2 2"}, Polygon(((1, 1), (2, 1), (2, 2)))),
        ({"CIRCLE": ["12 34 0.5", "12 34 0.5"]}, Circle(12, 34, 0.5)),
        ({"CIRCLE": "12 34 0.5", "POS": "CIRCLE 12 34 0.5"}, Circle(12, 34, 0.5)),
        ({}, None),
        ({"CIRCLE": ""}, None),
    ],
)
def test_stencils(given, stencil):
    assert parse(ID="ivo://a/b?c", **given).single() == ("ivo://a/b?c", Selection(stencil))


PICTURE = {"RESPONSEFORMAT": "png"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"CIRCLE": "12 34 -0.5"}, ["CIRCLE", "radius"]),
        ({"CIRCLE": "12 34"}, ["CIRCLE", "three"]),
        ({"CIRCLE": "12 91 1"}, ["CIRCLE", "declination"]),
        ({"CIRCLE": "a b c"}, ["CIRCLE", "'a'"]),
        ({"CIRCLE": "nan 1 1"}, ["CIRCLE", "nan"]),
        ({"CIRCLE": "1 1 inf"}, ["CIRCLE", "inf"]),
        ({"POLYGON": "1 2 3 4"}, ["POLYGON", "three"]),
        ({"POLYGON": "1 2 1 2 1 2"}, ["POLYGON", "vertices"]),
        ({"POS": "BOX 1 2 3 4"}, ["POS", "CIRCLE"]),
        ({"POS": "RANGE 1 2 4 3"}, ["POS=RANGE", "order"]),
        ({"BAND": "1e-7"}, ["BAND", "two"]),
        ({"BAND": "2 1"}, ["BAND", "empty"]),
        ({"TIME": "+Inf +Inf"}, ["TIME", "empty"]),
        ({"POL": "Z"}, ["POL", "'Z'"]),
        ({"RESPONSEFORMAT": "image/tiff"}, ["RESPONSEFORMAT", "image/fits"]),
    ],
)
def test_wrong_values_are_told_by_name(given, words):
    with pytest.raises(UsageError) as caught:
        parse(ID="x", **given)
    for word in words:
        assert word in str(caught.value)


def test_without_id_there_is_nothing_to_cut():
    with pytest.raises(UsageError, match="ID"):
        parse(CIRCLE="1 2 3")


def test_polygons_have_a_most_of_vertices():
    corners = [(n * 0.01, n % 7) for n in range(MOST_VERTICES + 1)]
    text = [f"{ra} {dec}" for ra, dec in corners]
    most, more = " ".join(text[:-1]), " ".join(text)
    for name, value in (("POLYGON", most), ("POS", f"POLYGON {most}")):
        (stencil,) = parse(**{"ID": "a", name: value}).stencils
        assert len(stencil.vertices) == MOST_VERTICES
    for name, value in (("POLYGON", more), ("POS", f"POLYGON {more}"), ("CIRCLE", "1 " * 99_999)):
        with pytest.raises(UsageError, match=f"{name} has more .* 10000 vertices"):
            parse(**{"ID": "a", name: value})


@pytest.mark.parametrize(
    "given",
    [
        {"ID": ["a", "b"]},
        {"ID": "a", "CIRCLE": ["1 2 3", "1 2 4"]},
        {"ID": "a", "CIRCLE": "1 2 3", "POS": "CIRCLE 1 2 4"},
        {"ID": "a", "POLYGON": "1 1 2 1 2 2", "CIRCLE": "1 2 3"},
        {"ID": "a", "BAND": ["1 2", "3 4"]},
    ],
)
def test_several_values_are_refused_by_the_standards_label(given):
    params = parse(**given)
    with pytest.raises(MultiValuedParamNotSupported):
        params.single()


def test_each_combination_is_one_cutout():
    params = parse(ID=["a", "b"], CIRCLE="1 2 3", POS="RANGE 1 2 3 4", BAND=["1 2", "3 4"],
                   POL=["I", "V"])  # fmt: skip
    assert list(params.combinations()) == [
        (did, Selection(stencil, band, None, ("I", "V")))
        for did in ("a", "b")
        for stencil in (Range(1, 2, 3, 4), Circle(1, 2, 3))
        for band in (Interval(1, 2), Interval(3, 4))
    ]


def test_the_other_filters():
    _, params = parse(
        ID="a", BAND="-Inf 5e-7", TIME="55000 +Inf", pol=["i", "Q", "I"], FOO="bar"
    ).single()
    assert params.band_m == Interval(-math.inf, 5e-7)
    assert params.time_mjd == Interval(55000, math.inf)
    assert params.pol == ("I", "Q")


@pytest.mark.parametrize("value", ["image/fits", "application/fits", "IMAGE/FITS", "fits"])
def test_formats_that_are_served(value):
    parse(ID="a", RESPONSEFORMAT=value)


NAMES = ["POS", "CIRCLE", "POLYGON", "BAND", "TIME", "POL", "PIXELS", "PIXEL_1", "HDU", "TABLES",
         "KIND"]  # fmt: skip


@given(st.text(max_size=60), st.sampled_from(NAMES))
def test_no_text_makes_it_crash(text, name):
    error = None
    try:
        parse(ID="a", **{name: [text]})
    except UsageError as caught:
        error = caught
    assert len(str(error)) < 300


def product(**row):
    return Product(
        did="a", collection="c", uri="file:///x", file_name="x", content_type="image/fits",
        size_bytes=1, version="1", modified_unix_s=0.0, hdus=(0,), region=None, obscore=row,
    )  # fmt: skip


def test_filters_by_the_row():
    image = product(
        em_min=4e-7, em_max=5e-7, em_xel=1, t_min=60000.0, t_max=60001.0, t_xel=1,
        pol_states="/I/Q/",
    )  # fmt: skip

    def asks(**values):
        return passes(image, Selection(**values))

    assert asks()
    assert asks(band_m=Interval(4.5e-7, 1.0))
    assert asks(band_m=Interval(5e-7, math.inf))
    assert not asks(band_m=Interval(5.1e-7, 1.0))
    assert asks(time_mjd=Interval(60000.5, 60000.5))
    assert not asks(time_mjd=Interval(-math.inf, 59999.0))
    assert asks(pol=("I", "Q", "U"))
    assert not asks(pol=("V",))
    # One of its states: there may be an axis to cut along.
    assert asks(pol=("I",))


def test_what_the_row_decides_is_no_more_to_be_cut():
    extent = Extent(Interval(4e-7, 5e-7), 1, Interval(60000.0, 60001.0), None, ("I", "Q"))
    wanted = Selection(
        band_m=Interval(0, 1), time_mjd=Interval(0, 1e5), pol=("I", "Q", "V"), header_only=True
    )
    assert judge(extent, wanted) == Selection(time_mjd=Interval(0, 1e5), header_only=True)
    assert judge(Extent(), wanted) == wanted
    # What restricts nothing is no restriction, whatever is known of the dataset.
    everything = Interval(-math.inf, math.inf)
    assert judge(Extent(), Selection(band_m=everything, time_mjd=everything)) == Selection()


def test_a_product_without_the_axis_is_judged_by_its_row():
    extent = Extent(Interval(4e-7, 5e-7), None, None, None, ("I", "Q"))
    assert passes_whole(extent, Selection(band_m=Interval(5e-7, 1)), "BAND")
    assert not passes_whole(extent, Selection(band_m=Interval(5.1e-7, 1)), "BAND")
    assert passes_whole(extent, Selection(pol=("I", "Q")), "POL")
    assert not passes_whole(extent, Selection(pol=("V",)), "POL")
    with pytest.raises(UsageError, match=r"TIME is not supported .* extent is not known"):
        passes_whole(extent, Selection(time_mjd=Interval(0, 1)), "TIME")
    with pytest.raises(UsageError, match=r"POL is not supported .* \(I Q\)"):
        passes_whole(extent, Selection(pol=("I",)), "POL")
    with pytest.raises(UsageError, match=r"POL is not supported .* not known"):
        passes_whole(Extent(), Selection(pol=("I",)), "POL")


@pytest.mark.parametrize(
    ("given", "pixels"),
    [
        ({"PIXELS": "[101:200,51:150]"}, (PixelRange(101, 200), PixelRange(51, 150))),
        ({"PIXELS": " 1:5 , * , 7 "}, (PixelRange(1, 5), None, PixelRange(7, 7))),
        ({"PIXELS": "[-3:0,*]"}, (PixelRange(-3, 0), None)),
        ({"PIXEL_3": "2 4", "pixel_1": "10 20"}, (PixelRange(10, 20), None, PixelRange(2, 4))),
        ({"PIXEL_1": "1.6 4.4"}, (PixelRange(2, 4),)),
        ({"PIXEL_1": "-Inf 4"}, (PixelRange(-(1 << 62), 4),)),
        ({}, ()),
    ],
)
def test_ranges_of_pixels(given, pixels):
    assert parse(ID="a", **given).single()[1].pixels == pixels


def test_hdus_tables_and_headers_alone():
    _, wanted = parse(
        ID="a", HDU=["1", "[sci,2]", "Mask", "1"], TABLES="true", KIND="header"
    ).single()
    assert wanted.hdus == (HduChoice(1), HduChoice(name="SCI", extver=2), HduChoice(name="MASK"))
    assert wanted.tables
    assert wanted.header_only
    assert parse(ID="a", TABLES="0", KIND="DATA").single()[1] == Selection()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"PIXELS": "1:x"}, ["PIXELS", "[101:200,51:150,*]", "1:x"]),
        ({"PIXELS": "1:10:2"}, ["PIXELS", "[101:200,51:150,*]"]),
        ({"PIXELS": "9:3"}, ["PIXELS", "3:9"]),
        ({"PIXELS": "[]"}, ["PIXELS"]),
        ({"PIXELS": "1:2", "PIXEL_1": "1 2"}, ["PIXELS", "PIXEL_n"]),
        ({"PIXEL_2": "5"}, ["PIXEL_2", "'101 200'"]),
        ({"PIXEL_2": "5 1"}, ["PIXEL_2"]),
        ({"HDU": "SCI,x"}, ["HDU", "EXTVER", "SCI,x"]),
        ({"HDU": ",2"}, ["HDU"]),
        ({"TABLES": "all"}, ["TABLES", "1", "'all'"]),
        ({"KIND": "pixels"}, ["KIND", "HEADER"]),
    ],
)
def test_wrong_extensions_are_told_by_name(given, words):
    with pytest.raises(UsageError) as caught:
        parse(ID="a", **given).single()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"CIRCLE": "1 2 x"}, ["CIRCLE takes three numbers 'ra dec", "'x' is not a number"]),
        ({"CIRCLE": "1 2 nan"}, ["CIRCLE takes", "'nan' is not a number"]),
        ({"CIRCLE": "1 2 inf"}, ["CIRCLE takes", "'inf' is not a finite number"]),
        ({"POS": "CIRCLE ICRS 1 2 3"}, ["POS=CIRCLE takes three numbers", "'ICRS'"]),
        ({"POS": "RANGE 1 2 3 four"}, ["POS=RANGE takes four numbers", "'four'"]),
        ({"POLYGON": "1 2 3 4 5 1e999"}, ["POLYGON takes three or more pairs", "finite"]),
        ({"BAND": "V"}, ["BAND takes two numbers 'low high' in metres", "'V' is not a number"]),
        ({"BAND": "6e-7 5e-7"}, ["BAND", "from 6e-07 to 5e-07", "low comes first"]),
        ({"TIME": "2023-02-25 2023-02-26"}, ["TIME takes two numbers", "days (MJD)"]),
        # An end that is beyond the other: nothing is between them.
        ({"POS": "RANGE +Inf -Inf 0 1"}, ["POS=RANGE", "-Inf is a lower end and +Inf an upper"]),
        ({"POS": "RANGE 0 1 +Inf -Inf"}, ["POS=RANGE", "-Inf is a lower end"]),
        ({"POS": "RANGE 0 1 -Inf -Inf"}, ["POS=RANGE", "-Inf is a lower end"]),
        ({"POS": "RANGE Inf Inf 0 1"}, ["POS=RANGE", "-Inf is a lower end"]),
        ({"PIXEL_1": "1 x"}, ["PIXEL_1 takes the first and the last pixel", "'x' is not a number"]),
        ({**PICTURE, "SIZE": "abc"}, ["SIZE takes one whole number", "'abc' is not a number"]),
        ({**PICTURE, "SIZE": "1.5"}, ["SIZE takes one whole number from 1", "not '1.5'"]),
        ({**PICTURE, "CUTS": "1 b"}, ["CUTS takes auto, minmax", "'b' is not a number"]),
        ({**PICTURE, "CUTS": "x%"}, ["CUTS takes auto, minmax", "'x' is not a number"]),
        ({**PICTURE, "CUTS": "9 1"}, ["CUTS takes auto, minmax", "not '9 1'"]),
        ({"RESPONSEFORMAT": "fits-rice", "QUANTIZE": "x"}, ["QUANTIZE takes one number", "'x' is"]),
        ({"PIXEL_0": "1 2"}, ["PIXEL_0", "from 1"]),
        ({"PIXEL_100": "1 2", "PIXEL_1": "1 2"}, ["PIXEL_100", "99"]),
    ],
)  # fmt: skip
def test_wrong_values_are_told_with_what_is_taken(given, words):
    with pytest.raises(UsageError) as caught:
        parse(ID="a", **given).single()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("blank", [" ", "  ", "\t", "\n", " \r\n "])
def test_any_white_space_parts_words(blank):
    expected = parse(ID="a", POS="CIRCLE 1 2 3")
    assert parse(ID="a", POS=blank.join(["", "circle", "1", "2", "3", ""])) == expected
    assert parse(ID="a", CIRCLE=blank.join("123")) == expected
    assert parse(ID="a", BAND=f"1{blank}2") == parse(ID="a", BAND="1 2")


def test_open_ranges_of_the_sky():
    def pos(text):
        return parse(ID="a", POS=f"RANGE {text}").stencils

    assert pos("-Inf +Inf -Inf +Inf") == pos("0 360 -90 90")
    assert pos("10 +Inf -5 inf") == pos("10 360 -5 90")
    assert pos("-Inf 10 -Inf 5") == pos("0 10 -90 5")


def test_headers_alone_are_plain_fits_in_any_fits_format():
    for name in ("fits-rice", "fits-gzip"):
        given = {"ID": "a", "RESPONSEFORMAT": name}
        assert parse_params(Params(given.items())).output.format.name == name
        heads = parse_params(Params({**given, "KIND": "HEADER"}.items()))
        assert heads.output.format.media_type == "image/fits"

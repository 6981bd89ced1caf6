from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soda.filters import passes
from soda.params import parse_params
from soda.selection import Interval, Selection
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


@given(st.text(max_size=60), st.sampled_from(["POS", "CIRCLE", "POLYGON", "BAND", "TIME", "POL"]))
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
    image = product(em_min=4e-7, em_max=5e-7, t_min=60000.0, t_max=60001.0, pol_states="/I/Q/")

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
    with pytest.raises(UsageError, match="POL"):
        asks(pol=("I",))


def test_what_would_have_to_be_cut_is_refused_by_name():
    cube = product(em_min=4e-7, em_max=5e-7, em_xel=100)
    with pytest.raises(UsageError, match="BAND is not supported"):
        passes(cube, Selection(band_m=Interval(0, 1)))
    with pytest.raises(UsageError, match="TIME is not supported"):
        passes(cube, Selection(time_mjd=Interval(0, 1)))
    with pytest.raises(UsageError, match="POL is not supported"):
        passes(cube, Selection(pol=("I",)))

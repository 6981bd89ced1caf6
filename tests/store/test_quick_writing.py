"""What writers do for many rows at once is what they do for each."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.filecolumns import FileColumns
from obscore.observation import CataloguedFile, Observation
from obscore.store import rows, values
from obscore.store.postgres.spheres import sphere_values, sphere_values_of
from obscore.store.put import _of_columns, _of_each
from obscore.store.schema import STORED_COLUMNS
from obscore.store.sqlite.boxes import box_of, boxes_of
from vodal.errors import UsageError
from vodal.regions import Circle, Polygon, shape_to_bytes

NUMBER = re.compile(r"[-+0-9.e]+")

angles = st.one_of(st.floats(0, 359.9), st.sampled_from([0.0, 90.0, 180.0, 359.999999]))
heights = st.one_of(st.floats(-89, 89), st.sampled_from([-89.0, 0.0, 89.0]))
sizes = st.sampled_from([1e-6, 1e-3, 0.5, 30.0])


@st.composite
def places(draw):
    """Give a footprint and a position of a row."""
    ra, dec, size = draw(angles), draw(heights), draw(sizes)
    ends = [(0, 0), (1, 0), (1, 1), (0, 1), (-0.5, 0.5)][: draw(st.integers(3, 5))]
    vertices = [((ra + size * x) % 360, min(90.0, dec + size * y)) for x, y in ends]
    region = draw(st.sampled_from([Polygon(tuple(vertices)), Circle(ra, dec, size), None]))
    place = draw(
        st.sampled_from([(ra, dec), (ra + 360.0, dec), (5.0, 7.0), (None, None), (ra, None)])
    )
    return region, *place


def as_columns(some):
    regions, ra, dec = zip(*some, strict=True) if some else ((), (), ())
    return [None if one is None else shape_to_bytes(one) for one in regions], ra, dec


@settings(max_examples=200, deadline=None)
@given(st.lists(places(), max_size=6))
def test_boxes_of_many_are_those_of_each(some):
    for box, one in zip(boxes_of(*as_columns(some)), some, strict=True):
        wanted = box_of(*one)
        if wanted is None:
            assert np.isnan(box).all()
        else:
            assert box == pytest.approx(wanted, abs=1e-15)


@settings(max_examples=200, deadline=None)
@given(st.lists(places(), max_size=6))
def test_what_postgres_reads_of_many_is_what_it_reads_of_each(some):
    for many, one in zip(sphere_values_of(*as_columns(some)), some, strict=True):
        for text, wanted in zip(many, sphere_values(*one), strict=True):
            assert (text is None) == (wanted is None)
            if text is not None:
                numbers = [float(number) for number in NUMBER.findall(wanted)]
                found = [float(number) for number in NUMBER.findall(text)]
                assert found == pytest.approx(numbers, abs=1e-15)


odd = st.sampled_from([math.nan, math.inf, -0.0, 2**31, 2**63, True, "", "\0", "é", "\udcff", "1",
                       "x" * 2601, None, 1, 1.5])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([item.name for item in rows.STORED_COLUMNS]), odd))
def test_a_row_is_written_alike_whether_or_not_all_its_values_are_sound(changes):
    row = {"obs_publisher_did": "ivo://a/b?c", "obs_collection": "b", "obs_id": "c", "s_ra": 1.0,
           "calib_level": 2, "s_dec": 2.0, "t_xel": 1, "dataproduct_type": "image",
           "access_format": "image/fits"} | changes  # fmt: skip
    file = CataloguedFile("file:///c", "c", "b", "image/fits", 0.0, None, ())

    def written(values):
        try:
            return repr(rows.row_values(Observation(values, None, ()), file, 1, 2))
        except UsageError as error:
            return error.message

    # A number of another type is brought to that of its column, by the slower way.
    slow = {name: _Whole(value) if type(value) is int else value for name, value in row.items()}
    assert written(row) == written(slow)


@given(st.lists(st.one_of(st.text(max_size=4), odd.filter(lambda one: type(one) is str))))
def test_texts_are_sound_together_where_each_is(texts):
    assert values.are_sound_texts(texts) == all(values.is_sound(text, str) for text in texts)


class _Whole(int):
    """A whole number whose type is not just int, so that each value is looked at alone."""

    __repr__ = int.__repr__


cells = {
    "double": st.one_of(st.none(), st.floats(-1e9, 1e9), odd),
    "int": st.one_of(st.none(), st.integers(0, 5), odd),
    "long": st.one_of(st.none(), st.integers(0, 5), odd),
    "char": st.one_of(st.none(), st.text(max_size=3), odd),
}


@st.composite
def columns(draw):
    """Give files by column, plain but for some columns."""
    count = draw(st.integers(1, 4))
    made = {
        item.name: ["a"] * count if item.column.datatype == "char" else [1] * count
        for item in STORED_COLUMNS
        if not item.nullable
    }
    made["obs_publisher_did"] = [f"ivo://a/b?{at}" for at in range(count)]
    for item in draw(st.lists(st.sampled_from(STORED_COLUMNS), max_size=3)):
        made[item.name] = draw(
            st.lists(cells[item.column.datatype], min_size=count, max_size=count)
        )
    shapes = [shape_to_bytes(Circle(5.0, 5.0, 1.0)), None, None, None][:count]
    parts = draw(st.sampled_from([None, ["S1", "", "S2", ""][:count]]))
    names = [draw(st.sampled_from(["a.fits", "\udcff", "é\0"])) for _ in range(count)]
    return FileColumns(
        "raw", [f"file:///{at}" for at in range(count)], names, ["image/fits"] * count,
        [1.7e9] * count, ["v"] * count, [None, 5, 6, 7][:count], ["d"] * count, parts, shapes,
        made, {}, draw(st.sampled_from([None, 4])),
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(columns())
def test_files_by_column_are_written_as_each_of_them(files):
    def written(make, some):
        try:
            made = make(some, 5, 9)
        except UsageError:
            return None
        return repr((made.files, made.rows, made.combinations))

    assert written(_of_columns, files) == written(_of_each, list(files))

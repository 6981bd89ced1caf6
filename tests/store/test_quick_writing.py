"""What writers do for many rows at once is what they do for each."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.observation import CataloguedFile, Observation
from obscore.store import rows
from obscore.store.postgres.spheres import sphere_values, sphere_values_of
from obscore.store.sqlite.boxes import box_of, boxes_of
from vodal.errors import UsageError
from vodal.regions import Circle, Polygon

NUMBER = re.compile(r"[-+0-9.e]+")

angles = st.one_of(st.floats(0, 359.9), st.sampled_from([0.0, 90.0, 180.0, 359.999999]))
heights = st.one_of(st.floats(-89, 89), st.sampled_from([-89.0, 0.0, 89.0]))
sizes = st.sampled_from([1e-6, 1e-3, 0.5, 30.0])


@st.composite
def observations(draw):
    ra, dec, size = draw(angles), draw(heights), draw(sizes)
    ends = [(0, 0), (1, 0), (1, 1), (0, 1), (-0.5, 0.5)][: draw(st.integers(3, 5))]
    vertices = [((ra + size * x) % 360, min(90.0, dec + size * y)) for x, y in ends]
    region = draw(st.sampled_from([Polygon(tuple(vertices)), Circle(ra, dec, size), None]))
    place = draw(st.sampled_from([(ra, dec), (ra + 360.0, dec), (5, 7), (None, None), (ra, None)]))
    return Observation(dict(zip(("s_ra", "s_dec"), place, strict=True)), region, ())


@settings(max_examples=200, deadline=None)
@given(st.lists(observations(), max_size=6))
def test_boxes_of_many_are_those_of_each(some):
    for box, one in zip(boxes_of(some), map(box_of, some), strict=True):
        assert box == one or box == pytest.approx(one, abs=1e-15)


@settings(max_examples=200, deadline=None)
@given(st.lists(observations(), max_size=6))
def test_what_postgres_reads_of_many_is_what_it_reads_of_each(some):
    for many, one in zip(sphere_values_of(some), map(sphere_values, some), strict=True):
        assert many.keys() == one.keys()
        for name, text in one.items():
            assert (many[name] is None) == (text is None)
            if text is not None:
                wanted = [float(number) for number in NUMBER.findall(text)]
                found = [float(number) for number in NUMBER.findall(many[name])]
                assert found == pytest.approx(wanted, abs=1e-15)


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


class _Whole(int):
    """A whole number whose type is not just int, so that each value is looked at alone."""

    __repr__ = int.__repr__

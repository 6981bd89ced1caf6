"""What collections cover of time and wavelengths: as an aggregate of the rows tells it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obscore.coverage.app import make_maps
from obscore.coverage.extents import Extent, extent_of, united, united_intervals
from obscore.coverage.settings import CoverageSettings
from obscore.store.blocks import Placed
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.access.identity import Identity
from vodal.access.rules import EVERYTHING, AccessRule, AccessRules
from vodal.regions import Circle

numbers = st.none() | st.floats(1e-9, 1e5) | st.just(math.nan)
placed = st.builds(
    Placed, st.just("c"), st.none(), st.none(), st.tuples(numbers, numbers),
    st.tuples(numbers, numbers), st.tuples(st.sampled_from(["A", "B", None]), st.none()),
)  # fmt: skip


@given(st.lists(placed, max_size=12), st.integers(0, 12))
def test_parts_give_what_the_whole_gives(rows, at):
    whole = extent_of(rows)
    assert united([extent_of(rows[:at]), extent_of(rows[at:])]) == whole
    assert Extent.from_json(whole.to_json()) == whole


@given(st.lists(st.tuples(st.floats(1e-9, 1e3), st.floats(0, 1)), max_size=60))
def test_intervals_are_joined_without_losing_anything(given_):
    intervals = [(low, low + width) for low, width in given_]
    made = united_intervals(intervals)
    assert len(made) <= 20
    assert all(a[1] < b[0] for a, b in pairwise(made))
    for low, high in intervals:
        assert any(a <= low and high <= b for a, b in made)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_extents_are_those_of_the_rows_at_each_moment(kind, make_backend, tmp_path):
    files = list(make_catalogue(30, seed=3))
    bare = make_observation(
        "ivo://x/y?bare", None, obs_collection="bare", t_min=1.0, t_max=None, em_min=0.21,
        em_max=0.22, facility_name="Dish",
    )  # fmt: skip
    backend = make_backend(kind, [*files, make_file("file:///bare.fits", bare)])
    settings = CoverageSettings(wait_limit_s=300.0)
    maps = make_maps(backend, settings, {}, tmp_path)
    found = maps.extents(EVERYTHING)
    assert found["bare"] == Extent(None, ((0.21, 0.22),), ("Dish",), ("Synthcam",))
    rows = [one.row for file in files for one in file.observations]
    assert found["synthetic"].time_mjd == (
        min(row["t_min"] for row in rows), max(row["t_max"] for row in rows),
    )  # fmt: skip
    bands = {(row["em_min"], row["em_max"]) for row in rows}
    assert found["synthetic"].wavelengths_m == united_intervals(bands)
    # A collection without footprints has no map.
    assert maps.collections(EVERYTHING) == ["synthetic"]
    store = backend.writer()
    late = make_observation("ivo://x/y?late", Circle(1, 2, 0.1), t_min=70000.0, t_max=70001.0)
    store.write([make_file("file:///late.fits", late)])
    store.remove(["file:///bare.fits"])
    store.close()
    after = maps.extents(EVERYTHING)
    assert list(after) == ["synthetic"]
    assert after["synthetic"].time_mjd[1] == 70001.0
    again = make_maps(backend, settings, {}, tmp_path)
    assert again.extents(EVERYTHING) == after
    maps.close()
    again.close()


def test_extents_tell_of_no_image_that_one_may_not_know_of(make_backend, tmp_path):
    hidden = {"data": "released", "groups": ("g",), "metadata": "hidden"}
    observations = [
        make_observation(
            f"ivo://x/y?{name}", Circle(place, 0, 0.2), obs_collection=collection,
            obs_release_date=date, t_min=50000.0 + place, t_max=50001.0 + place,
        )
        for place, (name, collection, date) in enumerate(
            [("a", "dated", "2001-01-01"), ("b", "dated", "2999-01-01"), ("c", "shut", None)]
        )
    ]  # fmt: skip
    backend = make_backend("sqlite", [make_file("file:///x.fits", *observations)])
    maps = make_maps(backend, CoverageSettings(wait_limit_s=300.0), {}, tmp_path)
    rules = AccessRules(AccessRule.model_validate(hidden))
    public = maps.extents(rules.rights(Identity()))
    assert {name: one.time_mjd for name, one in public.items()} == {"dated": (50000.0, 50001.0)}
    member = maps.extents(rules.rights(Identity("m", frozenset({"g"}))))
    assert member["dated"].time_mjd == (50000.0, 50002.0)
    assert "shut" in member
    maps.close()

"""The kept counts of the columns with few values, against counting."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.store import schema
from obscore.store.facets import FACET_NAMES, changes, facet_key
from obscore.testing import make_file, make_observation
from vodal.errors import UsageError

NAMES = ", ".join(FACET_NAMES)


def kept_and_counted(case):
    kept = case.rows(f"SELECT {NAMES}, products FROM facets")
    counted = case.rows(f"SELECT {NAMES}, count(*) FROM obscore GROUP BY {NAMES}")
    return sorted(kept, key=repr), sorted(counted, key=repr)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def lasting(request, make_case):
    """Give a store that several examples use one after the other."""
    case = make_case(request.param)
    store = case.open()
    yield case, store
    store.close()


products = st.fixed_dictionaries(
    {
        "calib_level": st.integers(0, 4),
        "filter": st.sampled_from([None, "", "g", "r", "\u00e9\u2192", "x" * 2000]),
        "instrument_name": st.sampled_from([None, "Synthcam", "synthcam"]),
    }
)
writes = st.tuples(
    st.just("write"),
    st.dictionaries(st.integers(0, 3), st.lists(products, max_size=4), min_size=1, max_size=3),
)
removals = st.tuples(st.just("remove"), st.sets(st.integers(0, 3), max_size=3))


def apply(store, step):
    match step:
        case "write", files:
            store.write(
                [
                    make_file(
                        f"file:///{number}",
                        *(
                            make_observation(f"ivo://x/y?{number}/{part}", None, **row)
                            for part, row in enumerate(rows)
                        ),
                    )
                    for number, rows in files.items()
                ]
            )
        case "remove", numbers:
            store.remove([f"file:///{number}" for number in numbers])


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.one_of(writes, removals), max_size=8))
def test_the_kept_counts_are_those_of_the_rows(steps, lasting):
    case, store = lasting
    for step in steps:
        apply(store, step)
        kept, counted = kept_and_counted(case)
        assert kept == counted
    store.remove([f"file:///{number}" for number in range(4)])
    assert kept_and_counted(case) == ([], [])


def test_a_refused_write_changes_no_count(store, case):
    apply(store, ("write", {0: [{"filter": "g"}]}))
    taken = make_observation("ivo://x/y?0/0", None)
    with pytest.raises(UsageError, match="already taken"):
        store.write([make_file("file:///9", taken)])
    kept, counted = kept_and_counted(case)
    assert kept == counted
    assert len(kept) == 1


def test_writing_the_same_again_changes_nothing():
    assert changes({("g", 1): 3}, {("g", 1): 3}) == []


def test_null_and_empty_text_and_numbers_are_told_apart():
    keys = {facet_key((value,)) for value in (None, "", "1", 1, "None", "null", 0, "0")}
    assert len(keys) == 8


def test_the_counted_columns_are_columns_of_the_table_with_their_types():
    for name in FACET_NAMES:
        assert str(schema.facets.c[name].type) == str(schema.obscore.c[name].type)

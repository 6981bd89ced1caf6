"""The quick ways of making rows of facts give what the others give."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from obscore.assembly import check as checking
from obscore.assembly.bands import band_table
from obscore.assembly.context import Subject
from obscore.assembly.mapping import apply_mapping
from obscore.assembly.rules import PlacedRule, rules_for
from obscore.columns import COLUMNS
from obscore.mapping.rules import RESERVED, ColumnRule
from obscore.settings import ObsCoreSettings
from obscore.sources.base import UNKNOWN_SIZE, Candidate
from vodal.storage import FileStat

NAMES = [item.name for item in COLUMNS if item.name not in RESERVED]
RULES = rules_for(ObsCoreSettings(), "raw")
UNITS = {"t_exptime": "min", "em_min": "nm", "s_dec": "rad"}

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["1.5", "2020-01-01T00:00:00", "", " x  y ", "12", "nan", "1d3"]),
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), values, max_size=6), st.booleans())
def test_facts_named_as_columns_are_what_a_rule_would_make_of_them(facts, declared):
    subjects = [
        Subject(
            candidate=Candidate("x:/a", "a", "raw", FileStat(UNKNOWN_SIZE, "", 0.0), facts, (),
                                UNITS if declared else {}),
            rules=RULES, bands=band_table(*RULES.bands),
        )
        for _ in range(2)
    ]  # fmt: skip
    by_rule = {name: PlacedRule(ColumnRule(fact=(name,)), "test") for name in facts}
    quick, slow = apply_mapping(subjects[0], {}), apply_mapping(subjects[1], by_rule)
    assert quick == slow
    assert [type(quick[name]) for name in quick] == [type(slow[name]) for name in quick]
    assert subjects[0].notes == subjects[1].notes


@settings(max_examples=300, deadline=None)
@given(row=st.dictionaries(st.sampled_from([*NAMES, "no_column"]), values, max_size=6))
def test_types_are_judged_alike(row):
    quick = checking._types(row, None)
    plain, checking._are_plain = checking._are_plain, lambda _: False
    try:
        assert quick == checking._types(row, None)
    finally:
        checking._are_plain = plain

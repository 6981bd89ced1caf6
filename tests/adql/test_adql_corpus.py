"""Queries right and wrong: what each gives, or where and why it is refused."""

from __future__ import annotations

import pytest

from obscore import adql
from vodal.errors import QueryError

PYTHON = {
    "short": int,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "char": str,
    "unicodeChar": str,
}


def describe(column):
    extras = [f"[{column.unit}]" if column.unit else "", column.ucd or "", column.xtype or ""]
    words = " ".join(extra for extra in extras if extra)
    size = f"({column.arraysize})" if column.arraysize else ""
    return f"{column.name} {column.datatype}{size}{' ' if words else ''}{words}"


def test_right_queries_give_the_columns_of_the_golden_file(cases, golden, schema):
    answers = {}
    for query, _ in cases("valid.txt"):
        columns = adql.translate(query, schema).columns
        answers[query] = "; ".join(map(describe, columns))
        names = [column.name for column in columns]
        assert len(names) == len(set(names)), query
    golden("valid.txt", answers)


def test_right_queries_run_and_give_values_of_their_columns_types(cases, case):
    empty = []
    for query, _ in cases("valid.txt"):
        translated = case.translate(query, limit=50)
        rows = case.rows(translated)
        if not rows:
            empty.append(query)
        for row in rows:
            for value, column in zip(row, translated.columns, strict=True):
                assert value is None or type(value) is PYTHON[column.datatype], (query, column)
    assert len(empty) < 12, empty


def test_wrong_queries_are_refused_as_in_the_golden_file(cases, golden, schema):
    answers = {}
    for query, _ in cases("invalid.txt"):
        with pytest.raises(QueryError) as caught:
            adql.translate(query, schema)
        assert caught.value.line >= 1, query
        assert caught.value.column >= 1, query
        answers[query] = str(caught.value)
    golden("invalid.txt", answers)


def test_no_text_of_the_user_is_in_the_sql(cases, schema):
    marker = "zQ7"
    for query, _ in cases("valid.txt"):
        marked = query.replace("'obs", f"'{marker}").replace("AS n", f"AS {marker}")
        marked = marked.replace("AS t", f"AS {marker}").replace("t.", f"{marker}.")
        try:
            sql = adql.translate(marked, schema).sql
        except QueryError:
            continue
        assert marker not in sql
        assert "'" not in sql.replace("'ICRS'", "").replace("'/files/'", "").replace(
            "'point'", ""
        ).replace("'circle'", "")


def test_tables_are_named_in_order(schema):
    query = "SELECT 1 AS x FROM TAP_UPLOAD.targets t, ivoa.ObsCore o, ivoa.obscore p"
    assert adql.translate(query, schema).tables == ("TAP_UPLOAD.targets", "ivoa.obscore")


def test_metadata_goes_through_aliases_and_sub_queries(schema):
    query = "SELECT q.r AS ra FROM (SELECT s_ra AS r FROM ivoa.obscore) AS q"
    (column,) = adql.translate(query, schema).columns
    assert column.name == "ra"
    assert column.unit == "deg"
    assert column.ucd == "pos.eq.ra"
    assert column.utype == "obscore:Char.s_ra"


def test_columns_of_one_name_are_numbered(schema):
    query = "SELECT s_ra, S_RA, s_ra AS s_ra_2, COUNT(*), COUNT(*) FROM obscore GROUP BY s_ra"
    names = [column.name for column in adql.translate(query, schema).columns]
    assert names == ["s_ra", "S_RA_3", "s_ra_2", "count", "count_2"]


def test_an_error_says_what_was_found_and_expected(schema):
    with pytest.raises(QueryError) as caught:
        adql.translate("SELECT s_ra\nFROM ivoa.obscore\nWHERE s_ra >", schema)
    assert (caught.value.line, caught.value.column) == (3, 13)
    assert str(caught.value) == ("line 3, column 13: found the end of the query, expected a value")


@pytest.mark.parametrize(("query", "limit", "rows"), [
    ("SELECT obs_id FROM ivoa.obscore", None, 300),
    ("SELECT obs_id FROM ivoa.obscore", 7, 7),
    ("SELECT TOP 5 obs_id FROM ivoa.obscore", 7, 5),
    ("SELECT TOP 9 obs_id FROM ivoa.obscore", 7, 7),
    ("SELECT TOP 0 obs_id FROM ivoa.obscore", 7, 0),
    ("SELECT TOP 99999999999999999999999 obs_id FROM ivoa.obscore", None, 300),
    ("SELECT obs_id FROM ivoa.obscore OFFSET 298", None, 2),
    ("SELECT TOP 1 obs_id FROM ivoa.obscore ORDER BY obs_id OFFSET 298", None, 1),
    ("SELECT obs_id FROM ivoa.obscore OFFSET 298", 0, 0),
    ("SELECT TOP 5 obs_id FROM obscore UNION ALL SELECT name FROM TAP_UPLOAD.targets", 8, 8),
    ("SELECT TOP 5 obs_id FROM obscore UNION ALL SELECT name FROM TAP_UPLOAD.targets", None, 9),
    ("(SELECT TOP 5 obs_id FROM ivoa.obscore)", 3, 3),
    ("SELECT q.x FROM (SELECT TOP 4 s_ra AS x FROM ivoa.obscore) AS q", 7, 4),
])  # fmt: skip
def test_top_offset_and_the_outermost_limit(run, query, limit, rows):
    assert len(run(query, limit)) == rows

"""The page on ADQL names what the code has."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from obscore import adql
from obscore.adql import clauses, expressions, parser, relations, tokens
from obscore.adql.functions import FUNCTIONS, GEOMETRY_FUNCTIONS
from obscore.adql.parser import AGGREGATES
from obscore.adql.userdefined.catalogue import NOT_HERE, USER_FUNCTIONS
from vodal.errors import QueryError

DATA = Path(__file__).parent / "data"

PAGE = (Path(__file__).parents[2] / "docs" / "adql.md").read_text(encoding="utf-8")


def test_every_function_is_on_the_page():
    own = {item.name for item in USER_FUNCTIONS} | {name.lower() for name in NOT_HERE}
    named = [*FUNCTIONS, *GEOMETRY_FUNCTIONS, *AGGREGATES, "COALESCE", "CAST", "IN_UNIT", *own]
    for name in named:
        assert f"`{name}`" in PAGE or f"`{name}(" in PAGE, name


def grammar_rows():
    """Give the rows of the table of productions: names, functions, modules."""
    table = PAGE[PAGE.index("| production |") :].strip().split("\n")[2:]
    return [[re.findall(r"`([^`]+)`", cell) for cell in row.strip("|").split("|")] for row in table]


def test_every_production_of_the_grammar_is_in_the_table_once():
    listed = [name for names, _, _ in grammar_rows() for name in names]
    assert sorted(listed) == sorted((DATA / "productions.txt").read_text().split())


OWNERS = {"Parser": clauses.Parser, "Expressions": expressions.Expressions, "Lexer": tokens.Lexer}


def test_every_function_of_the_grammar_table_is_where_it_says():
    for _, functions, files in grammar_rows():
        sources = [
            inspect.getsource(importlib.import_module(f"obscore.adql.{file.removesuffix('.py')}"))
            for file in files
        ]
        for function in functions:
            owner, _, name = function.rpartition(".")
            assert not owner or hasattr(OWNERS[owner], name), function
            pattern = re.compile(rf"\bdef {name}\(|^{name}\b", re.MULTILINE)
            assert any(map(pattern.search, sources)), function


def test_limits_on_the_page_are_those_of_the_code():
    for limit in (tokens.MAX_LENGTH, tokens.MAX_TOKENS, clauses.MAX_ITEMS):
        assert f"{limit:,}" in PAGE
    limits = (parser.MAX_DEPTH, parser.MAX_CHAIN, clauses.MAX_TABLES, clauses.MAX_SETS)
    for limit in (*limits, relations.MAX_RELATIONS):
        assert f" {limit} " in PAGE.replace("\n", " ")


def test_searches_on_the_page_use_the_index(plan):
    block = PAGE[PAGE.index("    CONTAINS(<shape>") : PAGE.index("`<shape>` may be")]
    shape, point = "CIRCLE('ICRS', 10, 0.5, 1)", "POINT(10, 0.5)"
    forms = [
        form for line in block.strip().splitlines() for form in re.split(r"\s{2,}", line) if form
    ]
    assert len(forms) == 8
    for form in forms:
        where = form.replace("<shape>", shape).replace("<point>", point)
        where = where.replace("...", "10, 0.5").replace(" ra, dec", " 10, 0.5")
        where = re.sub(r"\br\b", "0.5", where)
        steps = plan(f"SELECT obs_id FROM ivoa.obscore WHERE {where}")
        assert "SCAN obscore_rtree VIRTUAL TABLE INDEX" in steps, where


def test_the_join_on_the_page_runs(run):
    start = PAGE.index("    SELECT t.name, o.obs_id")
    run(PAGE[start : PAGE.index("The columns may come out")])


@pytest.mark.parametrize("word", ["CASE", "NULLIF", "EXTRACT"])
def test_what_is_not_adql_is_refused_by_name(word, schema):
    with pytest.raises(QueryError, match=word):
        adql.translate(f"SELECT {word}(s_ra, 1) FROM ivoa.obscore", schema)

"""The parameters of a query."""

from __future__ import annotations

import pytest

from obscore.tap.request import read_request
from obscore.tap.settings import TapSettings
from vodal.errors import SkylaneError, UsageError
from vodal.params import Params

SETTINGS = TapSettings(default_rows=100, max_rows=1000, max_query_chars=50)


def read(**given: str):
    return read_request(Params(given.items()), SETTINGS)


def test_defaults():
    asked = read(LANG="ADQL", QUERY="SELECT 1")
    assert (asked.query, asked.max_rows, asked.format.name) == ("SELECT 1", 100, "votable")


def test_names_have_no_case_and_unknown_ones_are_passed_over():
    asked = read(lang="adql-2.1", query="q", request="DOQUERY", runid="x", maxRec="5", what="ever")
    assert asked.max_rows == 5


def test_format_is_another_name_of_responseformat():
    assert read(LANG="ADQL", QUERY="q", FORMAT="csv").format.name == "csv"
    assert read(LANG="ADQL", QUERY="q", RESPONSEFORMAT="text/csv").format.name == "csv"


def test_maxrec_is_cut_to_the_hard_limit():
    assert read(LANG="ADQL", QUERY="q", MAXREC="99999999999").max_rows == 1000
    assert read(LANG="ADQL", QUERY="q", MAXREC="0").max_rows == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"QUERY": "q"}, "LANG is missing"),
        ({"LANG": "ADQL"}, "QUERY is missing"),
        ({"LANG": "PSQL", "QUERY": "q"}, "unknown query language; use one of ADQL"),
        ({"LANG": "ADQL-3.0", "QUERY": "q"}, "unknown query language"),
        ({"LANG": "ADQL", "QUERY": "q", "REQUEST": "getCapabilities"}, "REQUEST takes doQuery"),
        ({"LANG": "ADQL", "QUERY": "q", "MAXREC": "many"}, "MAXREC takes a whole number"),
        ({"LANG": "ADQL", "QUERY": "q", "MAXREC": "-1"}, "MAXREC must be 0 or more"),
        ({"LANG": "ADQL", "QUERY": "q", "FORMAT": "word"}, "FORMAT 'word'"),
        ({"LANG": "ADQL", "QUERY": "q" * 51}, "51 characters; this service takes 50"),
    ],
)
def test_what_is_wrong_is_named(given, sentence):
    with pytest.raises(UsageError, match=sentence):
        read(**given)


def test_a_parameter_given_twice_is_refused():
    params = Params([("LANG", "ADQL"), ("QUERY", "a"), ("QUERY", "b")])
    with pytest.raises(SkylaneError, match="QUERY may be given only once"):
        read_request(params, SETTINGS)

"""Texts that were not meant to be answered: an error or an answer, soon."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import apsw
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from obscore import adql
from obscore.adql.tokens import RESERVED
from vodal.errors import QueryError

QUIET = [HealthCheck.function_scoped_fixture]

HEAD = "SELECT obs_id FROM ivoa.obscore WHERE "

HOSTILE = {
    "parentheses": HEAD + "(" * 20_000 + "1=1" + ")" * 20_000,
    "parentheses in FROM": "SELECT a FROM " + "(" * 20_000,
    "a bare row of parentheses": "(" * 20_000,
    "functions": "SELECT " + "ABS(" * 20_000,
    "not": HEAD + "NOT " * 20_000 + "1=1",
    "signs": HEAD + "s_ra = " + "- " * 20_000 + "1",
    "pluses": "SELECT " + "1+" * 20_000 + "1 FROM ivoa.obscore",
    "columns": "SELECT " + "s_ra," * 20_000 + "s_ra FROM ivoa.obscore",
    "stars": "SELECT " + "o.*," * 900 + "o.* FROM ivoa.obscore AS o",
    "and": HEAD + " AND ".join(["s_ra > 1"] * 9_000),
    "or": HEAD + " OR ".join(["s_ra = 1"] * 9_000),
    "tables": "SELECT 1 AS x FROM " + ",".join(f"ivoa.obscore AS a{i}" for i in range(5_000)),
    "joins": "SELECT 1 AS x FROM ivoa.obscore AS a" + "".join(
        f" JOIN ivoa.obscore AS b{i} ON 1=1" for i in range(3_000)
    ),
    "sub-queries": "SELECT * FROM " + "(SELECT * FROM " * 2_000 + "ivoa.obscore",
    "exists": HEAD + "EXISTS (SELECT 1 AS x FROM ivoa.obscore WHERE " * 1_000,
    "unions": " UNION ".join(["SELECT s_ra FROM ivoa.obscore"] * 2_000),
    "with": "WITH " + ", ".join(f"a{i} AS (SELECT s_ra FROM ivoa.obscore)" for i in range(2_000)),
    "number": HEAD + "s_ra = " + "9" * 200_000,
    "fraction": HEAD + "s_ra = 0." + "9" * 200_000 + " AND",
    "blanks": HEAD + " " * 200_000 + "@",
    "comments": HEAD + "--\n" * 60_000 + "@",
    "quotes": HEAD + "'" * 200_001,
    "double quotes": "SELECT " + '"' * 200_001,
    "dots": "SELECT " + "a." * 20_000 + "b FROM ivoa.obscore",
    "a long name": "SELECT " + "a" * 200_000 + " FROM ivoa.obscore",
    "concatenations": "SELECT " + "'a'||" * 20_000 + "'b' FROM ivoa.obscore",
    "order": "SELECT s_ra FROM ivoa.obscore ORDER BY " + "s_ra," * 20_000 + "s_ra",
    "vertices": "SELECT POLYGON(" + "s_ra, s_dec," * 5_000 + "1, 2) AS p FROM ivoa.obscore",
    "over two million characters": HEAD + " " * 2_000_001,
    "unicode": HEAD + "\U0001f52d" * 50_000,
    "nothing": "\0" * 50_000,
}  # fmt: skip


@pytest.fixture(autouse=True)
def heap():
    """Keep what other tests left out of the garbage collector's rounds, which are timed here."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_refused_in_milliseconds(name, schema):
    start = time.thread_time()
    with pytest.raises(QueryError) as caught:
        adql.translate(HOSTILE[name], schema)
    # They have up to 200 kB; 10 kB may take 0.1 s.
    assert time.thread_time() - start < 1.0
    assert len(str(caught.value)) < 300
    assert caught.value.line >= 1


def test_a_list_of_200_kilobytes_is_answered(schema, database):
    numbers = ",".join(str(i) for i in range(40_000))
    words = ",".join(f"'obs{i}'" for i in range(20_000))
    for where in (f"access_estsize IN ({numbers})", f"obs_id NOT IN ({words})"):
        start = time.thread_time()
        translated = adql.translate(HEAD + where, schema)
        assert time.thread_time() - start < 0.2
        database.execute(translated.sql, translated.params).fetchall()


def test_the_largest_queries_that_are_taken_run(case):
    deep = "s_ra"
    for _ in range(45):
        deep = f"(1 - ABS({deep}) * 2)" if deep.count("(") < 46 else deep
    chain = " + ".join(["s_ra"] * 250)
    many = " OR ".join(f"s_ra = {i} AND obs_id <> '{i}'" for i in range(2_000))
    where = "s_ra > 1"
    for _ in range(48):
        where = f"NOT ({where})"
    inner = "ivoa.obscore AS q"
    for _ in range(40):
        inner = f"(SELECT q.obs_id FROM {inner}) AS q"
    joins = " ".join(f"JOIN ivoa.obscore AS b{i} ON b{i}.obs_id = a.obs_id" for i in range(31))
    ring = ",".join(f"{10 + i / 1e4}, {(i % 2) / 10}" for i in range(5_000))
    for query in (
        f"SELECT {deep} AS x FROM ivoa.obscore",
        f"SELECT {chain} AS x FROM ivoa.obscore",
        HEAD + many,
        HEAD + where,
        f"SELECT * FROM {inner}",
        f"SELECT a.obs_id FROM ivoa.obscore AS a {joins}",
        HEAD + f"INTERSECTS(s_region, POLYGON({ring})) = 1",
        " UNION ".join(["SELECT s_ra FROM ivoa.obscore"] * 50),
        "SELECT " + ", ".join(["s_ra"] * 1000) + " FROM ivoa.obscore",
        "SELECT COUNT(*) FROM ivoa.obscore GROUP BY " + ", ".join(["s_ra"] * 1000),
    ):
        case.run(query, 2)


def test_named_queries_that_double_do_not_grow_without_bound(schema):
    parts = ["w0 AS (SELECT s_ra FROM ivoa.obscore)"]
    parts += [f"w{i} AS (SELECT a.s_ra FROM w{i - 1} AS a, w{i - 1} AS b)" for i in range(1, 25)]
    query = f"WITH {', '.join(parts)} SELECT * FROM w24"
    assert len(adql.translate(query, schema).sql) < 5_000


def test_no_pattern_of_like_takes_long(database):
    text = "a" * 5_000
    start = time.thread_time()
    for pattern in ("%a" * 30 + "%b", "%a%b" * 100, "_%" * 200 + "b", "%" * 5_000 + "b"):
        for function in ("adql_like", "adql_ilike"):
            ((answer,),) = database.execute(f"SELECT {function}(?, ?)", (text, pattern))
            assert answer == 0
    assert time.thread_time() - start < 1.0


TOKENS = [
    *sorted(RESERVED), "obs_id", "s_ra", "s_dec", "s_region", "calib_level", "obscore", "ivoa",
    "ivoa.obscore", "TAP_UPLOAD", "targets", "t", "o", "q", "name", "numbers", "test.numbers",
    "1", "0", "2.5", "1e3", "'a'", "'ICRS'", "'it''s'", '"Mixed Case"', '"x"', "*", "(", ")", ",",
    ".", ";", "+", "-", "/", "||", "=", "<", ">", "<>", "!=", "<=", ">=", "--\n", "\n", "t.*",
    "COUNT(*)", "POINT(1,2)", "CIRCLE(1,2,3)", "s_ra > 1", "SELECT s_ra FROM ivoa.obscore",
]  # fmt: skip


def first_rows(database, translated):
    cursor = database.execute(translated.sql, translated.params | {"base_url": ""})
    return list(islice(cursor, 2))


def answer_or_refuse(query, schema, database):
    """Translate; what is translated must run."""
    start = time.thread_time()
    refused, translated = None, None
    try:
        translated = adql.translate(query, schema, limit=3)
    except QueryError as error:
        refused = error
    assert time.thread_time() - start < 1.0  # `fuzz_bytes.py` measures a tenth of that
    if refused is not None:
        assert refused.line >= 1
        assert str(refused)
    if translated is not None:
        try:
            first_rows(database, translated)
        except apsw.InterruptError:
            return  # the deadline of the fixture


@pytest.fixture(scope="module")
def hasty(database):
    """Give the database with a deadline, as a service has it."""
    steps = 0

    def too_long():
        nonlocal steps
        steps += 1
        return steps % 50 == 0

    database.set_progress_handler(too_long, 20_000)
    yield database
    database.set_progress_handler(None, 0)


@settings(max_examples=300, deadline=None, suppress_health_check=QUIET)
@given(words=st.lists(st.sampled_from(TOKENS), max_size=25))
def test_words_in_any_order(words, schema, hasty):
    answer_or_refuse(" ".join(words), schema, hasty)
    answer_or_refuse(f"SELECT {' '.join(words)} FROM ivoa.obscore AS o", schema, hasty)
    answer_or_refuse(f"{HEAD}{' '.join(words)}", schema, hasty)


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(
    text=st.one_of(st.text(max_size=200), st.binary(max_size=500).map(lambda b: b.decode("latin1")))
)
@example(text="\x00")
@example(text="\ud800")
@example(text="SELECT '\ud800' FROM ivoa.obscore")
def test_any_text(text, schema, hasty):
    answer_or_refuse(text, schema, hasty)
    answer_or_refuse(HEAD + text, schema, hasty)


def test_ten_kilobytes_of_anything_are_refused_or_translated(schema, hasty):
    rng = random.Random(5)
    for _ in range(40):
        words = []
        while sum(map(len, words)) < 10_000:
            words.append(rng.choice(TOKENS))
        answer_or_refuse(" ".join(words)[:10_000], schema, hasty)
        answer_or_refuse("".join(chr(rng.randrange(1, 300)) for _ in range(10_000)), schema, hasty)


def changed(queries, rng):
    """Give a query with a word or two changed."""
    words = rng.choice(queries).replace("(", " ( ").replace(",", " , ").split(" ")
    for _ in range(rng.randrange(1, 3)):
        at = rng.randrange(len(words))
        match rng.randrange(4):
            case 0:
                words[at] = rng.choice(TOKENS)
            case 1:
                words.insert(at, rng.choice(TOKENS))
            case 2 if len(words) > 1:
                del words[at]
            case _:
                other = rng.randrange(len(words))
                words[at], words[other] = words[other], words[at]
    return " ".join(words)


def test_right_queries_with_a_word_changed(cases, schema, hasty):
    rng = random.Random(11)
    queries = [query for query, _ in cases("valid.txt")]
    for _ in range(1_500):
        answer_or_refuse(changed(queries, rng), schema, hasty)


def test_what_is_taken_is_taken_by_postgresql_too(cases, hasty, both):
    rng = random.Random(12)
    queries = [query for query, _ in cases("valid.txt")]
    taken = 0
    for _ in range(4_000):
        query = changed(queries, rng)
        try:
            both(query)
        except QueryError:
            continue
        except psycopg.Error as error:
            raise AssertionError(query) from error
        taken += 1
    assert taken > 100


@pytest.mark.parametrize("blank", ["\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2003", "\u3000"])
def test_every_blank_separates(blank, run):
    query = (
        f"SELECT{blank}id FROM test.numbers WHERE id IN (1,{blank}2{blank}, 3) ORDER{blank}BY id"
    )
    assert run(query) == [(1,), (2,), (3,)]
    query = f"SELECT id FROM test.numbers WHERE a IN ('abc',{blank}'a_c'{blank})"
    assert run(query) == [(1,), (2,)]


def test_bytes_that_atheris_invents_are_refused_or_translated(tmp_path):
    """A few thousand of one seed; `fuzz_bytes.py` says how to run for longer."""
    script = Path(__file__).parent / "fuzz_bytes.py"
    done = subprocess.run(
        [sys.executable, script, "-runs=4000", "-seed=1", "-slow_ms=2000"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done 4000 runs" in done.stderr

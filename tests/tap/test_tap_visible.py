"""Tables that are hidden from who asks: against a store in which they were never published."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from obscore.app import create_apps
from obscore.declared.tables import DeclaredColumn, DeclaredKey, DeclaredSchema, DeclaredTable
from obscore.tap.metadata import tableset
from obscore.tap.query import QueryRunner
from obscore.tap.settings import TapSettings
from obscore.testing import make_file, make_observation
from vodal.access.identity import ANONYMOUS, Identity
from vodal.access.rules import EVERYTHING, AccessRule, AccessRules, TableRule
from vodal.errors import AuthorizationError, QueryError
from vodal.regions import Circle
from vodal.tables.columns import Column
from vodal.testing.asgi import AppClient
from vodal.web.auth.middleware import Authentication
from vodal.web.auth.settings import AccessSettings

RULES = AccessRules(
    tables={
        "cat.secret": TableRule(groups=("g",), metadata="hidden"),
        'cat."Odd.name"': TableRule(groups=("g", "h"), metadata="hidden"),
        "INNER.*": TableRule(groups=("g",), metadata="hidden"),
        "cat.shown": TableRule.model_validate(["g"]),
    }
)
NOBODY, MEMBER = RULES.rights(ANONYMOUS), RULES.rights(Identity("m", frozenset({"g"})))
SOME = RULES.rights(Identity("s", frozenset({"h"})))

HIDDEN = ("cat.secret", 'cat."Odd.name"', '"inner".one', '"inner"."a.b"')
FREE = ("cat.stars", "cat.shown")

LISTS = {
    "schemas": "schema_name, utype, description",
    "tables": "schema_name, table_name, table_type, utype, description",
    "columns": "table_name, column_name, datatype, unit, indexed, column_index",
    "keys": "key_id, from_table, target_table",
    "key_columns": "key_id, from_column, target_column",
}


def table(name: str, *refers_to: str) -> DeclaredTable:
    return DeclaredTable(
        name,
        (
            DeclaredColumn(Column("star", "int"), nullable=False),
            DeclaredColumn(Column("mag", "float", unit="mag")),
        ),
        f"About {name}",
        primary_key=("star",),
        foreign_keys=tuple(
            DeclaredKey(f"{name}_{target}", ("star",), target, ("star",)) for target in refers_to
        ),
    )


CAT = DeclaredSchema(
    "cat",
    (
        table("stars", "secret", "shown"),
        table("secret", "stars"),
        table("Odd.name", "stars"),
        table("shown"),
    ),
    "Catalogues",
)
INNER = DeclaredSchema("inner", (table("one", "a.b"), table("a.b")), "Of the staff")

LEFT = replace(CAT, tables=(table("stars", "shown"), table("shown")))
"""What is there of these for nobody in particular."""


def runner_of(backend, *schemas) -> QueryRunner:
    with closing(backend.tables()) as tables:
        for schema in schemas:
            tables.publish(schema, {})
    return QueryRunner(backend.engine(connections=2, wait_s=20.0, batch_rows=1000), TapSettings())


@pytest.fixture(scope="module")
def without(make_backend):
    runner = runner_of(make_backend("sqlite"), LEFT)
    yield runner
    runner.close()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def backend(request, make_backend):
    image = make_observation("ivo://skylane.test/x?1", Circle(1.0, 2.0, 0.1), obs_collection="open")
    return make_backend(request.param, [make_file("file:///x.fits", image)])


@pytest.fixture(scope="module")
def runner(backend):
    made = runner_of(backend, CAT, INNER)
    yield made
    made.close()


def ask(runner, query, rights=EVERYTHING) -> list[tuple[object, ...]]:
    return sorted(
        (tuple(row.values()) for row in runner.rows(query, 1000, rights=rights)), key=repr
    )


@pytest.mark.parametrize("name", LISTS)
def test_tap_schema_is_as_if_they_were_not_there(runner, without, name):
    query = f"SELECT {LISTS[name]} FROM TAP_SCHEMA.{name}"
    assert ask(runner, query, NOBODY) == ask(without, query)
    assert ask(runner, query, MEMBER) == ask(runner, query) != ask(without, query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT COUNT(*) AS n, MAX(table_name) AS x FROM TAP_SCHEMA.columns",
        "SELECT schema_name, COUNT(*) AS n FROM TAP_SCHEMA.tables GROUP BY schema_name",
        (
            "SELECT DISTINCT t.table_name FROM TAP_SCHEMA.tables AS t"
            " LEFT JOIN TAP_SCHEMA.columns AS c"
            " ON c.table_name = t.table_name WHERE NOT c.column_name = 'x'"
        ),
        (
            "SELECT s.schema_name, t.table_name FROM TAP_SCHEMA.schemas AS s FULL JOIN"
            " TAP_SCHEMA.tables AS t ON s.schema_name = t.schema_name"
        ),
        (
            "SELECT table_name FROM tap_schema.TABLES WHERE table_name IN (SELECT from_table"
            " FROM TAP_SCHEMA.keys UNION SELECT target_table FROM TAP_SCHEMA.keys)"
        ),
        "WITH mine AS (SELECT * FROM TAP_SCHEMA.tables) SELECT COUNT(*) AS n FROM mine",
        "SELECT COUNT(*) AS n FROM TAP_SCHEMA.schemas WHERE schema_name LIKE '%inner%'",
    ],
)
def test_no_form_of_a_query_tells_of_them(runner, without, query):
    assert ask(runner, query, NOBODY) == ask(without, query)
    assert ask(runner, query, MEMBER) == ask(runner, query)


def test_vosi_tells_the_same(runner, without):
    known = runner.published(rights=NOBODY)
    assert tableset(known.beside) == tableset(without.published().beside)
    names = {item.full_name for item in known.schema.tables}
    assert names == {item.full_name for item in without.published().schema.tables}
    # The same value again, by which translations are kept; and all for who may know of all.
    assert runner.published(rights=NOBODY) is known
    assert runner.published(rights=MEMBER) is runner.published()


def test_a_query_of_one_is_wrong_as_that_of_any_other_name(runner, without):
    for name in HIDDEN:
        query = f"SELECT star FROM {name}"
        with pytest.raises(QueryError) as told:
            runner.run(query, 10, "", rights=NOBODY)
        with pytest.raises(QueryError) as other:
            without.run(query, 10, "")
        assert str(told.value) == str(other.value)
        assert ask(runner, query, MEMBER) == []
    # Names that are near to theirs are not told either.
    with pytest.raises(QueryError) as told:
        runner.run("SELECT star FROM cat.secre", 10, "", rights=NOBODY)
    assert "secret" not in str(told.value)


def test_who_may_know_of_some_knows_of_these(runner):
    (count,) = ask(runner, "SELECT COUNT(*) FROM TAP_SCHEMA.tables WHERE table_name LIKE 'cat.%'",
                   SOME)  # fmt: skip
    assert count == (3,)
    assert ask(runner, 'SELECT star FROM cat."Odd.name"', SOME) == []
    with pytest.raises(QueryError):
        runner.run("SELECT star FROM cat.secret", 10, "", rights=SOME)


def test_one_that_is_shown_is_described_and_closed(runner):
    for rights in (NOBODY, SOME):
        with pytest.raises(AuthorizationError, match=r"cat\.shown is for members"):
            runner.run("SELECT star FROM cat.shown", 10, "", rights=rights)


def test_plans_count_no_rows_that_are_hidden(runner):
    for query in ("SELECT * FROM TAP_SCHEMA.columns", "SELECT 1 AS x FROM tap_schema.keys"):
        with pytest.raises(AuthorizationError, match="all tables"):
            runner.explain(query, rights=NOBODY)
        assert runner.why(query, rights=NOBODY).startswith("it computes too much")
    assert runner.explain("SELECT obs_id FROM ivoa.obscore", rights=NOBODY).steps


def test_rules_of_images_and_of_tables_hold_together(runner):
    closed = AccessRule(data="groups", groups=("g",), metadata="hidden")
    rules = AccessRules(closed, tables={"inner.*": TableRule(groups=("g",), metadata="hidden")})
    rights = rules.rights(ANONYMOUS)
    assert ask(runner, "SELECT COUNT(*) AS n FROM ivoa.obscore", rights) == [(0,)]
    named = "SELECT table_name FROM TAP_SCHEMA.tables WHERE table_name LIKE '%inner%'"
    assert ask(runner, named, rights) == []
    assert len(ask(runner, named)) == 2


def test_a_table_that_is_published_meanwhile_is_not_seen_before_it_is_looked_at(backend, runner):
    later = DeclaredSchema("inner", (*INNER.tables, table("later")), "Of the staff")
    named = "SELECT table_name FROM TAP_SCHEMA.tables WHERE table_name LIKE '%later'"
    known = runner.published(rights=NOBODY)
    with closing(backend.tables()) as tables:
        tables.publish(later, {})
    assert ask(runner, named, NOBODY) == []
    runner.published(renewed=True)
    assert ask(runner, named, NOBODY) == []
    assert ask(runner, named, MEMBER) == [('"inner".later',)]
    assert runner.published(rights=NOBODY).schema is not known.schema


def test_pages_and_documents_leave_them_out(backend, runner):
    apps = create_apps(backend=backend, public=NOBODY)
    wrap = Middleware(Authentication, [], RULES, AccessSettings())
    client = AppClient(Starlette(routes=[Mount("/tap", apps.tap)], middleware=[wrap]))
    for path in ("/tap/", "/tap/tables", "/tap/tables?detail=min"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "cat.shown" in answer.text
        assert "secret" not in answer.text
        assert "Of the staff" not in answer.text
        assert "about one" not in answer.text.lower()
    assert client.get("/tap/tables/cat.shown").status_code == 200
    for name in HIDDEN:
        assert client.get(f"/tap/tables/{quote(name)}").status_code == 404

    async def stop() -> None:
        async with apps.tap.router.lifespan_context(apps.tap):
            pass

    asyncio.run(stop())

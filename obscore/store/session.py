"""Statements that are the same in every database, run within a writer's turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import TEXT, Boolean, ColumnElement, Executable, bindparam, cast
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from typing_extensions import override

__all__ = ["Session", "among", "runner", "text_value"]


class Session(Protocol):
    """The transaction of a writer, who has the turn until it ends."""

    def __call__(self, statement: Executable, **values: Any) -> list[tuple[Any, ...]]:
        """Run a statement; gives its rows.

        Parameters
        ----------
        statement
            Made once: what it is in the database's SQL is kept.
        **values
            Of its parameters; lists for those of `among`.
        """
        ...


class among(ColumnElement[bool]):  # noqa: N801 - a function of SQL, as SQLAlchemy spells them
    """Tells whether a column's text is in a list, the value of a parameter of this name."""

    inherit_cache = False
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column, self.name = column, name

    @override
    def self_group(self, against: Any = None) -> ColumnElement[Any]:
        """Stand in a condition as it is: SQLite takes no index where ``= 1`` follows."""
        return self


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: SQLCompiler, **kwargs: Any) -> str:
    column = compiler.process(element.column, **kwargs)
    return f"{column} IN (SELECT value FROM json_each(:{element.name}))"  # noqa: S608 - of ours


@compiles(among, "postgresql")
def _among_postgres(element: among, compiler: SQLCompiler, **kwargs: Any) -> str:
    column = compiler.process(element.column, **kwargs)
    return f"{column} = ANY(CAST(%({element.name})s AS TEXT[]))"


def text_value(name: str) -> ColumnElement[Any]:
    """Give a parameter that is a text or NULL; PostgreSQL cannot tell the type of that itself."""
    return cast(bindparam(name), TEXT)


def runner(
    compile_sql: Callable[[Executable], str],
    execute: Callable[[str, Mapping[str, Any]], list[tuple[Any, ...]]],
    *,
    lists: bool,
) -> Session:
    """Make a session of what a database offers.

    Parameters
    ----------
    compile_sql
        Gives a statement in its SQL.
    execute
        Runs SQL, gives the rows.
    lists
        Whether it takes lists as they are; as JSON otherwise.
    """
    compiled = _kept(compile_sql)

    def run(statement: Executable, **values: Any) -> list[tuple[Any, ...]]:
        named = {name: _value(value, lists=lists) for name, value in values.items()}
        return execute(compiled(statement), named)

    return run


@lru_cache
def _kept(compile_sql: Callable[[Executable], str]) -> Callable[[Executable], str]:
    return lru_cache(maxsize=256)(compile_sql)


def _value(value: Any, *, lists: bool) -> Any:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return value
    return list(value) if lists else json.dumps(list(value))

"""ADQL 2.1: from a query's text to SQL of the database, with the metadata of its result.

In the order that a query takes:

- `tokens`: words and their places; reserved words; limits of length
- `nodes`: the tree of a query as written
- `parser`: values and conditions; `clauses`: queries, joins, sub-queries
- `schema`: the tables and columns that a query can name
- `names`: scopes and look-up; `types`: kinds and metadata; `units`; `functions`: signatures
- `expressions`: checked values and conditions; `calls`: functions; `geometry`: shapes;
  `arithmetic`: what is known before computing; `grouping`: GROUP BY's rule
- `userdefined`: the functions of the IVOA's catalogue; `moc`: coverage maps
- `bound`: the tree with every name resolved; `resolver`: makes it; `relations`: FROM; `outputs`:
  columns of results
- `passes`: look-ups in the spatial index; `inherited`: sub-queries that pass it on
- `rewriting`: rules that make it quicker; `extremes`: MIN and MAX of a whole table; `facets`:
  columns with few values, answered from kept counts
- `fetched`: columns that are made after the rows were fetched
- `wording`: conditions in ADQL again, for explanations
- `printing`: what printers share; `sqlite`, `postgres`: print SQL of their database, and have the
  functions that this SQL calls

Parsing and resolving know no database; another one takes another printer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from obscore.adql import bound
from obscore.adql.clauses import parse
from obscore.adql.fetched import with_sources
from obscore.adql.resolver import Resolver
from obscore.adql.rewriting import rewritten
from obscore.adql.schema import ColumnDef, FacetTable, Schema, SpatialIndex, TableDef
from obscore.adql.sqlite.printer import Printer
from vodal.errors import QueryError
from vodal.tables.columns import Column

if TYPE_CHECKING:
    import apsw

__all__ = [
    "ColumnDef",
    "FacetTable",
    "QueryPrinter",
    "Schema",
    "SpatialIndex",
    "TableDef",
    "Translated",
    "register",
    "translate",
]


@dataclass(frozen=True, slots=True)
class Translated:
    """A query as the database takes it."""

    sql: str
    params: dict[str, object]
    """By name. A caller whose columns use ``base_url`` adds that one."""
    columns: tuple[Column, ...]
    """Of the result, in order; names are unique."""
    tables: tuple[str, ...]
    """Full names of the tables that the query reads."""
    made: tuple[int, ...] = ()
    """Places (from 0) of the columns that the SQL gives as the value they are made of
    (`ColumnDef.made_of`)."""
    resolved: bound.Query | None = field(default=None, compare=False)
    """What the SQL was printed from, for explanations."""


class QueryPrinter(Protocol):
    """Prints one resolved query as SQL of one database."""

    @property
    def params(self) -> dict[str, object]:
        """The parameters of the SQL by name, after `query` has been called."""
        ...

    def query(self, query: bound.Query, limit: int | None = None) -> str:
        """Print a query that gives ``limit`` rows at most; its columns are called c1, c2 ..."""
        ...

    def condition(self, condition: bound.Condition) -> str:
        """Print a condition on rows of tables that are called as their relations."""
        ...


def translate(
    query: str,
    schema: Schema,
    *,
    limit: int | None = None,
    printer: Callable[[], QueryPrinter] = Printer,
) -> Translated:
    """Translate a query to SQL, of SQLite by default.

    Parameters
    ----------
    query
        In ADQL 2.1.
    schema
        What the query can name.
    limit
        Most rows to give, however many TOP asks for.
    printer
        Makes the printer of the database's SQL.

    Raises
    ------
    QueryError
        If the query is wrong or asks for what is not supported, naming line and column.
    """
    try:
        resolver = Resolver(query, schema)
        resolved = rewritten(resolver.query(parse(query)))
        printing = printer()
        with_rest, made = with_sources(resolved)
        sql = printing.query(with_rest, limit)
    except RecursionError:
        raise QueryError("the query is nested too deeply", 1, 1) from None
    columns = _unique(resolved.columns)
    return Translated(sql, printing.params, columns, tuple(resolver.tables), made, resolved)


def register(connection: apsw.Connection) -> None:
    """Give a connection the functions that translated queries call."""
    from obscore.adql.sqlite.functions import register as register_functions  # noqa: PLC0415

    register_functions(connection)


def _unique(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Make names unique by a number behind those that come again."""
    taken = {column.name.lower() for column in columns}
    seen: set[str] = set()
    result = []
    for column in columns:
        name, number = column.name, 2
        while name.lower() in seen or (name != column.name and name.lower() in taken):
            name = f"{column.name}_{number}"
            number += 1
        seen.add(name.lower())
        result.append(column.called(name))
    return tuple(result)

"""What is the same in every database's SQL: the clauses of a query and its conditions."""

# ruff: noqa: S608 - no text of the user is ever in the SQL: literals are bound, names are ours

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from obscore.adql import bound as b
from obscore.adql.schema import Among, RowFilter, TableDef
from obscore.adql.types import Kind

__all__ = ["QueryPrinting", "is_narrow", "is_one_row", "is_point", "map_predicate", "quoted"]


def quoted(name: str) -> str:
    """Write a name of the database."""
    return '"' + name.replace('"', '""') + '"'


def is_point(value: b.Value) -> bool:
    """Tell whether a value is a point made of two numbers."""
    return isinstance(value, b.Function) and value.name == "POINT"


def map_predicate(name: str, first: b.Value, second: b.Value) -> tuple[str, b.MocValue, b.Value]:
    """Give the function for a predicate of a coverage map and a geometry, the map, the geometry."""
    if isinstance(first, b.MocValue):
        return ("moc_meets" if name == "INTERSECTS" else "moc_within"), first, second
    assert isinstance(second, b.MocValue)
    return ("moc_meets" if name == "INTERSECTS" else "moc_contains"), second, first


def is_narrow(value: b.Value) -> bool:
    """Tell whether a value is a column whose numbers are of 32 bits at most."""
    return isinstance(value, b.Use) and value.column.datatype != "long"


def is_one_row(body: b.Select | b.SetQuery | b.Query) -> bool:
    """Tell whether a query makes one group of all rows."""
    return isinstance(body, b.Select) and body.grouped and not body.groups


def _joined(operator: str, parts: Sequence[str]) -> str:
    """Join many conditions as a balanced tree: databases bound the depth of an expression."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = _joined(operator, parts[:middle]), _joined(operator, parts[middle:])
    return f"({left} {operator} {right})"


class QueryPrinting(ABC):
    """Prints queries; a database's printer adds what it has of its own."""

    __slots__ = ()

    # Of the database ---------------------------------------------------------------------------

    @abstractmethod
    def value(self, value: b.Value) -> str:
        """Print a value."""

    @abstractmethod
    def text(self, text: str) -> str:
        """Print a text that is not of the query."""

    @abstractmethod
    def pair(self, value: b.Value, other: b.Value) -> str:
        """Print a value that is compared with another one."""

    @abstractmethod
    def output(self, value: b.Value) -> str:
        """Print a column of a result, so that it is what its metadata says."""

    def quoted(self, name: str) -> str:
        """Write a name of the database."""
        return quoted(name)

    @abstractmethod
    def _order(self, term: b.OrderTerm, query: b.Query) -> str: ...

    @abstractmethod
    def _rows(self, limit: int | None, offset: int | None) -> str: ...

    @abstractmethod
    def _operand(self, query: b.Query, like: b.Query) -> str: ...

    @abstractmethod
    def _set(self, operation: b.SetQuery, like: b.Query) -> str: ...

    @abstractmethod
    def _select(self, select: b.Select) -> str: ...

    @abstractmethod
    def _on(self, join: b.Joined) -> str: ...

    @abstractmethod
    def _in(self, condition: b.InValues | b.InQuery) -> str: ...

    @abstractmethod
    def _like(self, condition: b.Like) -> str: ...

    @abstractmethod
    def _nearby(self, nearby: b.Nearby) -> str: ...

    def _named(self, item: b.Named) -> str:
        return f"{item.alias} AS ({self.query(item.query)})"

    # Queries -----------------------------------------------------------------------------------

    def query(self, query: b.Query, limit: int | None = None) -> str:
        """Print a query.

        Parameters
        ----------
        query
            To print; its result's columns are called c1, c2 ...
        limit
            Most rows to give, whatever the query asks for.
        """
        parts = []
        if query.named:
            parts.append(f"WITH {', '.join(map(self._named, query.named))}")
        match query.body:
            case b.Select() as select:
                parts.append(self._select(select))
                if select.top is not None:
                    limit = select.top if limit is None else min(select.top, limit)
            case b.SetQuery() as operation:
                parts.append(self._set(operation, query))
            case b.Query() as inner:
                parts.append(self._operand(inner, query))
        if query.order and not is_one_row(query.body):
            parts.append("ORDER BY " + ", ".join(self._order(term, query) for term in query.order))
        if limit is not None or query.offset:
            parts.append(self._rows(limit, query.offset))
        return " ".join(parts)

    def clauses(self, select: b.Select, outputs: str, tables: Sequence[str]) -> str:
        """Print a SELECT with its columns and tables given."""
        distinct = "DISTINCT " if select.distinct else ""
        parts = [f"SELECT {distinct}{outputs} FROM {', '.join(tables)}"]
        if select.where is not None:
            parts.append(f"WHERE {self.condition(select.where)}")
        if select.groups:
            parts.append("GROUP BY " + ", ".join(self.value(value) for value in select.groups))
        if select.having is not None:
            parts.append(f"HAVING {self.condition(select.having)}")
        return " ".join(parts)

    def columns(self, select: b.Select) -> str:
        """Print what a SELECT gives, hidden columns last."""
        outputs = ", ".join(
            f"{self.output(output.value)} AS c{i}" for i, output in enumerate(select.outputs, 1)
        )
        for item in select.hidden:
            outputs += f", {item.relation.alias}.{self.quoted(item.physical)} AS {item.name}"
        return outputs

    def table(self, table: b.From) -> str:
        """Print a member of FROM."""
        match table:
            case b.Relation(alias, source):
                match source:
                    case TableDef():
                        return f"{self.rows(source, alias)} AS {alias}"
                    case b.Named():
                        return f"{source.alias} AS {alias}"
                    case b.Query():
                        return f"({self.query(source)}) AS {alias}"
            case b.Joined(kind, left, right, _):
                other = self.table(right)
                if isinstance(right, b.Joined):
                    other = f"({other})"
                return f"{self.table(left)} {kind} JOIN {other} ON {self._on(table)}"

    def rows(self, table: TableDef, alias: str) -> str:
        """Print a table: with a filter a query of the rows that there are for who asks.

        The alias is that of the table, by which plans name it where databases merge the query.
        """
        name = self.quoted(table.physical)
        if table.rows is None:
            return name
        match table.rows:
            case RowFilter():
                there = self._there(table.rows)
            case Among(column, values):
                listed = ", ".join(map(self.text, values))
                there = f"{self.quoted(column)} IN ({listed})" if values else "1 = 0"
        return f"(SELECT * FROM {name} AS {alias} WHERE {there})"

    def _there(self, rows: RowFilter) -> str:
        kind, date = self.quoted(rows.kind_column), self.quoted(rows.date_column)

        def listed(kinds: Sequence[str], word: str) -> str:
            return f"{kind} {word} ({', '.join(map(self.text, kinds))})" if kinds else ""

        over = (
            f"({date} <= {self.text(rows.now)} AND substr({date}, 5, 1) = '-'"
            f" AND substr({date}, 8, 1) = '-')"
            if rows.by_date
            else ""
        )
        match rows.others:
            case "whole":
                # A condition each: they are cheap, and go before those of the query.
                parts = [listed([one], "NOT IN") for one in rows.hidden]
                if rows.dated:
                    parts.append(f"({listed(rows.dated, 'NOT IN')} OR {over})")
                return " AND ".join(filter(None, parts)) or "1 = 1"
            case "dated":
                named = (*rows.whole, *rows.hidden)
                by_date = f"({listed(named, 'NOT IN')} AND {over})" if named else over
                return f"({' OR '.join(filter(None, (listed(rows.whole, 'IN'), by_date)))})"
            case "hidden":
                by_date = f"({listed(rows.dated, 'IN')} AND {over})" if rows.dated else ""
                either = " OR ".join(filter(None, (listed(rows.whole, "IN"), by_date)))
                return f"({either})" if either else "1 = 0"

    # Conditions --------------------------------------------------------------------------------

    def condition(self, condition: b.Condition) -> str:
        """Print a condition."""
        match condition:
            case b.Compare(operator, left, right):
                return f"({self.pair(left, right)} {operator} {self.pair(right, left)})"
            case b.Between():
                return self._between(condition)
            case b.InValues() | b.InQuery():
                return self._in(condition)
            case b.Like():
                return self._like(condition)
            case b.IsNull(operand, negated):
                return f"({self.value(operand)} IS {'NOT ' if negated else ''}NULL)"
            case b.Exists(query):
                return f"EXISTS ({self.query(query)})"
            case b.NotThat(operand):
                return f"(NOT {self.condition(operand)})"
            case b.AllOf(operands) | b.AnyOf(operands):
                operator = "AND" if isinstance(condition, b.AllOf) else "OR"
                return _joined(operator, [self.condition(operand) for operand in operands])
            case b.Nearby():
                return self._nearby(condition)

    def _between(self, condition: b.Between) -> str:
        operand, low, high = condition.operand, condition.low, condition.high
        if operand.kind is Kind.NULL:
            return "(NULL)"  # whatever the types of its bounds
        printed = self.pair(operand, low if low.kind is not Kind.NULL else high)
        between = "NOT BETWEEN" if condition.negated else "BETWEEN"
        return f"({printed} {between} {self.pair(low, operand)} AND {self.pair(high, operand)})"

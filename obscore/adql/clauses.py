"""The parser's upper half: queries, clauses and tables."""

from __future__ import annotations

from typing_extensions import override

from obscore.adql import nodes as n
from obscore.adql.parser import ExpressionParser

__all__ = ["MAX_TABLES", "Parser", "parse"]

MAX_TABLES = 32
"""Tables in one FROM; SQLite takes 64, and plans slowly before that."""

MAX_ITEMS = 1000
"""Items of one SELECT, GROUP BY or ORDER BY; SQLite takes 2000 columns."""

MAX_SETS = 50
"""Operands of one row of set operators."""

_NO_LIMIT = "LIMIT is not part of ADQL; write SELECT TOP n"

_JOINS = ("NATURAL", "INNER", "LEFT", "RIGHT", "FULL", "JOIN", "CROSS")

_CLAUSES = ("WHERE", "GROUP", "HAVING", "ORDER", "OFFSET", "UNION", "EXCEPT", "INTERSECT")


def parse(text: str) -> n.Query:
    """Read a query.

    Raises
    ------
    QueryError
        If the text is no query of ADQL, naming the place.
    """
    return Parser(text).whole()


class Parser(ExpressionParser):
    """Reads a whole query."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._waiting = 0
        """Joins whose right side is being read, and whose ON is still to come."""

    def whole(self) -> n.Query:
        """Read the query and make sure that nothing follows it."""
        if self._token.kind == "end":
            raise self._expected("SELECT: the query is empty")
        query = self._query(named=self._with() if self._is("WITH") else ())
        self._accept(";")
        if self._token.kind != "end":
            if self._is("LIMIT"):
                raise self._error(_NO_LIMIT, self._token.at)
            raise self._expected("the end of the query")
        return query

    def _with(self) -> tuple[n.WithQuery, ...]:
        self._advance()
        named = []
        while True:
            name = self._name("a query after WITH")
            self._expect("AS")
            self._open("before a named query")
            named.append(n.WithQuery(name, self._query()))
            self._close()
            if len(named) > MAX_TABLES:
                raise self._error(f"WITH names more than {MAX_TABLES} queries", name.at)
            if not self._accept(","):
                return tuple(named)

    @override
    def subquery(self) -> n.Query:
        at = self._token.at
        if not self._is("("):
            raise self._expected("'(' before a sub-query")
        inner = self._in_parentheses()
        return inner if isinstance(inner, n.Query) else _all_of(inner, at)

    def _query(self, named: tuple[n.WithQuery, ...] = (), first: n.Query | None = None) -> n.Query:
        at = self._token.at
        body = self._set("EXCEPT", "UNION", first=first)
        order_by: list[n.OrderItem] = []
        if self._accept("ORDER"):
            self._expect("BY")
            order_by.append(self._order_item())
            while self._accept(","):
                order_by.append(self._order_item())
                self._check_length(len(order_by), "ORDER BY")
        offset = self._whole_number("OFFSET") if self._accept("OFFSET") else None
        return n.Query(body, tuple(order_by), offset, named, at)

    def _check_length(self, length: int, clause: str) -> None:
        if length > MAX_ITEMS:
            raise self._error(f"{clause} has more than {MAX_ITEMS} items", self._token.at)

    def _order_item(self) -> n.OrderItem:
        at = self._token.at
        value = self.value()
        word = self._accept("ASC", "DESC")
        if self._is("NULLS"):
            raise self._error("NULLS FIRST and NULLS LAST are not part of ADQL", self._token.at)
        return n.OrderItem(value, word is not None and word.word == "DESC", at)

    def _set(
        self, *operators: str, first: n.Query | None = None
    ) -> n.Select | n.SetOperation | n.Query:
        at = self._token.at
        body = self._set_operand(operators, first)
        rest: list[tuple[str, bool, n.Query]] = []
        while (word := self._accept(*operators)) is not None:
            every = self._accept("ALL") is not None
            operand = self._set_operand(operators, None)
            query = operand if isinstance(operand, n.Query) else _plain(operand)
            rest.append((word.word, every, query))
            if len(rest) > MAX_SETS:
                raise self._error(f"more than {MAX_SETS} {word.word} in a row", word.at)
        if not rest:
            return body
        left = body if isinstance(body, n.Query) else _plain(body)
        return n.SetOperation(left, tuple(rest), at)

    def _set_operand(
        self, operators: tuple[str, ...], first: n.Query | None
    ) -> n.Select | n.SetOperation | n.Query:
        if operators != ("INTERSECT",):
            return self._set("INTERSECT", first=first)
        if first is not None:
            return first
        if not self._is("("):
            return self._select()
        self._open()
        query = self._query()
        self._close()
        return query

    # SELECT ------------------------------------------------------------------------------------

    def _select(self) -> n.Select:
        if self._is("WITH"):
            raise self._error(
                "WITH stands at the beginning of the whole query alone", self._token.at
            )
        token = self._expect("SELECT")
        distinct = self._accept("DISTINCT") is not None
        if not distinct:
            self._accept("ALL")
        top = self._whole_number("TOP") if self._accept("TOP") else None
        if top is not None and self._is("DISTINCT", "ALL"):
            word = self._token.word
            raise self._error(f"{word} stands before TOP: SELECT {word} TOP n", self._token.at)
        items = self._select_list()
        self._expect("FROM", "after the select list")
        tables = [self._table()]
        while self._accept(","):
            tables.append(self._table())
            self._check_tables(len(tables))
        where = self.condition() if self._accept("WHERE") else None
        group_by: list[n.Expression] = []
        if self._accept("GROUP"):
            self._expect("BY")
            group_by.append(self.value())
            while self._accept(","):
                group_by.append(self.value())
                self._check_length(len(group_by), "GROUP BY")
        having = self.condition() if self._accept("HAVING") else None
        return n.Select(
            distinct, top, items, tuple(tables), where, tuple(group_by), having, token.at
        )

    def _check_tables(self, count: int) -> None:
        if count > MAX_TABLES:
            raise self._error(f"FROM joins more than {MAX_TABLES} tables", self._token.at)

    def _select_list(self) -> tuple[n.SelectItem | n.Star, ...]:
        if (star := self._accept("*")) is not None:
            if self._is(","):
                raise self._error(
                    "'*' stands alone in a select list; write table.* beside other items", star.at
                )
            return (n.Star((), star.at),)
        items = [self._select_item()]
        while self._accept(","):
            if self._is("*"):
                raise self._error(
                    "'*' stands alone in a select list; write table.* beside other items",
                    self._token.at,
                )
            items.append(self._select_item())
            self._check_length(len(items), "SELECT")
        return tuple(items)

    def _select_item(self) -> n.SelectItem | n.Star:
        at = self._token.at
        if self._is_name():
            star = self._qualified_star()
            if star is not None:
                return star
        value = self.value()
        alias = None
        if self._accept("AS") or self._is_name():
            alias = self._name("a column after AS")
        return n.SelectItem(value, alias, at)

    def _qualified_star(self) -> n.Star | None:
        """Read ``table.*`` if that is what comes next."""
        at = self._token.at
        token, parts = self._token, []
        while token.kind == "quoted" or (token.kind == "name" and not token.reserved):
            parts.append(n.Name(token.text, token.kind == "quoted", token.at))
            dot = self._lexer.token(token.end)
            if dot.word != ".":
                return None
            token = self._lexer.token(dot.end)
            if token.word == "*":
                self._token = self._lexer.token(token.end)
                return n.Star(tuple(parts), at)
        return None

    # FROM --------------------------------------------------------------------------------------

    def _table(self) -> n.TableRef:
        table = self._table_primary()
        return self._joins(table)

    def _joins(self, table: n.TableRef) -> n.TableRef:
        count = 1
        while self._is(*_JOINS):
            table = self._join(table)
            count += 1
            self._check_tables(count)
        return table

    def _join(self, left: n.TableRef) -> n.Join:
        at = self._token.at
        if self._is("CROSS"):
            raise self._error("CROSS JOIN is not part of ADQL; put a comma between the tables", at)
        natural = self._accept("NATURAL") is not None
        word = self._accept("INNER", "LEFT", "RIGHT", "FULL")
        kind: n.JoinKind = "INNER"
        if word is not None:
            match word.word:
                case "LEFT" | "RIGHT" | "FULL" as outer:
                    kind = outer
                    self._accept("OUTER")
                case _:
                    pass
        self._expect("JOIN")
        right = self._table_primary()
        if not natural and self._is(*_JOINS):
            right = self._inner_joins(right)
        on, using = None, []
        if natural:
            if self._is("ON", "USING") and not self._waiting:
                raise self._error("NATURAL JOIN takes neither ON nor USING", self._token.at)
        elif self._accept("ON"):
            on = self.condition()
        elif self._accept("USING"):
            self._open()
            using.append(self._name("a column"))
            while self._accept(","):
                using.append(self._name("a column"))
            self._close()
        else:
            raise self._expected("ON or USING after JOIN")
        return n.Join(kind, left, right, natural, on, tuple(using), at)

    def _inner_joins(self, table: n.TableRef) -> n.TableRef:
        """Read the joins of a right side that has no parentheses: ``a JOIN b JOIN c ON p ON q``."""
        self._waiting += 1
        if self._waiting > MAX_TABLES:
            raise self._error(f"more than {MAX_TABLES} joins wait for their ON", self._token.at)
        joined = self._joins(table)
        self._waiting -= 1
        return joined

    def _table_primary(self) -> n.TableRef:
        at = self._token.at
        if self._is("("):
            return self._from_parentheses(self._in_parentheses(), at)
        if self._is("SELECT"):
            raise self._expected("the name of a table; a sub-query stands in parentheses")
        parts = [self._name("a table")]
        while self._accept("."):
            parts.append(self._name("a table"))
        if len(parts) > 3:
            raise self._error("a table has at most catalog and schema before it", at)
        if self._is("("):
            raise self._error("functions that give tables are not part of ADQL", at)
        alias = None
        if self._accept("AS") or self._is_name():
            alias = self._name("a table after AS")
            if alias.text.upper() == "LIMIT" and self._token.kind == "int":
                raise self._error(_NO_LIMIT, alias.at)
        return n.NamedTable(tuple(parts), alias, at)

    def _from_parentheses(self, inner: n.Query | n.TableRef, at: int) -> n.TableRef:
        """Give what stood in parentheses as a table; a join with a name is a sub-query of all."""
        if isinstance(inner, n.Query):
            return self._derived(inner, at)
        if self._is("AS") or self._is_name():
            return self._derived(_all_of(inner, at), at)
        return inner

    def _derived(self, query: n.Query, at: int) -> n.DerivedTable:
        self._accept("AS")
        if not self._is_name():
            raise self._expected("a name for the sub-query in FROM")
        return n.DerivedTable(query, self._name("a sub-query"), at)

    def _in_parentheses(self) -> n.Query | n.TableRef:
        """Read a sub-query or a joined table; both may start with more parentheses."""
        self._open()
        waiting, self._waiting = self._waiting, 0
        result: n.Query | n.TableRef
        if self._is("("):
            at = self._token.at
            inner = self._in_parentheses()
            if isinstance(inner, n.Query) and self._is(")", *_CLAUSES):
                result = self._query(first=inner)
            else:
                result = self._joins(self._from_parentheses(inner, at))
        elif self._is("SELECT", "WITH"):
            at = self._token.at
            result = self._query()
        else:
            at = self._token.at
            if not self._is_name():
                raise self._expected("SELECT or the name of a table")
            result = self._joins(self._table_primary())
        if not isinstance(result, n.Query | n.Join):
            raise self._error("only a join or a sub-query stands in parentheses", at)
        self._waiting = waiting
        self._close()
        return result


def _all_of(table: n.TableRef, at: int) -> n.Query:
    """Make the query that a joined table in the place of a sub-query stands for."""
    star = n.Star((), at)
    return _plain(n.Select(False, None, (star,), (table,), None, (), None, at))


def _plain(body: n.Select | n.SetOperation) -> n.Query:
    return n.Query(body, (), None, (), body.at)

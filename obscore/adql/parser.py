"""From text to tree: a strict recursive-descent parser of ADQL 2.1.

One function for each rank of the grammar's expressions; queries and tables are in
`obscore.adql.clauses`. Values and conditions share one path, since only what follows a closing
parenthesis tells ``(a + b) > c`` from ``(a > b)``; each place then asks for the kind that it takes.
"""

from __future__ import annotations

import json
import math
import re

from obscore.adql import nodes as n
from obscore.adql.tokens import Lexer, Token
from vodal.errors import QueryError

__all__ = ["MAX_DEPTH", "ExpressionParser"]

MAX_DEPTH = 50
"""Parentheses that may be open at one place."""

MAX_CHAIN = 250
"""Operators of one rank in a row; SQLite takes trees up to 1000 deep."""

_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_NUMBERS = re.compile(rf"\s*+(?P<list>{_NUMBER}(?:\s*+,\s*+{_NUMBER})*+)\s*+\)")
_STRING = r"'[^']*+(?:''[^']*+)*+'"
_STRINGS = re.compile(rf"\s*+(?P<list>{_STRING}(?:\s*+,\s*+{_STRING})*+)\s*+\)")
_EACH_STRING = re.compile(_STRING)

_CAST_TARGETS = {
    "CHAR": True,
    "VARCHAR": True,
    "SMALLINT": False,
    "INTEGER": False,
    "BIGINT": False,
    "REAL": False,
    "DOUBLE": False,
    "TIMESTAMP": False,
    "POINT": False,
    "CIRCLE": False,
    "POLYGON": False,
}
"""Types of CAST, and whether they take a length."""

AGGREGATES = frozenset({"COUNT", "AVG", "MIN", "MAX", "SUM"})

# Reserved by ADQL, and in the way of who is used to a dialect of SQL.
_FOREIGN = {
    "CASE": "CASE is not part of ADQL",
    "NULLIF": "NULLIF is not part of ADQL",
    "SUBSTRING": "SUBSTRING is not part of ADQL",
    "TRIM": "TRIM is not part of ADQL",
    "EXTRACT": "EXTRACT is not part of ADQL",
    "TRUE": "ADQL has no boolean literals; compare with 1 or 0",
    "FALSE": "ADQL has no boolean literals; compare with 1 or 0",
    "CURRENT_TIMESTAMP": "CURRENT_TIMESTAMP is not part of ADQL",
}


_STRUCTURE_TEXT = """ALL AND AS ASC BETWEEN BY DESC DISTINCT EXCEPT EXISTS FROM FULL GROUP HAVING
ILIKE IN INNER INTERSECT IS JOIN LEFT LIKE NATURAL NOT NULL OFFSET ON OR ORDER OUTER RIGHT SELECT
TOP UNION USING WHERE WITH"""

_STRUCTURE = frozenset(_STRUCTURE_TEXT.split())
"""Reserved words that stand in a wrong place rather than name something."""


class ExpressionParser:
    """Reads values and conditions; the base of `obscore.adql.clauses.Parser`."""

    def __init__(self, text: str) -> None:
        self._lexer = Lexer(text)
        self._depth = 0
        self._token = self._lexer.token(0)

    # Words -------------------------------------------------------------------------------------

    def _advance(self) -> Token:
        token = self._token
        self._token = self._lexer.token(token.end)
        return token

    def _is(self, *words: str) -> bool:
        return self._token.word in words and self._token.kind != "quoted"

    def _accept(self, *words: str) -> Token | None:
        return self._advance() if self._is(*words) else None

    def _expect(self, word: str, why: str = "") -> Token:
        if not self._is(word):
            raise self._expected(f"'{word}'{f' {why}' if why else ''}")
        return self._advance()

    def _expected(self, expected: str) -> QueryError:
        found = self._token
        message = f"found {found}, expected {expected}"
        if found.reserved and "name" in expected and found.word not in _STRUCTURE:
            message += f'; {found.word} is a reserved word, write it as "{found.text}"'
        return self._error(message, found.at)

    def _error(self, message: str, at: int) -> QueryError:
        return self._lexer.error(message, at)

    def _open(self, why: str = "") -> Token:
        token = self._expect("(", why)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} parentheses are open here", token.at)
        return token

    def _close(self) -> None:
        self._expect(")")
        self._depth -= 1

    def _name(self, what: str) -> n.Name:
        token = self._token
        if not self._is_name():
            raise self._expected(f"the name of {what}")
        self._advance()
        return n.Name(token.text, token.kind == "quoted", token.at)

    def _is_name(self) -> bool:
        token = self._token
        return token.kind == "quoted" or (token.kind == "name" and not token.reserved)

    def _whole_number(self, what: str) -> int:
        token = self._token
        if token.kind != "int":
            raise self._expected(f"a whole number after {what}")
        self._advance()
        value = _number(token.text)
        # More than any table has rows.
        return value if isinstance(value, int) else 2**63 - 1

    # Conditions --------------------------------------------------------------------------------

    def condition(self) -> n.Condition:
        """Read a search condition."""
        node = self._either()
        if isinstance(node, n.Condition):
            return node
        raise self._no_condition(node)

    def _no_condition(self, node: n.Expression) -> QueryError:
        hint = ""
        if isinstance(node, n.Call) and node.name in {"CONTAINS", "INTERSECTS"}:
            hint = f"; write {node.name}(...) = 1"
        message = f"found {self._token} after a value, expected a comparison{hint}"
        return self._error(message, self._token.at)

    def value(self) -> n.Expression:
        """Read a value expression."""
        node = self._operand()
        if isinstance(node, n.Expression):
            return node
        raise self._error("found a condition, expected a value", node.at)

    def _either(self) -> n.Expression | n.Condition:
        return self._bool_list("OR")

    def _bool_list(self, operator: str) -> n.Expression | n.Condition:
        read = self._negated if operator == "AND" else self._conjunction
        first = read()
        if not self._is(operator):
            return first
        operands = [self._as_condition(first)]
        while self._accept(operator):
            operands.append(self._as_condition(read()))
        return n.BoolList("AND" if operator == "AND" else "OR", tuple(operands), first.at)

    def _conjunction(self) -> n.Expression | n.Condition:
        return self._bool_list("AND")

    def _as_condition(self, node: n.Expression | n.Condition) -> n.Condition:
        if isinstance(node, n.Condition):
            return node
        raise self._no_condition(node)

    def _negated(self) -> n.Expression | n.Condition:
        token = self._accept("NOT")
        if token is None:
            return self._predicate()
        # The grammar takes one NOT before a predicate or a parenthesis.
        return n.Not(self._as_condition(self._predicate()), token.at)

    def _predicate(self) -> n.Expression | n.Condition:
        token = self._accept("EXISTS")
        if token is not None:
            return n.Exists(self.subquery(), token.at)
        left = self._operand()
        if not isinstance(left, n.Expression):
            return left
        token = self._token
        if token.kind == "op" and token.word in _COMPARISONS:
            self._advance()
            return n.Comparison(_COMPARISONS[token.word], left, self.value(), left.at)
        if self._accept("IS"):
            negated = self._accept("NOT") is not None
            self._expect("NULL")
            return n.IsNull(left, negated, left.at)
        negated = self._accept("NOT") is not None
        if self._accept("BETWEEN"):
            low = self.value()
            self._expect("AND")
            return n.Between(left, low, self.value(), negated, left.at)
        if (word := self._accept("LIKE", "ILIKE")) is not None:
            pattern = self.value()
            if self._is("ESCAPE"):
                raise self._error("ESCAPE is not part of ADQL", self._token.at)
            return n.Like(left, pattern, negated, word.word == "ILIKE", left.at)
        if self._is("IN"):
            return self._in(left, negated=negated)
        if negated:
            raise self._expected("BETWEEN, LIKE, ILIKE or IN after NOT")
        return left

    def _in(self, operand: n.Expression, *, negated: bool) -> n.Condition:
        self._advance()
        at = self._token.at
        if self._lexer.query_follows(at) or self._lexer.join_follows(at):
            return n.InQuery(operand, self.subquery(), negated, operand.at)
        plain = self._plain_list() if self._is("(") else None
        if plain is not None:
            return n.InList(operand, plain, negated, operand.at)
        self._open("after IN")
        values = [self.value()]
        while self._accept(","):
            values.append(self.value())
        self._close()
        return n.InList(operand, tuple(values), negated, operand.at)

    def _plain_list(self) -> n.PlainList | None:
        """Read a list of literals in one go: such lists are long, and come from programs."""
        text, start = self._lexer.text, self._token.end
        values: list[int | float | str]
        if (found := _NUMBERS.match(text, start)) is not None:
            if re.search(r"[0-9]{19}", found["list"]):
                return None  # may be over 64 bits: the slow way looks at each
            try:
                numbers: list[int | float] = json.loads(f"[{found['list']}]")
            except ValueError:
                return None  # blanks that JSON does not know, as a vertical tab
            if not all(map(math.isfinite, numbers)):
                return None
            values = [*numbers]
        elif (found := _STRINGS.match(text, start)) is not None:
            values = [word[1:-1].replace("''", "'") for word in _EACH_STRING.findall(found["list"])]
        else:
            return None
        at = self._token.at
        self._token = self._lexer.token(found.end())
        return n.PlainList(values, at)

    # Values ------------------------------------------------------------------------------------

    def _operand(self) -> n.Expression | n.Condition:
        return self._chain(("||",))

    def _chain(self, operators: tuple[str, ...]) -> n.Expression | n.Condition:
        match operators:
            case ("||",):
                read = self._sum
            case ("+", "-"):
                read = self._product
            case _:
                read = self._factor
        first = read()
        if not self._is(*operators):
            return first
        rest = []
        while (token := self._accept(*operators)) is not None:
            rest.append((token.word, self._as_value(read())))
            if len(rest) > MAX_CHAIN:
                raise self._error(f"more than {MAX_CHAIN} operators in a row", token.at)
        return n.Chain(self._as_value(first), tuple(rest), first.at)

    def _sum(self) -> n.Expression | n.Condition:
        return self._chain(("+", "-"))

    def _product(self) -> n.Expression | n.Condition:
        return self._chain(("*", "/"))

    def _as_value(self, node: n.Expression | n.Condition) -> n.Expression:
        if isinstance(node, n.Expression):
            return node
        raise self._error("found a condition, expected a value", node.at)

    def _factor(self) -> n.Expression | n.Condition:
        sign = self._accept("-", "+")
        if sign is None:
            return self._primary()
        operand = self._as_value(self._primary())
        if isinstance(operand, n.Number):
            return n.Number(-operand.value if sign.word == "-" else operand.value, sign.at)
        # A sign needs a number behind it, and '+' changes none: 0 + x asks the same of x.
        if sign.word == "+":
            return n.Chain(n.Number(0, sign.at), (("+", operand),), sign.at)
        return n.Negation(operand, sign.at)

    def _primary(self) -> n.Expression | n.Condition:
        token = self._token
        match token.kind:
            case "int" | "float":
                self._advance()
                value = _number(token.text)
                if not math.isfinite(value):
                    raise self._error(f"the number {token} is too large", token.at)
                return n.Number(value, token.at)
            case "string":
                self._advance()
                return n.String(token.text, token.at)
            case "op" if token.word == "(":
                return self._parenthesis()
            case "quoted":
                return self._column()
            case "name":
                return self._word()
            case _:
                pass
        raise self._expected("a value")

    def _parenthesis(self) -> n.Expression | n.Condition:
        if self._lexer.query_follows(self._token.at):
            raise self._error(
                "a query cannot be a value in ADQL; use it with IN, EXISTS or in FROM",
                self._token.at,
            )
        self._open()
        node = self._either()
        self._close()
        return node

    def _word(self) -> n.Expression:
        token = self._token
        if token.word in _FOREIGN:
            raise self._error(_FOREIGN[token.word], token.at)
        if token.word == "NULL":
            self._advance()
            return n.Null(token.at)
        if token.word == "CAST":
            return self._cast()
        if self._lexer.token(token.end).word == "(":
            return self._call()
        if token.reserved:
            raise self._expected("a value or the name of a column")
        return self._column()

    def _column(self) -> n.ColumnName:
        at = self._token.at
        parts = [self._name("a column")]
        while self._accept("."):
            parts.append(self._name("a column"))
        if len(parts) > 4:
            raise self._error("a column has at most catalog, schema and table before it", at)
        return n.ColumnName(tuple(parts), at)

    def _call(self) -> n.Call:
        token = self._advance()
        self._open()
        if token.word == "COUNT" and self._accept("*"):
            self._close()
            return n.Call(token.word, (), token.at, star=True)
        distinct = False
        if token.word in AGGREGATES:
            distinct = self._accept("DISTINCT") is not None
            if not distinct:
                self._accept("ALL")
        arguments = []
        if not self._is(")"):
            arguments.append(self.value())
            while self._accept(","):
                arguments.append(self.value())
        self._close()
        return n.Call(token.word, tuple(arguments), token.at, distinct=distinct)

    def _cast(self) -> n.CastTo:
        token = self._advance()
        self._open()
        operand = self.value()
        self._expect("AS")
        if not self._is(*_CAST_TARGETS):
            raise self._expected(f"one of the types {', '.join(_CAST_TARGETS)}")
        target = self._advance().word
        if target == "DOUBLE":
            self._expect("PRECISION")
        length = None
        if _CAST_TARGETS[target] and self._is("("):
            self._open()
            length = self._whole_number(target)
            self._close()
        self._close()
        return n.CastTo(operand, target, length, token.at)

    def subquery(self) -> n.Query:
        """Read a query in parentheses; `obscore.adql.clauses.Parser` knows how."""
        raise NotImplementedError


def _number(text: str) -> int | float:
    if text.isdigit() and len(text.lstrip("0")) <= 19:
        value = int(text)
        if value < 2**63:
            return value
    return float(text)

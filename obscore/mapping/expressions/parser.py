"""From the text of an expression to its tree, by recursive descent.

In the order of binding, the loosest first::

    choice      = disjunction ["if" disjunction "else" choice]
    disjunction = conjunction {"or" conjunction}
    conjunction = negation {"and" negation}
    negation    = "not" negation | comparison
    comparison  = sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum]
    sum         = product {("+" | "-") product}
    product     = factor {("*" | "/") factor}
    factor      = ("+" | "-") factor | atom ["**" factor]
    atom        = NUMBER | TEXT | "{" NAME "}" | "true" | "false"
                | FUNCTION "(" [choice {"," choice}] ")" | "(" choice ")"

as in Python, but that comparisons are not chained. Texts stand in single or double quotes, without
escapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from obscore.mapping.expressions.functions import FUNCTIONS
from obscore.mapping.expressions.nodes import Constant, Name, Node, Operation

__all__ = ["DEEPEST", "LONGEST", "ExpressionSyntaxError", "parse"]

LONGEST = 2000
"""Characters of an expression."""
DEEPEST = 50
"""Levels of an expression's tree, and of parentheses."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<text>"[^"]*"|'[^']*')
      | \{(?P<name>[^{}]*)\}
      | (?P<word>[A-Za-z_]\w*)
      | (?P<sign>\*\*|[=!<>]=|[-+*/<>(),])
      | (?P<end>$)
    )""",
    re.VERBOSE | re.ASCII,
)
_BLANKS = " \t\n\r\f\v"
"""What ``\\s`` is above."""
_WORDS = {"if", "else", "and", "or", "not", "true", "false"}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")

_TokenKind = Literal["number", "text", "name", "word", "sign", "end"]


class ExpressionSyntaxError(ValueError):
    """A text that is no expression; says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _TokenKind
    text: str
    place: int


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Read an expression.

    Names in braces are not judged, nor the kinds of values; see `kinds`.

    Raises
    ------
    ExpressionSyntaxError
        If it is none, is longer than 2000 characters or deeper than 50 levels, or names a function
        that there is not or gives one a wrong number of arguments.
    """
    if len(text) > LONGEST:
        raise ExpressionSyntaxError(f"the expression is longer than {LONGEST} characters")
    parser = _Parser(_tokens(text))
    node = parser.choice()
    parser.expect_end()
    return node


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip(_BLANKS))
            raise ExpressionSyntaxError(_not_understood(text, at))
        kind = next(kind for kind in get_args(_TokenKind) if match[kind] is not None)
        tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
        at = match.end()
    return tokens


def _not_understood(text: str, at: int) -> str:
    place = f"at character {at + 1}"
    if text[at] in "\"'":
        return f"the text that begins {place} does not end"
    if text[at] in "{}":
        return f"the brace {place} has no other"
    if text[at] == "=":
        return f"'=' {place} is no operator; '==' compares"
    return f"'{text[at : at + 10]}' {place} is not understood"


class _Parser:
    """The tokens of one expression, and how far they are read."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._open = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def choice(self) -> Node:
        """Read a whole expression."""
        self._open += 1
        if self._open > DEEPEST:
            raise ExpressionSyntaxError(f"the expression is deeper than {DEEPEST} levels")
        node = self._disjunction()
        token = self._take("if")
        if token is not None:
            condition = self._disjunction()
            if self._take("else") is None:
                raise self._fault("'if' has no 'else' before")
            node = _operation("if", token, condition, node, self.choice())
        self._open -= 1
        return node

    def expect_end(self) -> None:
        """See that all is read."""
        if self._token.kind != "end":
            raise self._fault("an operator is missing before")

    def _disjunction(self) -> Node:
        return self._row(self._conjunction, "or")

    def _conjunction(self) -> Node:
        return self._row(self._negation, "and")

    def _negation(self) -> Node:
        signs = []
        while token := self._take("not"):
            signs.append(token)
        node = self._comparison()
        for token in reversed(signs):
            node = _operation("not", token, node)
        return node

    def _comparison(self) -> Node:
        node = self._sum()
        token = self._take(*_COMPARISONS)
        if token is not None:
            node = _operation(token.text, token, node, self._sum())
            if self._token.text in _COMPARISONS and self._token.kind == "sign":
                raise self._fault("comparisons are joined by 'and': a < b and b < c; see")
        return node

    def _sum(self) -> Node:
        return self._row(self._product, "+", "-")

    def _product(self) -> Node:
        return self._row(self._factor, "*", "/")

    def _factor(self) -> Node:
        signs = []
        while token := self._take("-", "+"):
            signs.append(token)
        node = self._atom()
        token = self._take("**")
        if token is not None:
            self._open += 1
            if self._open > DEEPEST:
                raise ExpressionSyntaxError(f"the expression is deeper than {DEEPEST} levels")
            node = _operation("**", token, node, self._factor())
            self._open -= 1
        for sign in reversed(signs):
            node = _operation("negative" if sign.text == "-" else "positive", sign, node)
        return node

    def _atom(self) -> Node:
        token = self._token
        self._at += token.kind != "end"
        match token.kind:
            case "number":
                return _number(token)
            case "text":
                return Constant(token.text[1:-1])
            case "name":
                return Name(token.text)
            case "word" if token.text in {"true", "false"}:
                return Constant(token.text == "true")
            case "word" if token.text not in _WORDS:
                return self._call(token)
            case "sign" if token.text == "(":
                node = self.choice()
                self._close(token)
                return node
            case _:
                raise self._fault("a value is missing before", token)

    def _call(self, token: _Token) -> Node:
        if self._take("(") is None:
            raise ExpressionSyntaxError(
                f"'{token.text}' at character {token.place} is no value: names of cards stand in"
                f" braces, {{{token.text.upper()}}}, and texts in quotes"
            )
        arguments: list[Node] = []
        if self._take(")") is None:
            arguments.append(self.choice())
            while self._take(",") is not None:
                arguments.append(self.choice())
            self._close(token)
        function = FUNCTIONS.get(token.text)
        if function is None:
            raise ExpressionSyntaxError(
                f"there is no function '{token.text}'; there are {', '.join(FUNCTIONS)}"
            )
        if not function.least <= len(arguments) <= function.most:
            few = {function.least, function.most}
            wanted = " to ".join(str(count) for count in sorted(few))
            raise ExpressionSyntaxError(
                f"{token.text} takes {wanted} argument{'' if few == {1} else 's'}, not"
                f" {len(arguments)}"
            )
        return _operation(token.text, token, *arguments)

    def _row(self, inner: Callable[[], Node], *signs: str) -> Node:
        """Read operators that bind to the left."""
        node = inner()
        while token := self._take(*signs):
            node = _operation(token.text, token, node, inner())
        return node

    def _take(self, *texts: str) -> _Token | None:
        token = self._token
        if token.kind not in {"word", "sign"} or token.text not in texts:
            return None
        self._at += 1
        return token

    def _close(self, opened: _Token) -> None:
        if self._take(")") is None:
            raise self._fault(f"the parenthesis of character {opened.place} is not closed before")

    def _fault(self, what: str, token: _Token | None = None) -> ExpressionSyntaxError:
        token = token or self._token
        where = "the end" if token.kind == "end" else f"'{token.text}' at character {token.place}"
        return ExpressionSyntaxError(f"{what} {where}")


def _number(token: _Token) -> Constant:
    value = float(token.text)
    if not math.isfinite(value):
        raise ExpressionSyntaxError(f"{token.text[:20]} is too large a number")
    return Constant(value)


def _operation(name: str, token: _Token, *arguments: Node) -> Node:
    if name == "positive":
        return arguments[0]
    depth = 1 + max((argument.depth for argument in arguments), default=0)
    if depth > DEEPEST:
        raise ExpressionSyntaxError(f"the expression is deeper than {DEEPEST} levels")
    return Operation(name, arguments, token.place, depth)

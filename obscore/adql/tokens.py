"""Words of a query, one after the other, with their place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from typing_extensions import override

from vodal.errors import QueryError

__all__ = ["MAX_LENGTH", "MAX_TOKENS", "RESERVED", "Lexer", "Token", "delimited", "place"]

MAX_LENGTH = 2_000_000
"""Characters that a query may have."""

MAX_TOKENS = 40_000
"""Words that a query may have; a list of plain numbers or strings after IN counts as one."""

# Possessive quantifiers: no text can make the scanner try twice.
_SPACE = r"\s*+(?:--[^\n]*+\s*+)*+"
_TOKEN = re.compile(
    _SPACE
    + r"""(?:
      (?P<name>[A-Za-z][A-Za-z0-9_]*+)
    | (?P<float>(?:[0-9]++\.[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?|[0-9]++[eE][+-]?[0-9]++)
    | (?P<int>[0-9]++)
    | (?P<string>'[^']*+(?:''[^']*+)*+')
    | (?P<quoted>"[^"]*+(?:""[^"]*+)*+")
    | (?P<op><>|!=|<=|>=|\|\||[-+*/(),.;=<>])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_HALF = re.compile("[\ud800-\udfff]")
_SKIP = re.compile(_SPACE)
_END = r"(?![A-Za-z0-9_])"
_BEFORE = r"(?:\s++|--[^\n]*+|\()*+"
_QUERY_START = re.compile(rf"{_BEFORE}(?:SELECT|WITH){_END}", re.IGNORECASE)
_JOIN = rf"(?:NATURAL|INNER|LEFT|RIGHT|FULL|JOIN){_END}"
_NAME = r"""(?:[A-Za-z][A-Za-z0-9_]*+|"[^"]*+(?:""[^"]*+)*+")"""
_JOIN_START = re.compile(
    rf"{_BEFORE}{_NAME}(?:{_SPACE}\.{_SPACE}{_NAME})*+{_SPACE}"
    rf"(?:(?:AS{_END}{_SPACE})?+(?!{_JOIN}){_NAME}{_SPACE})?+{_JOIN}",
    re.IGNORECASE,
)

_RESERVED_TEXT = (
    # ADQL's own
    """ABS ACOS AREA ASIN ATAN ATAN2 BIGINT BOX CAST CEILING CENTROID CHAR CIRCLE COALESCE CONTAINS
    COORD1 COORD2 COORDSYS COS COT DEGREES DISTANCE DOUBLE EXP FLOOR INTEGER INTERSECTS IN_UNIT LOG
    LOG10 MOD NULL OFFSET PI POINT POLYGON POWER PRECISION RADIANS REAL REGION RAND ROUND SIN
    SMALLINT SQRT TIMESTAMP TOP TAN TRUNCATE VARCHAR"""
    # SQL's
    """ ABSOLUTE ACTION ADD ALL ALLOCATE ALTER AND ANY ARE AS ASC ASSERTION AT AUTHORIZATION AVG
    BEGIN BETWEEN BIT BIT_LENGTH BOTH BY CASCADE CASCADED CASE CATALOG CHARACTER CHAR_LENGTH
    CHARACTER_LENGTH CHECK CLOSE COLLATE COLLATION COLUMN COMMIT CONNECT CONNECTION CONSTRAINT
    CONSTRAINTS CONTINUE CONVERT CORRESPONDING COUNT CREATE CROSS CURRENT CURRENT_DATE CURRENT_TIME
    CURRENT_TIMESTAMP CURRENT_USER CURSOR DATE DAY DEALLOCATE DECIMAL DECLARE DEFAULT DEFERRABLE
    DEFERRED DELETE DESC DESCRIBE DESCRIPTOR DIAGNOSTICS DISCONNECT DISTINCT DOMAIN DROP ELSE END
    ESCAPE EXCEPT EXCEPTION EXEC EXECUTE EXISTS EXTERNAL EXTRACT FALSE FETCH FIRST FLOAT FOR FOREIGN
    FOUND FROM FULL GET GLOBAL GO GOTO GRANT GROUP HAVING HOUR IDENTITY ILIKE IMMEDIATE IN INDICATOR
    INITIALLY INNER INPUT INSENSITIVE INSERT INT INTERSECT INTERVAL INTO IS ISOLATION JOIN KEY
    LANGUAGE LAST LEADING LEFT LEVEL LIKE LOCAL LOWER MATCH MAX MIN MINUTE MODULE MONTH NAMES
    NATIONAL NATURAL NCHAR NEXT NO NOT NULLIF NUMERIC OCTET_LENGTH OF ON ONLY OPEN OPTION OR ORDER
    OUTER OUTPUT OVERLAPS PAD PARTIAL POSITION PREPARE PRESERVE PRIMARY PRIOR PRIVILEGES PROCEDURE
    PUBLIC READ REFERENCES RELATIVE RESTRICT REVOKE RIGHT ROLLBACK ROWS SCHEMA SCROLL SECOND SECTION
    SELECT SESSION SESSION_USER SET SIZE SOME SPACE SQL SQLCODE SQLERROR SQLSTATE SUBSTRING SUM
    SYSTEM_USER TABLE TEMPORARY THEN TIME TIMEZONE_HOUR TIMEZONE_MINUTE TO TRAILING TRANSACTION
    TRANSLATE TRANSLATION TRIM TRUE UNION UNIQUE UNKNOWN UPDATE UPPER USAGE USER USING VALUE VALUES
    VARYING VIEW WHEN WHENEVER WHERE WITH WORK WRITE YEAR ZONE"""
)

RESERVED = frozenset(_RESERVED_TEXT.split())
"""Words that name nothing unless they stand in double quotes (ADQL 2.1 section 2.1.2)."""


_REGULAR = re.compile("[A-Za-z][A-Za-z0-9_]*")


def delimited(name: str) -> str:
    """Give a name as a query must write it: in double quotes where it is no regular identifier."""
    if name.upper() in RESERVED or not _REGULAR.fullmatch(name):
        return '"{}"'.format(name.replace('"', '""'))
    return name


def place(text: str, offset: int) -> tuple[int, int]:
    """Give line and column, both from 1, of an offset in characters."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


@dataclass(frozen=True, slots=True)
class Token:
    """One word.

    ``kind`` is name (upper-cased in ``word``), quoted, string, int, float, op or end. ``text`` is
    as written, without the quotes.
    """

    kind: str
    text: str
    word: str
    """What a keyword or sign is compared with; empty for quoted names and literals."""
    at: int
    """Offset of the first character."""
    end: int

    @property
    def reserved(self) -> bool:
        """Whether the word is a reserved one."""
        return self.kind == "name" and self.word in RESERVED

    @override
    def __str__(self) -> str:
        match self.kind:
            case "end":
                return "the end of the query"
            case "string":
                return f"the string '{_short(self.text)}'"
            case "quoted":
                return f'"{_short(self.text)}"'
            case _:
                return f"'{_short(self.text)}'"


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


class Lexer:
    """Gives the words of a query one by one.

    Raises
    ------
    QueryError
        If the text is too long, or cannot be written as UTF-8.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise QueryError(f"the query is longer than {MAX_LENGTH} characters", 1, 1)
        self.text = text
        if (broken := _HALF.search(text)) is not None:
            raise self.error("half a character (a lone surrogate) is no text", broken.start())
        self._count = 0

    def error(self, message: str, at: int) -> QueryError:
        """Make an error that names a place."""
        return QueryError(message, *place(self.text, at))

    def token(self, start: int) -> Token:
        """Read the word at or after an offset.

        Raises
        ------
        QueryError
            If no word of ADQL starts there, or there are too many.
        """
        found = _TOKEN.match(self.text, start)
        if found is None or found.lastgroup is None:
            raise self._unreadable(start)
        self._count += 1
        kind = found.lastgroup
        at, end = found.span(kind)
        if self._count > MAX_TOKENS:
            raise self.error(f"the query has more than {MAX_TOKENS} words", at)
        text = found.group(kind)
        match kind:
            case "name":
                return Token(kind, text, text.upper(), at, end)
            case "op":
                if text == "/" and self.text[end : end + 1] == "*":
                    raise self.error("comments start with '--' in ADQL", at)
                return Token(kind, text, text, at, end)
            case "string":
                return Token(kind, text[1:-1].replace("''", "'"), "", at, end)
            case "quoted":
                if end - at == 2:
                    raise self.error("a name in double quotes must not be empty", at)
                return Token(kind, text[1:-1].replace('""', '"'), "", at, end)
            case "int" | "float":
                self._check_number(text, at, end)
                return Token(kind, text, "", at, end)
            case _:
                return Token(kind, text, "", at, end)

    def _check_number(self, text: str, at: int, end: int) -> None:
        """See that a number ends where it ends: SQL-92 5.2 wants a separator before a name."""
        following = self.text[end : end + 1]
        if not following.isalpha() and (not following or following not in "_'\""):
            return
        if text == "0" and following in "xX":
            raise self.error("hexadecimal numbers are not part of ADQL", at)
        raise self.error(f"'{_short(text + following)}' is neither number nor name", at)

    def query_follows(self, start: int) -> bool:
        """Tell whether SELECT or WITH comes next, behind parentheses or not."""
        return _QUERY_START.match(self.text, start) is not None

    def join_follows(self, start: int) -> bool:
        """Tell whether a table and a word of JOIN come next, behind parentheses or not."""
        return _JOIN_START.match(self.text, start) is not None

    def _unreadable(self, start: int) -> QueryError:
        skipped = _SKIP.match(self.text, start)
        at = start if skipped is None else skipped.end()
        char = self.text[at]
        hints = {
            "'": "the string that starts here is never closed",
            '"': "the name in double quotes that starts here is never closed",
            "%": "'%' is no operator of ADQL; use MOD(a, b)",
            "`": "names are quoted with double quotes in ADQL",
            "[": "names are quoted with double quotes in ADQL",
            "_": "a name starts with a letter, or stands in double quotes",
            "&": "'&' is no operator of ADQL, which has none for bits",
            "|": "'|' is no operator of ADQL, which has none for bits; texts are joined by '||'",
            "^": "'^' is no operator of ADQL; use POWER(a, b)",
            "~": "'~' is no operator of ADQL, which has none for bits",
            "?": "parameters are not part of ADQL",
            ":": "parameters and '::' are not part of ADQL; use CAST(a AS type)",
        }
        hints |= dict.fromkeys(
            "\u2018\u2019\u201a\u201b\u00b4", "strings are quoted with ' in ADQL"
        )
        hints |= dict.fromkeys("\u201c\u201d\u201e", 'names are quoted with " in ADQL')
        message = hints.get(char, f"the character {char!r} has no meaning in ADQL here")
        return self.error(message, at)

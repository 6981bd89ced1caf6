"""Lists of many texts as parameters: identifiers and URIs of all files that a writer brings."""

from __future__ import annotations

from typing import Any

from psycopg.abc import Buffer
from psycopg.types.array import ListDumper
from typing_extensions import override

__all__ = ["TextListDumper"]


class TextListDumper(ListDumper):
    """Writes lists of plain texts all at once: what its base, which it leaves the others to, means.

    The base looks at each text by itself, which takes longer than having the list compared.
    """

    @override
    def dump(self, obj: list[Any]) -> Buffer | None:
        if set(map(type, obj)) == {str}:
            text = '","'.join(obj)
            is_plain = text.isascii() and "\\" not in text and "\0" not in text
            if is_plain and text.count('"') == 2 * (len(obj) - 1):
                return b'{"%b"}' % text.encode("ascii")
        return super().dump(obj)

"""The form in which a client asks for a file: as stored, some of its HDUs, or uncompressed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from vodal.errors import UsageError
from vodal.fits.index import FileIndex, HduIndex
from vodal.params import Params

__all__ = ["STORED", "Form", "hdu_label"]

_NAMED = re.compile(r"(.*?)(?:\s*,\s*(-?[0-9]{1,9}))?")
_TOLD = 100
"""HDUs that an error lists."""


@dataclass(frozen=True, slots=True)
class Form:
    """What of a file is asked for, and how."""

    hdus: tuple[str, ...] = ()
    """As the parameter HDU has them; all if there are none."""
    plain: bool = False
    """Whether what is compressed is sent uncompressed."""

    @classmethod
    def of(cls, params: Params) -> Self:
        """Read the parameters HDU and COMPRESSION.

        Raises
        ------
        UsageError
            If COMPRESSION has a value that it does not take.
        """
        compression = (params.one("COMPRESSION") or "stored").lower()
        if compression not in {"stored", "none"}:
            raise UsageError(
                "COMPRESSION takes 'none' (plain images and no gzip) or 'stored' (as the file has"
                f" them, the default), not '{compression[:40]}'"
            )
        return cls(tuple(params.all("HDU")), compression == "none")

    def chosen(self, index: FileIndex) -> tuple[int, ...]:
        """Give the numbers of the HDUs, each once, in the order of the file.

        Raises
        ------
        UsageError
            If one is not there; tells which there are.
        """
        if not self.hdus:
            return tuple(hdu.number for hdu in index.hdus)
        return tuple(sorted({_found(text, index).number for text in self.hdus}))


STORED = Form()
"""The file as it is."""


def hdu_label(hdu: HduIndex) -> str:
    """Name an HDU as the parameter takes it."""
    if not hdu.name:
        return str(hdu.number)
    return hdu.name if hdu.extver == 1 else f"{hdu.name},{hdu.extver}"


def _found(text: str, index: FileIndex) -> HduIndex:
    """Find an HDU by its number, or by its name and the version that may follow."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        number = int(text)
        if number < len(index.hdus):
            return index.hdus[number]
    else:
        for hdu in index.hdus:
            if _is_named(text, hdu):
                return hdu
        if text.upper() == "PRIMARY":
            return index.hdus[0]
    listed = ", ".join(_listed(index))
    raise UsageError(
        f"HDU '{text[:80]}' is not in the file; it takes a number, EXTNAME or EXTNAME,EXTVER of"
        f" these: {listed}"
    )


def _is_named(text: str, hdu: HduIndex) -> bool:
    upper = text.upper()
    if hdu.name and upper == hdu.name:
        return True
    match = _NAMED.fullmatch(upper)
    if match is None or match[2] is None:
        return False
    return hdu.name == match[1] != "" and hdu.extver == int(match[2])


def _listed(index: FileIndex) -> Iterator[str]:
    for hdu in index.hdus[:_TOLD]:
        yield f"{hdu.number} ({hdu_label(hdu)})" if hdu.name else str(hdu.number)
    if len(index.hdus) > _TOLD:
        yield f"... {len(index.hdus) - 1}"

"""How several cutouts of one request are put together: the parameter MULTI, an extension of ours.

Media types of archives in RESPONSEFORMAT say the same. All other parameters are about each cutout.
"""

from __future__ import annotations

from enum import StrEnum

from vodal.errors import UsageError
from vodal.params import Params

__all__ = ["Packing", "read_packing"]


class Packing(StrEnum):
    """What several cutouts become."""

    MEF = "mef"
    """One FITS file with the HDUs of all."""
    TAR = "tar"
    ZIP = "zip"
    FILES = "files"
    """A file each; of jobs only."""


_TYPES = {
    "application/x-tar": Packing.TAR,
    "application/tar": Packing.TAR,
    "application/zip": Packing.ZIP,
    "application/x-zip-compressed": Packing.ZIP,
}


def read_packing(params: Params) -> tuple[Packing | None, Params]:
    """Take out of a request's parameters how several cutouts are put together.

    Parameters
    ----------
    params
        Of the request.

    Returns
    -------
    packing
        None if the request does not say.
    rest
        The parameters of each cutout.

    Raises
    ------
    UsageError
        If MULTI has a value that is not known, or the request says two things.
    """
    asked = []
    for value in params.all("MULTI"):
        try:
            asked.append(Packing(value.lower()))
        except ValueError:
            known = ", ".join(Packing)
            raise UsageError(f"MULTI takes one of {known}, not '{value[:40]}'") from None
    rest = []
    for name, values in params.items():
        for value in values:
            kind = value.partition(";")[0].strip().lower()
            if name in {"RESPONSEFORMAT", "FORMAT"} and kind in _TYPES:
                asked.append(_TYPES[kind])
            elif name != "MULTI":
                rest.append((name, value))
    if len(set(asked)) > 1:
        raise UsageError(f"MULTI and RESPONSEFORMAT ask for both {asked[0]} and {asked[1]}")
    return (asked[0] if asked else None), Params(rest)

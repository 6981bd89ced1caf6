"""What the names of files tell: media types, and names without what says how they are written."""

from __future__ import annotations

import mimetypes
import re
from typing import Final

__all__ = ["media_type_of", "stem_of"]

_TYPES: Final = {
    ".fits": "image/fits",
    ".fit": "image/fits",
    ".fts": "image/fits",
    ".fz": "image/fits",
    ".gz": "application/gzip",
    ".xml": "text/xml",
    ".vot": "application/x-votable+xml",
    ".log": "text/plain",
    ".txt": "text/plain",
    ".cat": "text/plain",
    ".reg": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".ecsv": "text/plain",
    ".parquet": "application/vnd.apache.parquet",
}
"""What the standard library does not know, or what is told here otherwise."""


def media_type_of(name: str, default: str = "application/octet-stream") -> str:
    """Give the media type of a file.

    Parameters
    ----------
    name
        Its name; a path or an address without a query serves too.
    default
        For names that tell nothing.
    """
    file_name = name.rpartition("/")[2]
    suffix = file_name[file_name.rfind(".") :].lower() if "." in file_name else ""
    if suffix in _TYPES:
        return _TYPES[suffix]
    kind, encoding = mimetypes.guess_type(file_name, strict=True)
    return default if kind is None or encoding is not None else kind


_FITS_ENDS: Final = re.compile(r"(\.(fits?|fts))?(\.(fz|gz|bz2|z))*$", re.IGNORECASE)


def stem_of(name: str) -> str:
    """Give the name of a FITS file without ``.fits``, ``.fz``, ``.gz``, ``.bz2``, ``.Z``."""
    return _FITS_ENDS.sub("", name) or name

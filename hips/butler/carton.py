"""Files of a HiPS in the making as one dataset: a ZIP file whose members are not compressed.

It is handed to the Butler as an array of bytes, whose storage class every repository knows.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vodal.errors import DataError

__all__ = ["STORAGE_CLASS", "member", "pack", "unpack"]

Carton = NDArray[np.uint8]

STORAGE_CLASS: Final = "NumpyArray"
"""Of a carton in a Butler."""


def pack(
    folder: Path, patterns: tuple[str, ...], more: Mapping[str, bytes] | None = None
) -> Carton:
    """Pack files below a folder.

    Parameters
    ----------
    folder
        Which holds them.
    patterns
        Of the paths below it (`pathlib.Path.glob`).
    more
        Members that are no files, by name.

    Returns
    -------
    array
        Of bytes, one axis.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as carton:
        for name, data in (more or {}).items():
            carton.writestr(zipfile.ZipInfo(name), data)
        paths = {path for pattern in patterns for path in folder.glob(pattern)}
        for path in sorted(paths):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                # No time of the day, so that the same tiles give the same bytes.
                carton.writestr(zipfile.ZipInfo(name), path.read_bytes())
    return np.frombuffer(buffer.getbuffer(), np.uint8)


def unpack(carton: Carton, folder: Path, patterns: tuple[str, ...]) -> None:
    """Put the packed files that have one of some patterns below a folder.

    Raises
    ------
    DataError
        If it is no carton, or would write elsewhere.
    """
    with _opened(carton) as packed:
        for name in packed.namelist():
            path = Path(name)
            if not any(path.match(pattern) for pattern in patterns):
                continue
            if path.is_absolute() or ".." in path.parts:
                raise DataError(f"the dataset names a file outside of its folder: {name}")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            partial = folder / path.with_name(f".{path.name}")
            partial.write_bytes(packed.read(name))
            partial.replace(folder / path)


def member(carton: Carton, name: str) -> bytes:
    """Give one of the packed files.

    Raises
    ------
    DataError
        If it is no carton, or holds no such file.
    """
    with _opened(carton) as packed:
        try:
            return packed.read(name)
        except KeyError:
            raise DataError(f"the dataset holds no {name}") from None


def _opened(carton: Carton) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(np.asarray(carton, np.uint8).data))
    except zipfile.BadZipFile:
        raise DataError("the dataset is no packed part of a HiPS") from None

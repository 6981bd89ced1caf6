"""The C functions of the libpq that psycopg has loaded, for compiled code."""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from psycopg import pq

__all__ = ["result_functions"]

_LOG = logging.getLogger(__name__)

_MAPS = Path("/proc/self/maps")


@cache
def result_functions() -> NDArray[np.int64] | None:
    """Give the addresses of ``PQgetvalue``, ``PQgetlength`` and ``PQgetisnull``.

    Returns
    -------
    array or None
        None where the library cannot be found, or there are several that could be meant.
    """
    found = []
    for path in _loaded():
        library = ctypes.CDLL(path)
        if getattr(library, "PQlibVersion", lambda: 0)() == pq.version():
            found.append(library)
    if len(found) != 1:
        _LOG.info("%d libraries could be psycopg's libpq; rows are read by Python", len(found))
        return None
    functions = [found[0].PQgetvalue, found[0].PQgetlength, found[0].PQgetisnull]
    addresses = [ctypes.cast(function, ctypes.c_void_p).value for function in functions]
    return np.array(addresses, np.int64)


def _loaded() -> set[str]:
    """Give the files of the process that are called libpq."""
    try:
        lines = _MAPS.read_text("utf-8").splitlines()
    except OSError:
        return set()
    paths = {line.partition("/")[2] for line in lines if "/" in line}
    return {f"/{path}" for path in paths if Path(path).name.startswith("libpq")}

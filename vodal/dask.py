"""Dask clusters (the extra ``dask``): the connection to a scheduler, and what workers must have."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from vodal.errors import ServiceUnavailable, UsageError

__all__ = ["CONNECT_S", "LOOK_S", "WORKERS_S", "Terms", "connect"]

CONNECT_S: Final = 15.0
"""How long a scheduler may take to answer."""
WORKERS_S: Final = 300.0
"""How long a cluster may be without workers: some start them only when there is work."""
LOOK_S: Final = 5.0
"""How often the number of workers is asked for."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker must have in common with who gives it work; made by `of`."""

    program: str
    path: Path | None
    """That it must see."""
    what: str
    """How that is called to people."""

    @classmethod
    def of(cls, path: Path | None, what: str = "") -> Terms:
        """Give the terms of this process, for a path that workers must see."""
        return cls(version("skylane"), path, what or str(path))

    def fault(self) -> str:
        """Tell in a sentence why the process that asks cannot work; empty if it can."""
        here = socket.gethostname()
        if version("skylane") != self.program:
            return (
                f"the Dask worker on {here} has Skylane {version('skylane')} and this is"
                f" {self.program}; install the same version on both"
            )
        if self.path is not None and not self.path.exists():
            return (
                f"the Dask worker on {here} does not see {self.what}; all machines must have it,"
                " and the images, under the same path"
            )
        return ""


def connect(scheduler: str, seconds: float, *, name: str, what: str) -> Any:
    """Connect to a scheduler.

    Parameters
    ----------
    scheduler
        Where it is: ``tcp://host:8786`` (``tls://``, ``host:port``), or the path of the scheduler
        file that it has written.
    seconds
        That it may take to answer.
    name
        Of the client, for the cluster's dashboard.
    what
        Is to be done there, for the error if Dask is missing; in the plural.

    Returns
    -------
    distributed.Client
        Not the process's default one.

    Raises
    ------
    UsageError
        If Dask is not installed, or ``scheduler`` is neither address nor file.
    ServiceUnavailable
        If no scheduler answers.
    """
    try:
        import distributed  # noqa: PLC0415 - of an extra
    except ImportError:
        raise UsageError(f'{what} need Dask; run: pip install "skylane[dask]"') from None
    client: Any = distributed.Client
    try:
        return client(_address(scheduler), timeout=seconds, set_as_default=False, name=name)
    except (OSError, ValueError) as error:
        raise ServiceUnavailable(
            f"no Dask scheduler answers at {scheduler} ({' '.join(str(error).split())[:200]})"
        ) from None


def _address(scheduler: str) -> str:
    host, _, port = scheduler.rpartition(":")
    file = Path(scheduler)
    if file.is_file():
        try:
            return str(json.loads(file.read_text("utf-8"))["address"])
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(f"{scheduler} is no scheduler file of Dask") from None
    if "://" in scheduler or (host and port.isdecimal()):
        return scheduler
    raise UsageError(
        f"'{scheduler}' is neither the address of a Dask scheduler (tcp://host:8786) "
        "nor a scheduler file"
    )

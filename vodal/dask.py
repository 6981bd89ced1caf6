"""The connection to the scheduler of a Dask cluster (the extra ``dask``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vodal.errors import ServiceUnavailable, UsageError

__all__ = ["connect"]


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

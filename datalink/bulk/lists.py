"""Lists of identifiers, kept on disk under an address that all server processes know."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

from vodal.diskcache import DiskCache
from vodal.errors import NotFoundError

__all__ = ["KeptLists"]

_MOST_BYTES = 256 << 20
_DAY_S = 86_400.0


class KeptLists:
    """Keeps lists for some days after their last use. Safe to use from several processes.

    The address of a list is made of the list, so that the same one has the same address.

    Parameters
    ----------
    folder
        Where they are; may be deleted at any time.
    days
        For which one is kept.
    """

    def __init__(self, folder: Path, days: float) -> None:
        self._kept, self._days = DiskCache(folder, _MOST_BYTES), days

    def put(self, dids: Sequence[str]) -> str:
        """Keep a list; gives its address: 32 hexadecimal digits."""
        data = json.dumps(list(dids)).encode()
        address = hashlib.sha256(data).hexdigest()[:32]
        if not self._kept.has(address, "json"):
            self._kept.put(address, "json", data)
        return address

    def get(self, address: str) -> list[str]:
        """Give a list.

        Raises
        ------
        NotFoundError
            If there is none any more.
        """
        if re.fullmatch(r"[0-9a-f]{32}", address):
            path = self._kept.path(address, "json")
            try:
                expired = path.stat().st_mtime < time.time() - self._days * _DAY_S
            except OSError:
                expired = True
            data = None if expired else self._kept.get(address, "json")
            if data is not None:
                return [str(did) for did in json.loads(data)]
        raise NotFoundError(
            f"there is no such list of files; one is kept for {self._days:g} days after its last"
            " use: send it again to /files/bulk"
        )

"""Which IVOID each record has (IVOA Identifiers 2.0).

Collections have the IVOIDs that the identifiers of their images begin with; what belongs to the
site is below ``site/``, where no collection is, since the key of a collection has no slash.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

__all__ = ["collection_keys", "site_ivoid"]

_UNKNOWN = re.compile(r"[^A-Za-z0-9\-_.!*'()+=]")
"""Not to be in a resource key of VOResource 1.1, and the sign that replaces these."""


def site_ivoid(authority: str, name: str) -> str:
    """Give the IVOID of a service, or of something else that belongs to the site."""
    return f"ivo://{authority}/site/{name}"


def collection_keys(names: Iterable[str]) -> dict[str, str]:
    """Give the resource keys of collections, by name; no two are the same.

    Characters that a key may not have are written as ``~20``, by UTF-8. IVOIDs compare without
    case, so that of names that differ in case alone those that are not in lower case get a mark.
    """
    every = sorted(set(names))
    keys = {name: _UNKNOWN.sub(_escaped, name) for name in every}
    times = Counter(key.lower() for key in keys.values())
    return {
        name: key if times[key.lower()] == 1 or key == key.lower() else f"{key}~{_mark(name)}"
        for name, key in keys.items()
    }


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"~{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def _mark(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]

"""Lists of hosts, as settings have them."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["PORTS", "on_list"]

PORTS = {"http": 80, "https": 443}
"""The port of each scheme."""


def on_list(host: str, port: int, scheme: str, listed: Sequence[str]) -> bool:
    """Tell whether a host is one of those listed.

    Parameters
    ----------
    host
        In lower case.
    port, scheme
        Of the URL.
    listed
        Names, ``*.`` before one for all below it; with ``:port`` for another port than the
        scheme's own.
    """
    for entry in listed:
        name, _, wanted = entry.lower().partition(":")
        if port != (int(wanted) if wanted else PORTS[scheme]):
            continue
        if host == name or (name.startswith("*.") and host.endswith(name[1:])):
            return True
    return False

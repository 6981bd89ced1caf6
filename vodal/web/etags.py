"""Entity tags that a client names (RFC 9110 section 8.8.3)."""

from __future__ import annotations

import re

__all__ = ["listed_tags"]

_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*"|\*)')


def listed_tags(text: str | None) -> frozenset[str]:
    """Read the list of If-None-Match or If-Match (RFC 9110 section 13.1).

    Parameters
    ----------
    text
        Value of the header, None if there is none.

    Returns
    -------
    frozenset of str
        Tags with their quotes, weak ones as strong ones, so that they are compared weakly; ``*``
        stands for any tag.
    """
    return frozenset(_TAG.findall(text or ""))

"""The terms of DataLink's core vocabulary (http://www.ivoa.net/rdf/datalink/core)."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["CORE_TERMS", "is_semantics"]

CORE_TERMS = frozenset(
    {
        "#this",
        "#progenitor",
        "#derivation",
        "#auxiliary",
        "#weight",
        "#error",
        "#noise",
        "#calibration",
        "#bias",
        "#dark",
        "#flat",
        "#preview",
        "#preview-image",
        "#preview-plot",
        "#proc",
        "#cutout",
        "#counterpart",
        "#detached-header",
        "#documentation",
        "#coderived",
        "#thumbnail",
        "#package",
        "#sibling",
    }
)
"""Terms that a row may name by their fragment alone."""


def is_semantics(term: str) -> bool:
    """Tell whether a row may carry this: a core term, or the full URI of another vocabulary's."""
    if term in CORE_TERMS:
        return True
    if term.startswith("#"):
        return False
    parts = urlsplit(term)
    return parts.scheme in {"http", "https"} and bool(parts.netloc)

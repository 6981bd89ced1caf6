"""Text in XML documents: what XML 1.0 can carry (section 2.2)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["UNFIT", "clean"]

UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot carry in any form."""


def clean(text: str) -> str:
    """Put the sign for unknown characters (U+FFFD) in the place of those of `UNFIT`."""
    return UNFIT.sub("\ufffd", text)

"""What there is to catalogue.

- `base`  the seam `Source`
- `fits`  folders of FITS files
"""

from __future__ import annotations

from obscore.sources.base import Candidate, Problem, Source
from obscore.sources.fits import FolderSource, configured_sources, source_of

__all__ = [
    "Candidate",
    "FolderSource",
    "Problem",
    "Source",
    "configured_sources",
    "source_of",
]

"""What there is to catalogue.

- `base`  the seam `Source`
- `fits`  folders of FITS files
- `watch`  what may have changed in them: the seam `Watch`, and polling
- `inotify`  the same, by the kernel's events
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

"""What there is to catalogue.

- `base`  the seam `Source`
- `choice`  the source that the settings ask for
- `fits`  folders of FITS files
- `watch`  what may have changed: the seam `Watch`
- `inotify`  by the kernel's events, in folders of local disks
- `polling`  by walks, in sources of any kind
- `seen`  what walks have met, for that
"""

from __future__ import annotations

from obscore.sources.base import Candidate, Facts, Problem, Source
from obscore.sources.choice import configured_sources, source_of
from obscore.sources.fits import FolderSource

__all__ = [
    "Candidate",
    "Facts",
    "FolderSource",
    "Problem",
    "Source",
    "configured_sources",
    "source_of",
]

"""What there is to catalogue.

- `base`  the seam `Source`
- `columns`  many files by column; what a walk gives, some at a time
- `choice`  the source that the settings ask for
- `collected`  what sources of all kinds have in common
- `recorded`  what sources have in common that go by the records of others
- `trees`  the same of those that give all below a place
- `table`  tables of products, in files or databases
- `fits`  folders of FITS files
- `servers`  what those on servers have in common
- `objects`  FITS files in buckets of S3
- `web`  FITS files of HTTP servers, by `listings` of their folders
- `manifest`  files that a list names (`manifestlines`)
- `marks`  what servers told of files, as long as listings show the same
- `own`  classes that a site has written
- `absent`  what stands for a source that could not be made
- `butler`  datasets of an LSST Butler
- `watch`  what may have changed: the seam `Watch`
- `inotify`  by the kernel's events, in folders of local disks
- `writers`  whether a file is open for writing, as the kernel knows
- `polling`  by walks, in sources of any kind
- `seen`  what walks have met, for that; `met`: under which names, in a walk over folders
- `scratch`  the database in which these three, with `marks`, are kept
"""

from __future__ import annotations

from obscore.sources.base import Candidate, Facts, Problem, Source
from obscore.sources.fits import FolderSource

__all__ = [
    "Candidate",
    "Facts",
    "FolderSource",
    "Problem",
    "Source",
]

"""Bytes by offset from wherever they lie.

- `settings`    which servers are read, and how patiently
- `hosts`       lists of hosts
- `base`        the seam: `RangeReader` and `FileStat`
- `ranges`      few reads for many ranges
- `files`       ranges of an open file
- `local`       files on a disk
- `connections` HTTP requests on kept connections: tries, deadlines, redirects
- `byteranges`  several ranges in one answer
- `http`        files of HTTP servers
- `s3`          signed addresses of objects of S3
- `objects`     what lies in a bucket
- `bucket`      objects of S3 written
- `gzipped`     the plain stream of a whole-file gzip
- `remote`      both of them by URI
- `opening`     all of them by URI: `Storage`
"""

from __future__ import annotations

from vodal.storage.base import FileStat, Page, RangeReader
from vodal.storage.local import LocalReader, stat_local
from vodal.storage.opening import LOCAL, Storage, is_local, local_path
from vodal.storage.settings import StorageSettings

__all__ = [
    "LOCAL",
    "FileStat",
    "LocalReader",
    "Page",
    "RangeReader",
    "Storage",
    "StorageSettings",
    "is_local",
    "local_path",
    "stat_local",
]

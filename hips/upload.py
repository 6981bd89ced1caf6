"""A HiPS put into an object store: what has changed, its properties last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from hips.media import caching, media_type, shown_files
from hips.settings import HipsSettings
from hips.tiles.opening import open_tiles
from hips.tiles.packed import LAYOUT_FILE, PackedTree, pack_digest
from vodal.storage.bucket import Bucket, StoredObject

__all__ = ["Uploaded", "upload"]

_MANIFEST: Final = ".skylane.json"
"""Beside the tiles: of each object what it was made of, and the ETag it was given."""
_LAST: Final = ("index.html", LAYOUT_FILE, "properties")
_AT_ONCE: Final = 8
_BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What was done."""

    sent: int
    sent_bytes: int
    kept: int
    """That were there already."""
    removed: int


def upload(
    folder: Path,
    bucket: Bucket,
    prefix: str,
    settings: HipsSettings,
    *,
    private: bool = False,
    step: Callable[[int], None] | None = None,
) -> Uploaded:
    """Bring the copy of a HiPS in a bucket up to date.

    Objects that are the same already are not sent. Tiles or packs come first, then what tells of
    them, ``properties`` last; then what is no more is removed.

    Parameters
    ----------
    folder
        Of the HiPS.
    bucket, prefix
        Where it goes; the prefix without slashes at its ends.
    settings
        How long tiles may be kept.
    private
        Whether no shared cache may keep them.
    step
        Told the number of files so far.
    """
    base = f"{prefix}/" if prefix else ""
    there = bucket.objects(base)
    known = _manifest(bucket.get(base + _MANIFEST))
    kept: dict[str, tuple[str, str]] = {}
    sent = sent_bytes = 0

    def put(name: str) -> tuple[str, str, str, int]:
        path, key = folder / name, base + name
        mark = _mark(path)
        before = there.get(key)
        if before is not None and (
            known.get(name) == (mark, before.etag) or _same_bytes(path, before)
        ):
            return name, mark, before.etag, 0
        size = path.stat().st_size
        kind, keep = media_type(name), caching(name, settings, private=private)
        return name, mark, bucket.put(key, path, kind, keep), size

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for batch in _batches(_files(folder)):
            for name, mark, etag, size in pool.map(put, batch):
                kept[name] = mark, etag
                sent += bool(size)
                sent_bytes += size
                if step is not None:
                    step(len(kept))
    gone = [key for key in there if key[len(base) :] not in {*kept, _MANIFEST}]
    for start in range(0, len(gone), _BATCH):
        bucket.delete(gone[start : start + _BATCH])
    manifest = json.dumps({"files": kept}).encode()
    bucket.put(base + _MANIFEST, manifest, media_type(_MANIFEST), "no-cache")
    return Uploaded(sent, sent_bytes, len(kept) - sent, len(gone))


def _files(folder: Path) -> Iterator[str]:
    """Give the files of a HiPS as they are kept: tiles or packs, then the rest."""
    packed = isinstance(open_tiles(folder), PackedTree)
    pattern = "Packs/Norder*/Dir*/Npix*.zip" if packed else "Norder*/Dir*/Npix*.*"
    for path in folder.glob(pattern):
        yield path.relative_to(folder).as_posix()
    others = {*shown_files(folder), *([LAYOUT_FILE] if packed else [])}
    yield from sorted(others - set(_LAST))
    yield from (name for name in _LAST if name in others)


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    """Part the names; those that come last are alone, so that all before them is there."""
    left = iter(names)
    while batch := list(islice(left, _BATCH)):
        yield [name for name in batch if name not in _LAST]
        for name in batch:
            if name in _LAST:
                yield [name]


def _mark(path: Path) -> str:
    """Tell apart what a file may hold: of a pack by its directory, else by size and time."""
    if path.suffix == ".zip":
        return pack_digest(path)
    stat = path.stat()
    return f"{stat.st_size:x}-{stat.st_mtime_ns:x}"


def _same_bytes(path: Path, there: StoredObject) -> bool:
    """Tell by the MD5 that stores give as ETag of what was sent in one piece."""
    if len(there.etag) != 32 or path.stat().st_size != there.size_bytes:
        return False
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest() == there.etag


def _manifest(text: bytes | None) -> dict[str, tuple[str, str]]:
    try:
        files = json.loads(text or b"{}").get("files", {})
        return {str(name): (str(mark), str(etag)) for name, (mark, etag) in files.items()}
    except (ValueError, TypeError, AttributeError):
        return {}

"""The folder of a HiPS: its name, and how it is filled out of sight and takes it in one step."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

from hips.names import BUILD_FOLDER
from hips.properties import parse_properties
from vodal.errors import DataError, ServiceUnavailable, UsageError
from vodal.products import Product

__all__ = [
    "NAME",
    "PLANE",
    "VERSIONS",
    "alone",
    "band_of",
    "hips_name",
    "keep_version",
    "plane_name",
    "safe_name",
    "staging",
    "staging_free",
]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What a HiPS's folder may be called; never one that starts with a dot, as those in work do."""
VERSIONS: Final = ".versions"
"""Beside the HiPS: a folder for each, with one for each earlier release."""

PLANE: Final = re.compile(r"-(?:stokes[A-Z]{1,2}|(?:stokes[A-Z]{1,2}-)?(?:ch\d{3,9}|mean))")
"""What `plane_name` puts behind a name."""

_LONGEST: Final = 104
"""Of a name, before what tells a plane."""
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


def safe_name(*parts: str) -> str:
    """Make a folder's name of texts: other signs than letters, digits, dots become hyphens."""
    words = [re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") for part in parts]
    return "-".join(word for word in words if word)[:128] or "hips"


@lru_cache(maxsize=1024)
def hips_name(collection: str, band: str | None = None) -> str:
    """Give the name of the HiPS of a collection's band, or of its only one."""
    return safe_name(collection, band) if band else safe_name(collection)


def plane_name(name: str, state: str = "", channel: int = 0, *, mean: bool = False) -> str:
    """Give the name of the HiPS of a plane of cubes.

    Parameters
    ----------
    name
        Of that of images of their band.
    state
        Of polarization; nothing if it is the only one.
    channel
        Its number, from 1; 0 if there are no channels.
    mean
        Whether it is the mean of several channels instead.
    """
    parts = (f"stokes{state}" if state else "", f"ch{channel:03d}" if channel else "")
    return safe_name(name[:_LONGEST], *parts, "mean" if mean else "")


def band_of(product: Product) -> str:
    """Give a product's band; empty if it is not known."""
    return str(product.obscore.get("filter") or "").strip()


@contextmanager
def staging(
    target: Path, *, anew: bool = False, partly: bool = False, keep: int = 0
) -> Iterator[Path]:
    """Give a folder that replaces ``target`` when the block ends without error.

    Until then what was there before is served. Readers see the old folder or the new one, never a
    mixture. What a block that was killed or broken off has left is there again for the next.

    Parameters
    ----------
    target
        The folder of a HiPS, there or not.
    anew
        Begin with an empty folder.
    partly
        The block does some of the work and others may do more of it at the same time; nothing is
        replaced.
    keep
        How many of the folders that were there before are kept (`keep_version`).

    Raises
    ------
    UsageError
        If the name cannot be that of a HiPS.
    ServiceUnavailable
        If another process is making the same folder.
    """
    if not NAME.fullmatch(target.name):
        raise UsageError(
            f"'{target.name}' cannot be the name of a HiPS; "
            "it takes letters, digits, dots, hyphens and underscores"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    building = target.with_name(f".{target.name}.building")
    with _lock(target.with_name(f".{target.name}.lock"), target.name, shared=partly):
        if anew:
            shutil.rmtree(building, ignore_errors=True)
        building.mkdir(exist_ok=True)
        try:
            yield building
        except (DataError, UsageError):
            # Beginning again from what is there would end in the same way.
            if not partly:
                shutil.rmtree(building, ignore_errors=True)
            raise
        if not partly:
            old = _replace(building, target)
            if old is not None:
                keep_version(old, target, keep)
                # If it stays, it serves the next build as well as what a killed one has left.
                shutil.rmtree(old, ignore_errors=True)


@contextmanager
def staging_free(target: Path) -> Iterator[None]:
    """Keep the HiPS of a folder from being made or removed while the block runs.

    Raises
    ------
    ServiceUnavailable
        If it is being made.
    """
    with _lock(target.with_name(f".{target.name}.lock"), target.name, shared=False):
        yield


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time into the block, of those that make the same folder."""
    descriptor = os.open(folder / ".plan.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _lock(path: Path, name: str, *, shared: bool) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceUnavailable(
                f"another process is making, copying or removing the HiPS '{name}'; "
                "try again when it is done"
            ) from None
        yield
    finally:
        os.close(descriptor)


def keep_version(old: Path, target: Path, count: int) -> None:
    """Put the folder of an earlier release where it is served from, and drop the oldest.

    Parameters
    ----------
    old
        The folder; moved away if it is to be kept.
    target
        The HiPS of the release that took its place.
    count
        How many are kept.
    """
    kept = target.parent / VERSIONS / target.name
    release, now = _release(old), _release(target)
    if count and release and release != now and not (kept / release).exists():
        kept.mkdir(parents=True, exist_ok=True)
        old.rename(kept / release)
        shutil.rmtree(kept / release / BUILD_FOLDER, ignore_errors=True)
    there = sorted(path for path in kept.glob("*") if path.is_dir())
    for path in there[: max(0, len(there) - count)]:
        shutil.rmtree(path, ignore_errors=True)


def _release(folder: Path) -> str:
    try:
        text = (folder / "properties").read_text("utf-8")
        stamp = parse_properties(text).get("hips_release_date", "")
    except (OSError, UnicodeDecodeError, DataError):
        return ""
    return stamp if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", stamp) else ""


def _replace(building: Path, target: Path) -> Path | None:
    """Put the new folder in the place of the old one, at once where the system can.

    Gives where the old one is now; None if there was none.
    """
    if not target.exists():
        building.rename(target)
        return None
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        exchange = None
    if exchange is not None:
        failed = exchange(
            _AT_FDCWD, os.fsencode(building), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE
        )
        if not failed:
            return building
    # A file system that cannot exchange: for a moment there is no HiPS of this name.
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    building.rename(target)
    return old

"""Where built HiPS are: listed, removed, copied as a tree, put into an object store."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from hips.export import export_tree
from hips.properties import parse_properties
from hips.publish import NAME, VERSIONS, staging_free
from hips.tiles.opening import open_tiles
from hips.tiles.tree import TileTree
from hips.upload import upload
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.errors import DataError, NotFoundError, UsageError
from vodal.storage.bucket import Bucket
from vodal.storage.s3 import split_s3

__all__ = ["export", "list_all", "publish", "remove"]


def list_all(console: Console, site_path: Path) -> None:
    """List the HiPS of a site, with their earlier releases and those that lie elsewhere."""
    settings = load_settings(site_path)
    root = SiteFolder(site_path).hips
    names = _names(root)
    for name in names:
        values = _properties(root / name)
        kind = "tree" if isinstance(open_tiles(root / name), TileTree) else "packed"
        size = _size(values.get("hips_estsize", ""))
        console.print(
            f"{name}  order {values.get('hips_order', '?')}, "
            f"{values.get('hips_tile_format', '?')}, {kind}{size}, "
            f"released {values.get('hips_release_date', '?')}, {values.get('hips_status', '?')}",
            soft_wrap=True,
        )
        for release in _releases(root, name):
            console.print(f"{name}@{release}  earlier release", soft_wrap=True)
    for name, uri in settings.hips.remote.items():
        console.print(f"{name}  at {uri}", soft_wrap=True)
    if not names and not settings.hips.remote:
        console.print("There are no HiPS; 'skylane hips build' makes them.")


def remove(console: Console, site_path: Path, name: str) -> None:
    """Remove a HiPS with its earlier releases, or a single one of these (``NAME@RELEASE``)."""
    root = SiteFolder(site_path).hips
    plain, at, release = name.partition("@")
    if at:
        if release not in _releases(root, plain):
            raise _unknown(root, name)
        shutil.rmtree(root / VERSIONS / plain / release)
        console.print(f"Removed the release of {release} of {plain}; the newest is still there.")
        return
    folder = _folder(root, name)
    earlier = _releases(root, name)
    with staging_free(folder):
        # Out of sight at once; then file by file.
        gone = folder.with_name(f".{name}.removed")
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
        for path in (gone, root / VERSIONS / name, root / f".{name}.building"):
            shutil.rmtree(path, ignore_errors=True)
    (root / f".{name}.lock").unlink(missing_ok=True)
    also = f" and {len(earlier)} earlier releases" if earlier else ""
    console.print(f"Removed the HiPS {name}{also}. The images it was made of are untouched.")


def export(console: Console, site_path: Path, name: str, target: Path) -> None:
    """Copy a HiPS as a plain tree of files."""
    folder = _folder(SiteFolder(site_path).hips, name)
    with staging_free(folder):
        count = export_tree(folder, target)
    console.print(f"Wrote {count} tiles of {name} to {target}", soft_wrap=True)


def publish(console: Console, site_path: Path, name: str, uri: str) -> None:
    """Bring the copy of a HiPS in an object store up to date."""
    settings = load_settings(site_path)
    folder = _folder(SiteFolder(site_path).hips, name)
    if not uri.startswith("s3://"):
        raise UsageError(
            f"'{uri}' is no place to publish to; name one as s3://bucket/prefix. "
            "For a folder use 'skylane hips export'"
        )
    bucket, prefix = split_s3(uri.rstrip("/"))
    private = "private" in _properties(folder).get("hips_status", "").split()
    store = Bucket(bucket, settings.storage.s3)
    with staging_free(folder):
        done = upload(folder, store, prefix, settings.hips, private=private)
    console.print(
        f"Published {name} at {uri}: sent {done.sent} files ({done.sent_bytes / 1e6:.1f} MB), "
        f"{done.kept} were there already, removed {done.removed}",
        soft_wrap=True,
    )


def _names(root: Path) -> list[str]:
    folders = root.iterdir() if root.is_dir() else ()
    return sorted(
        path.name
        for path in folders
        if NAME.fullmatch(path.name) and (path / "properties").is_file()
    )


def _releases(root: Path, name: str) -> list[str]:
    if not NAME.fullmatch(name):
        return []
    kept = root / VERSIONS / name
    return sorted(path.name for path in kept.iterdir()) if kept.is_dir() else []


def _folder(root: Path, name: str) -> Path:
    if name not in _names(root):
        raise _unknown(root, name)
    return root / name


def _unknown(root: Path, name: str) -> NotFoundError:
    there = ", ".join(_names(root)) or "none"
    return NotFoundError(f"there is no HiPS '{name}' in this site; there are: {there}")


def _properties(folder: Path) -> dict[str, str]:
    try:
        return parse_properties((folder / "properties").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, DataError) as error:
        raise DataError(
            f"the properties of the HiPS {folder.name} cannot be read: {error}"
        ) from None


def _size(kilobytes: str) -> str:
    return f", {int(kilobytes) / 1024:.0f} MB" if kilobytes.isdecimal() else ""

"""Further files in a catalogue, made of images that are in it: many links, and remote ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from obscore.observation import CataloguedFile
from obscore.store.base import Store
from vodal.fits.opening import open_scanned
from vodal.storage import Storage

__all__ = ["add_links", "add_remote", "catalogued"]

_PAGE = 200


def catalogued(store: Store, paths: Mapping[str, Path]) -> dict[str, CataloguedFile]:
    """Give what a site knows of images, by kind."""
    found = {}
    for kind, path in paths.items():
        uri = path.resolve().as_uri()
        # The one that comes after all that come before it.
        (file,) = store.files_after(uri[:-1], 1)
        if file.uri != uri:
            raise SystemExit(f"{path} is not in the site")
        found[kind] = file
    return found


def _copy(file: CataloguedFile, uri: str, collection: str, name: str) -> CataloguedFile:
    (one,) = file.observations
    did = f"ivo://bench.example/{collection}?{name}"
    row = {**one.row, "obs_publisher_did": did, "obs_id": name, "obs_collection": collection}
    return replace(
        file, uri=uri, collection=collection, mapping_digest="bench",
        observations=(replace(one, row=row),),
    )  # fmt: skip


def add_links(
    store: Store, files: Mapping[str, CataloguedFile], paths: Mapping[str, Path], folder: Path,
    count: int,
) -> dict[str, list[str]]:  # fmt: skip
    """Have so many files in a catalogue, hard links to images in turn.

    Returns
    -------
    dict
        Identifiers of the products by kind.
    """
    folder.mkdir(exist_ok=True)
    known = set(store.known_files(folder.resolve().as_uri() + "/"))
    kinds = list(files)
    dids: dict[str, list[str]] = {kind: [] for kind in kinds}
    waiting: list[CataloguedFile] = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        # A file has 65,000 links at most, and a folder is quicker with fewer.
        link = folder / f"{number // 1000:03d}" / f"{number:06d}.fits"
        uri = link.resolve().as_uri()
        copy = _copy(files[kind], uri, "crowd", link.stem)
        dids[kind].append(copy.observations[0].did)
        if uri in known:
            continue
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            os.link(paths[kind], link)
        waiting.append(copy)
        if len(waiting) == _PAGE:
            store.write(waiting)
            waiting = []
    store.write(waiting)
    return dids


def add_remote(
    store: Store, files: Mapping[str, CataloguedFile], place: str, uris: Mapping[str, str],
    storage: Storage,
) -> dict[str, str]:  # fmt: skip
    """Catalogue images at another place; those of former runs there are removed.

    Returns
    -------
    dict
        Identifiers of the products by kind.
    """
    store.remove(store.known_files(next(iter(uris.values())).partition(":")[0] + ":"))
    copies = {}
    for kind, uri in uris.items():
        index, reader = open_scanned(uri, storage=storage)
        reader.__exit__(None, None, None)
        copies[kind] = replace(_copy(files[kind], uri, place, kind), index=index)
    store.write(list(copies.values()))
    return {kind: copy.observations[0].did for kind, copy in copies.items()}

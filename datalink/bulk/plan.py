"""Which files there are for a list of identifiers, and why others are not."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from vodal.access.asking import Asking
from vodal.access.seen import check_had, known_to
from vodal.errors import SkylaneError, TooLargeError
from vodal.filetypes import stem_of
from vodal.products import Product, Resolver, absent
from vodal.storage import FileStat, Storage, is_local

__all__ = ["Plan", "PlannedFile", "PlannedRow", "make_plan"]

_LAYOUT = 1
"""Of archives, in their tags; to be raised when their bytes change."""

_RESOLVED_AT_ONCE = 500
_ASKED_AT_ONCE = 16

_NAME_BYTES = 240
"""Of one part of a path: file systems take 255, and a number may come behind."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file of the archive."""

    path: str
    """In the archive."""
    uri: str
    version: str
    size_bytes: int
    modified_unix_s: float


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """What becomes of an identifier."""

    did: str
    file: PlannedFile | None
    """Several identifiers may have the same."""
    problem: str = ""
    """Why there is none: label and sentence."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a list."""

    address: str
    """Of the list."""
    rows: tuple[PlannedRow, ...]
    for_all: bool
    """Whether everybody may have all of the files."""

    @property
    def files(self) -> tuple[PlannedFile, ...]:
        """The files, each once."""
        return tuple(dict.fromkeys(row.file for row in self.rows if row.file is not None))

    @property
    def folder(self) -> str:
        """That holds all files."""
        return f"files-{self.address[:8]}"

    @property
    def tag(self) -> str:
        """What is another whenever the bytes of the archive may be others."""
        told = [
            [row.did, row.problem]
            if row.file is None
            else [row.did, row.file.path, row.file.version, row.file.size_bytes]
            for row in self.rows
        ]
        return hashlib.sha256(json.dumps([_LAYOUT, self.address, told]).encode()).hexdigest()[:24]


class _Names:
    """Gives each file a name of its own in the archive."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._taken: set[str] = set()

    def name(self, product: Product) -> str:
        """Give one; below the name of its collection."""
        stem, dot, rest = _part(product.file_name).partition(".")
        where = f"{self._folder}/{_part(product.collection)}"
        name, number = f"{where}/{stem}{dot}{rest}", 2
        while name.lower() in self._taken:
            name, number = f"{where}/{stem}_{number}{dot}{rest}", number + 1
        self._taken.add(name.lower())
        return name


def _part(text: str) -> str:
    """Write a text as one part of a path, on any system; what the file is stays at its end."""
    name = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', "_", text).lstrip(".").strip()
    data = name.encode("utf-8", "replace")
    if len(data) <= _NAME_BYTES:
        return name or "_"
    ends = name[len(stem_of(name)) :][-20:]
    return data[: _NAME_BYTES - len(ends)].decode("utf-8", "ignore") + ends


def _stated(storage: Storage, products: Sequence[Product]) -> list[FileStat | SkylaneError]:
    """Ask for size and version of files, of those on servers some at a time."""

    def ask(product: Product) -> FileStat | SkylaneError:
        try:
            if is_local(product.uri):
                # Opened, since a file that may not be read can be looked at all the same.
                with storage.open(product.uri) as reader:
                    return reader.stat()
            return storage.stat(product.uri)
        except SkylaneError as error:
            return error

    if all(is_local(product.uri) for product in products):
        return [ask(product) for product in products]
    with ThreadPoolExecutor(_ASKED_AT_ONCE, "bulk") as threads:
        return list(threads.map(ask, products))


def _told(error: SkylaneError) -> str:
    return f"{error.label}: {' '.join(str(error).split())}"


def _found(
    dids: Sequence[str], resolver: Resolver, asking: Asking
) -> Iterator[tuple[str, Product | SkylaneError]]:
    known = known_to(asking.rights, resolver)
    for start in range(0, len(dids), _RESOLVED_AT_ONCE):
        some = dids[start : start + _RESOLVED_AT_ONCE]
        products = known.resolve(some)
        for did in some:
            product = products.get(did)
            if product is None:
                yield did, absent(known, did, "there is no such product")
                continue
            try:
                check_had(asking.rights, product)
            except SkylaneError as error:
                yield did, error
            else:
                yield did, product


def make_plan(
    address: str,
    dids: Sequence[str],
    resolver: Resolver,
    storage: Storage,
    asking: Asking,
    max_bytes: int,
) -> Plan:
    """Look for the files of a list, for somebody; blocks.

    Parameters
    ----------
    address, dids
        Of the list, and the list.
    resolver, storage
        Find products, and look at their files.
    asking
        Who asks: what somebody may not have is told as a problem.
    max_bytes
        Of all files together.

    Raises
    ------
    TooLargeError
        If they are larger.
    SkylaneError
        If there is none at all that somebody may have: why there is not the first.
    """
    found = list(_found(dids, resolver, asking))
    products = {one.uri: one for _, one in found if isinstance(one, Product)}
    names = _Names(Plan(address, (), for_all=False).folder)
    files: dict[str, PlannedFile | SkylaneError] = {}
    for product, stat in zip(products.values(), _stated(storage, list(products.values())),
                             strict=True):  # fmt: skip
        files[product.uri] = (
            stat
            if isinstance(stat, SkylaneError)
            else PlannedFile(names.name(product), product.uri, stat.version, stat.size_bytes,
                             stat.modified_unix_s)
        )  # fmt: skip
    rows, first_problem = [], None
    for did, one in found:
        given = files[one.uri] if isinstance(one, Product) else one
        if isinstance(given, PlannedFile):
            rows.append(PlannedRow(did, given))
        else:
            first_problem = first_problem or given
            rows.append(PlannedRow(did, None, _told(given)))
    open_to_all = all(asking.public.may_have(one) for _, one in found if isinstance(one, Product))
    plan = Plan(address, tuple(rows), for_all=open_to_all)
    if not plan.files and first_problem is not None:
        raise first_problem
    total = sum(file.size_bytes for file in plan.files)
    if total > max_bytes:
        raise TooLargeError(
            f"the files have {total} bytes together, more than the {max_bytes} of one archive"
            " (datalink.bulk.max_bytes); send them in several lists"
        )
    return plan

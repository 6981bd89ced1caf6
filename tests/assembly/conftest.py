"""What the tests of the assembly line share: a store in memory, and files made to order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from typing_extensions import override

from obscore.assembly.line import ingest
from obscore.assembly.outcome import Outcome
from obscore.assembly.read import read_file
from obscore.assembly.rules import rules_for
from obscore.observation import CataloguedFile, Observation
from obscore.settings import ObsCoreSettings
from obscore.sources import Candidate, FolderSource
from obscore.store.base import KnownFile, Store
from obscore.store.tombstones import WITHDRAWN, Why
from vodal.errors import UsageError
from vodal.testing.skies import make_wcs


class MemoryStore(Store):
    """Keeps files in a dictionary; counts transactions."""

    def __init__(self) -> None:
        self.files: dict[str, CataloguedFile] = {}
        self.writes: list[int] = []

    @override
    def known_files(self, under_uri: str = "") -> dict[str, KnownFile]:
        return {
            uri: KnownFile(uri, f.collection, f.version, f.mapping_digest, len(f.observations))
            for uri, f in self.files.items()
            if uri.startswith(under_uri)
        }

    @override
    def known_after(self, under_uri: str, uri: str, limit: int) -> list[KnownFile]:
        known = sorted(self.known_files(under_uri).items())
        return [file for name, file in known if name > uri][:limit]

    @override
    def known_among(self, uris: Collection[str]) -> dict[str, KnownFile]:
        return {uri: file for uri, file in self.known_files().items() if uri in uris}

    @override
    def write(
        self, files: Sequence[CataloguedFile], *, instead_of: Collection[str] = ()
    ) -> frozenset[str]:
        uris = {file.uri for file in files} | set(instead_of)
        taken = {
            observation.did: uri
            for uri, file in self.files.items()
            if uri not in uris
            for observation in file.observations
        }
        for file in files:
            for observation in file.observations:
                holder = taken.setdefault(observation.did, file.uri)
                if holder != file.uri:
                    raise UsageError(
                        f"the identifier {observation.did} is already taken by {holder}"
                    )
        self.writes.append(len(files))
        for uri in instead_of:
            self.files.pop(uri, None)
        self.files |= {file.uri: file for file in files}
        return frozenset()

    @override
    def renew(self, file: CataloguedFile, version: str) -> bool:
        known = self.files.get(file.uri)
        if known is None or known.version != version:
            return False
        self.write([file])
        return True

    @override
    def remove(self, uris: Iterable[str], why: Why = WITHDRAWN) -> int:
        return sum(len(self.files.pop(uri).observations) for uri in uris if uri in self.files)

    @override
    def close(self) -> None:
        self.files = {}

    def rows(self) -> list[dict[str, Any]]:
        files = (self.files[uri] for uri in sorted(self.files))
        return [dict(observation.row) for file in files for observation in file.observations]


def write_image(
    path: Path,
    cards: dict[str, Any] | None = None,
    *,
    shape: tuple[int, ...] = (8, 10),
    sky: bool = True,
) -> Path:
    """Write an image with a TAN WCS at RA 150, Dec 2 and the given cards.

    A value may be a pair of value and comment.
    """
    header = make_wcs(150.0, 2.0, 10, 0.5, distorted=False).to_header() if sky else fits.Header()
    if sky and len(shape) > 2:
        header["WCSAXES"] = len(shape)
    header.update(cards or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(np.zeros(shape, np.float32), header).writeto(path, overwrite=True)
    return path


def outcome_of(path: Path, settings: ObsCoreSettings | None = None) -> Outcome:
    """Read one file in this process."""
    settings = settings or ObsCoreSettings()
    source = FolderSource(path.parent, collection="deep", start=path)
    (candidate,) = source.walk()
    assert isinstance(candidate, Candidate), candidate
    return read_file(candidate, rules_for(settings, candidate.collection))


RowOf = Callable[..., dict[str, Any]]


@pytest.fixture
def row_of(tmp_path: Path) -> RowOf:
    """Give a function from cards to the row of an image with them."""

    def make(
        cards: dict[str, Any] | None = None,
        *,
        settings: ObsCoreSettings | None = None,
        name: str = "image.fits",
        shape: tuple[int, ...] = (8, 10),
    ) -> dict[str, Any]:
        outcome = outcome_of(write_image(tmp_path / name, cards, shape=shape), settings)
        assert outcome.file is not None, outcome.refusal
        (observation,) = outcome.file.observations
        return dict(observation.row) | {"notes": outcome.file.notes}

    return make


@pytest.fixture
def memory_store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="session")
def new_memory_store() -> type[MemoryStore]:
    """Give the class, for fixtures of a wider scope."""
    return MemoryStore


@pytest.fixture(scope="session", name="write_image")
def session_image_writer() -> Callable[..., Path]:
    """Give the writer, for fixtures of a wider scope."""
    return write_image


@pytest.fixture
def image_writer() -> Callable[..., Path]:
    return write_image


@pytest.fixture
def read_outcome() -> Callable[..., Outcome]:
    return outcome_of


@pytest.fixture(scope="session")
def real_rows(real_images: Path) -> dict[str, tuple[Observation, ...]]:
    """Read all real files once; give the products by the file's path, refused files left out."""
    store = MemoryStore()
    ingest(FolderSource(real_images, collection="real"), store, ObsCoreSettings(), workers=2)
    files = {file.uri: file for file in store.files.values()}
    return {uri.partition("/images/")[2]: file.observations for uri, file in sorted(files.items())}

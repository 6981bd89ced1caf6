"""The datasets of a Butler as files to be catalogued."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from urllib.parse import quote, unquote, urlsplit
from uuid import UUID

from lsst.daf.butler import DatasetType
from typing_extensions import override

from obscore.settings import ObsCoreSettings
from obscore.sources.base import UNKNOWN_SIZE, Candidate, Facts, Part, Problem
from obscore.sources.butler.configuration import Configuration
from obscore.sources.butler.files import Artifact, artifacts_of
from obscore.sources.butler.records import Records, record_fields
from obscore.sources.butler.regions import region_of
from obscore.sources.butler.repository import Dataset, Repository
from obscore.sources.butler.rows import RowMaker, Told
from obscore.sources.butler.templates import MissingError
from obscore.sources.recorded import RecordedSource
from obscore.sources.servers import is_there
from vodal.errors import DataError, SkylaneError, UsageError
from vodal.regions import Region
from vodal.storage import LOCAL, FileStat, Storage, is_local, local_path

__all__ = ["ButlerSource"]


class ButlerSource(RecordedSource):
    """The datasets of a Butler that a collection's settings name.

    Each walk asks the repository anew, and finds out then whether it is there. No file is looked at
    unless rows are made of headers.

    Parameters
    ----------
    settings
        Of the catalogue; the collection has a Butler.
    collection
        Its name.
    configuration
        What `configuration_of` makes of the collection's settings.
    wanted
        Names of the facts that the mapping takes.
    storage
        Looks at files on servers, where headers are read.
    """

    def __init__(
        self,
        settings: ObsCoreSettings,
        collection: str,
        configuration: Configuration,
        wanted: Collection[str],
        storage: Storage = LOCAL,
    ) -> None:
        own = settings.collections[collection]
        assert own.butler is not None
        super().__init__(collection)
        self._notes = configuration.notes
        self._place, self._keys = own.butler.repository, configuration.keys
        self._key = f"obscore.collections.{collection}.butler"
        self._authority, self._wanted = settings.authority, wanted
        self._looks, self._storage = own.reads_headers, storage

    @property
    @override
    def place(self) -> str:
        return self._place

    @property
    def notes(self) -> tuple[str, ...]:
        """What the configuration says and has no effect."""
        return self._notes

    @override
    def holds(self, uri: str) -> bool:
        # Only a walk tells; what is known of the collection is compared by its name.
        return False

    @override
    def exists(self, uri: str) -> bool:
        return is_there(uri, self._storage)

    @override
    def walk(self) -> Iterator[Candidate | Problem]:
        return self._given(None)

    def newest(self, since_unix_s: float) -> Iterator[Candidate | Problem]:
        """Give the datasets that were put into the repository after a moment."""
        return self._given(since_unix_s)

    def _given(self, since_unix_s: float | None) -> Iterator[Candidate | Problem]:
        """Give the datasets, all or those that were put after a moment."""
        repository = self._open()
        try:
            unknown = []
            for name in self._keys.dataset_types:
                kind = repository.dataset_type(name)
                if kind is None:
                    unknown.append(name)
                else:
                    yield from self._of_type(repository, kind, since_unix_s)
            if len(unknown) == len(self._keys.dataset_types):
                raise UsageError(
                    f"{self._key}.dataset_types: the repository has no dataset type"
                    f" {', '.join(unknown)}"
                )
            for name in unknown:
                message = f"the repository has no dataset type {name}"
                yield Problem(f"butler:{quote(name)}/", "no-dataset-type", message)
        finally:
            repository.close()

    @override
    def look(self, uri: str) -> Candidate | Problem | None:
        return next((item for item in self.walk() if item.uri == uri), None)

    @override
    def why_away(self, known: int) -> str:
        try:
            self._open().close()
        except SkylaneError as error:
            return error.message
        return ""

    def _open(self) -> Repository:
        return Repository(self._place, self._keys, self._key)

    def _of_type(
        self, repository: Repository, kind: DatasetType, since_unix_s: float | None
    ) -> Iterator[Candidate | Problem]:
        fields = record_fields(kind)
        maker = RowMaker(
            self._keys, kind.name, dimensions=kind.dimensions.names, elements=fields,
            wanted=self._wanted, authority=self._authority, collection=self._collection,
            key=self._key,
        )  # fmt: skip
        several = len(self._keys.dataset_type_constraints.get(kind.name, ())) > 1
        met: set[UUID] = set()
        waiting: list[tuple[Dataset, Artifact, Part]] = []
        for batch in repository.batches(kind, since_unix_s):
            fresh = [dataset for dataset in batch if dataset.id not in met]
            if several:
                met |= {dataset.id for dataset in fresh}
            with repository.told():
                records = Records(repository.butler, kind, maker.elements, fresh)
                artifacts = artifacts_of(repository.butler, kind, fresh)
            for dataset in fresh:
                artifact = artifacts[dataset.id]
                part = self._part(kind, maker, records, dataset, artifact)
                if isinstance(part, Problem):
                    yield part
                    continue
                if waiting and waiting[0][1].uri != artifact.uri:
                    yield self._candidate(kind, waiting)
                    waiting = []
                waiting.append((dataset, artifact, part))
        if waiting:
            yield self._candidate(kind, waiting)

    def _part(
        self, kind: DatasetType, maker: RowMaker, records: Records, dataset: Dataset,
        artifact: Artifact,
    ) -> Part | Problem:  # fmt: skip
        """Give what is told of a dataset, or why it cannot be published."""
        uri = artifact.uri or f"butler:{quote(kind.name)}/{dataset.id}"
        if artifact.fault:
            return Problem(uri, "no-file", artifact.fault)
        told = Told(
            str(dataset.id), dataset.run, dataset.data_id, records.of(dataset),
            *records.span_mjd(dataset),
        )  # fmt: skip
        try:
            region = self._region(records, dataset)
            facts = maker.facts(told)
        except DataError as error:
            reason = "no-position" if error.message.startswith(_NO_REGION) else "bad-position"
            return Problem(uri, reason, f"{_named(dataset)}: {error.message}")
        except MissingError as error:
            message = f"{_named(dataset)} has no {error}, of which an identifier is made"
            return Problem(uri, "row:not-null", message)
        return Part(facts, region, where=f"dataset {dataset.id}")

    def _region(self, records: Records, dataset: Dataset) -> Region | None:
        region = records.region(dataset)
        if region is not None:
            return region_of(region)
        if self._looks:
            return None
        raise DataError(f"{_NO_REGION}; with headers = true that of the file is taken")

    def _candidate(
        self, kind: DatasetType, several: list[tuple[Dataset, Artifact, Part]]
    ) -> Candidate | Problem:
        """Give a file, of one dataset or of several that the Butler has in it."""
        (dataset, artifact, part), *others = several
        uri = artifact.uri
        stat = self._stat(uri, "-".join(str(one.id) for one, _, _ in several), artifact.size_bytes)
        if isinstance(stat, Problem):
            return stat
        name = unquote(urlsplit(uri).path).rsplit("/", maxsplit=1)[-1]
        facts: Facts = {}
        parts = tuple(one for _, _, one in several)
        if not others:
            facts, parts = part.facts, (Part(region=part.region),)
        return Candidate(
            uri=uri,
            relative=f"{kind.name}/{dataset.run}/{name}",
            collection=self._collection,
            stat=stat,
            facts=facts,
            parts=parts,
        )

    def _stat(self, uri: str, version: str, size_bytes: int | None) -> FileStat | Problem:
        """Give what is known of a file: by its datastore, or by itself if it is to be read."""
        if not self._looks:
            return FileStat(UNKNOWN_SIZE if size_bytes is None else size_bytes, version, 0.0)
        try:
            if not is_local(uri):
                return self._storage.stat(uri)
            about = local_path(uri).stat()
        except SkylaneError as error:
            return Problem(uri, "unreadable", error.message)
        except OSError as error:
            return Problem(uri, "unreadable", f"the file cannot be read: {error.strerror}")
        return FileStat(
            about.st_size, f"{about.st_size:x}-{about.st_mtime_ns:x}", about.st_mtime_ns / 1e9
        )


_NO_REGION = "the Butler has no region of its dimensions"


def _named(dataset: Dataset) -> str:
    """Name a dataset as people do, by its dimensions."""
    told = ", ".join(f"{name} {value}" for name, value in dataset.data_id.items())
    return f"dataset {dataset.id} ({told})"

"""A Butler repository: opened for reading, asked for the datasets of a type, a batch at a time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from astropy.time import Time
from lsst.daf.butler import (
    Butler,
    ButlerConfig,
    ButlerUserError,
    CollectionType,
    DatasetType,
    MissingCollectionError,
    MissingDatasetTypeError,
)
from lsst.daf.butler.queries import Query
from lsst.daf.butler.registry import CollectionTypeError, RegistryError
from sqlalchemy.exc import SQLAlchemyError

from obscore.sources.butler.settings import ConstraintSettings, ObsCoreKeys
from vodal.errors import UsageError

__all__ = ["Dataset", "Repository"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as the registry lists it."""

    id: UUID
    run: str
    data_id: Mapping[str, Any]
    """By dimension, implied ones too."""


class Repository:
    """A Butler, and which of its datasets are asked for.

    Parameters
    ----------
    place
        Folder, ``butler.yaml``, URL or alias.
    keys
        The configuration.
    key
        Path of the settings, for messages.

    Raises
    ------
    UsageError
        If there is no such repository, collection or dataset type, or it is a Butler server; the
        message names the key.
    """

    def __init__(self, place: str, keys: ObsCoreKeys, key: str) -> None:
        self._keys, self._key = keys, key
        with self.told("repository"):
            try:
                config = ButlerConfig(place)
                _check_kind(config, place, key)
                self.butler = Butler.from_config(config, writeable=False)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
                raise UsageError(
                    f"{key}.repository: there is no Butler repository {place}"
                ) from None
            except ImportError as error:
                # The driver of its registry's database.
                raise UsageError(
                    f"{key}.repository: the Butler repository {place} needs the library"
                    f" {error.name or error}, which is not installed here"
                ) from None
        self.find_first = keys.collection_type is None
        with self.told("collections"):
            self.collections = self._collections()

    def close(self) -> None:
        """Release the connection to the registry."""
        self.butler.close()

    def dataset_type(self, name: str) -> DatasetType | None:
        """Give a dataset type; None if the repository does not know it."""
        with self.told("dataset_types"):
            try:
                return self.butler.get_dataset_type(name)
            except MissingDatasetTypeError:
                return None

    def batches(
        self, kind: DatasetType, since_unix_s: float | None = None
    ) -> Iterator[list[Dataset]]:
        """Give the datasets of a type, in the order of their dimensions, some at a time.

        A dataset is given once for each constraint that takes it.

        Parameters
        ----------
        kind
            The type.
        since_unix_s
            Only those that were put into the repository after that.

        Raises
        ------
        UsageError
            If a constraint cannot be read; names its key.
        """
        name = kind.name
        several = self._keys.dataset_type_constraints.get(name)
        place = "where" if several is None else f"dataset_type_constraints.{name}"
        for constraint in (self._keys.where,) if several is None else several:
            with self.told(place), self.butler.query() as query:
                rows = self._rows(query, kind, constraint, since_unix_s)
                yield from _batched(rows, self._keys.batch_size)

    def _rows(
        self,
        query: Query,
        kind: DatasetType,
        constraint: ConstraintSettings,
        since_unix_s: float | None,
    ) -> Iterator[Dataset]:
        if constraint.extra_dims:
            query = query.join_dimensions(constraint.extra_dims)
        query = query.join_dataset_search(kind.name, collections=self.collections)
        if constraint.where:
            query = query.where(constraint.where, bind=dict(constraint.bind))
        if since_unix_s is not None:
            moment = Time(since_unix_s, format="unix")
            query = query.where(query.expression_factory[kind.name].ingest_date > moment)
        found = query.general(
            kind.dimensions,
            dataset_fields={kind.name: {"dataset_id", "run"}},
            find_first=self.find_first,
        )
        names = (*kind.dimensions.required, *kind.dimensions.implied)
        id_key, run_key = f"{kind.name}.dataset_id", f"{kind.name}.run"
        for row in found.order_by(*_order(kind)):
            yield Dataset(row[id_key], row[run_key], {name: row[name] for name in names})

    def _collections(self) -> list[str]:
        """Give the collections that are searched.

        With patterns of runs these are the runs there are now.
        """
        keys, collections = self._keys, self.butler.collections
        if keys.collection_type == "RUN":
            try:
                patterns = [re.compile(text) for text in keys.collections]
            except re.error as error:
                raise UsageError(
                    f"{self._key}.collections: no regular expression: {error}"
                ) from None
            runs = collections.query("*", collection_types=CollectionType.RUN)
            found = sorted(
                run
                for run in runs
                if not patterns or any(pattern.fullmatch(run) for pattern in patterns)
            )
        else:
            found = list(collections.query(keys.collections, flatten_chains=False))
            if keys.collection_type == "TAGGED":
                info = collections.get_info(found[0])
                if info.type is not CollectionType.TAGGED:
                    raise UsageError(
                        f"{self._key}.collections: {found[0]} is no TAGGED collection but a"
                        f" {info.type.name}"
                    )
        if not found:
            named = ", ".join(keys.collections)
            raise UsageError(f"{self._key}.collections: the repository has none of {named}")
        return found

    @contextmanager
    def told(self, place: str = "repository") -> Iterator[None]:
        """Say what went wrong with the Butler within the block, in a sentence that names the key.

        Raises
        ------
        UsageError
            In the place of its own errors.
        """
        key = f"{self._key}.{place}"
        try:
            yield
        except MissingCollectionError as error:
            raise UsageError(f"{self._key}.collections: {_sentence(error)}") from None
        except (ButlerUserError, CollectionTypeError, RegistryError, ValueError, KeyError,
                RuntimeError, NotImplementedError) as error:  # fmt: skip
            raise UsageError(f"{key}: {_sentence(error)}") from None
        except (SQLAlchemyError, OSError) as error:
            raise UsageError(
                f"{self._key}.repository: the Butler does not answer: {_sentence(error)}"
            ) from None


def _check_kind(config: ButlerConfig, place: str, key: str) -> None:
    """Refuse a Butler server (`lsst.daf.butler.remote_butler`).

    It has no datastore that could be asked for what it has recorded, and gives addresses of files
    that expire: no row could be kept with them. Seen of lsst-daf-butler 30.2026.4300.
    """
    if "remote_butler" in config:
        raise UsageError(
            f"{key}.repository: {place} is a Butler server, whose addresses of files expire; name"
            " the repository behind it"
        )


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__


def _batched(rows: Iterator[Dataset], size: int) -> Iterator[list[Dataset]]:
    while batch := list(itertools.islice(rows, size)):
        yield batch


_WITHIN = ("detector", "band", "physical_filter")


def _order(kind: DatasetType) -> Sequence[str]:
    """Give the dimensions to sort by: those of one exposure, and of one patch, stay together."""
    names = list(kind.dimensions.required)
    return [name for name in names if name not in _WITHIN] + [
        name for name in names if name in _WITHIN
    ]

"""The seams of the store: what the assembly line writes and what queries and services read.

A database that can be a store implements `Backend`, and by it `Store`, `QueryEngine` and the seams
of `vodal.products`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from obscore.columns import ObsCoreColumn
from obscore.declared.publication import Publication
from obscore.declared.rows import DeclaredRows
from obscore.declared.tables import DeclaredSchema
from obscore.observation import CataloguedFile
from obscore.store.blocks import Placed
from obscore.store.engine import QueryEngine
from obscore.store.extra import ExtraChanges
from obscore.store.session import Session
from obscore.store.tombstones import WITHDRAWN, Why
from vodal.products import Catalogue, Resolver

__all__ = [
    "Backend",
    "ClosingCatalogue",
    "ClosingResolver",
    "Footprints",
    "KnownFile",
    "Store",
    "StoreInfo",
    "TableStore",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store is and holds."""

    place: str
    """Where it lies, for the eye; without a password."""
    layout: str | None
    """Of its tables; None if it was not made yet."""
    newest_layout: str
    """That this program needs."""
    files: int
    products: int
    size_bytes: int
    """On disk, with its indexes."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that the store holds."""

    uri: str
    collection: str
    version: str
    mapping_digest: str
    products: int


class Store(Protocol):
    """Where the assembly line writes. One writer, many readers, in several processes."""

    def known_files(self, under_uri: str = "") -> dict[str, KnownFile]:
        """Give the files catalogued below a URI prefix, by URI."""
        ...

    def known_after(self, under_uri: str, uri: str, limit: int) -> list[KnownFile]:
        """Give files catalogued below a URI prefix, in the order of their URIs.

        Parameters
        ----------
        under_uri
            The prefix.
        uri
            Those that come after it are given; "" begins with the first.
        limit
            How many at most.
        """
        ...

    def known_among(self, uris: Collection[str]) -> dict[str, KnownFile]:
        """Give those of some files that are catalogued, by URI."""
        ...

    def files_after(self, uri: str, limit: int) -> list[CataloguedFile]:
        """Read files back as they were written, in the order of their URIs.

        Parameters
        ----------
        uri
            Those that come after it are given; "" begins with the first.
        limit
            How many at most.
        """
        ...

    def write(
        self, files: Sequence[CataloguedFile], *, instead_of: Collection[str] = ()
    ) -> frozenset[str]:
        """Write files in one transaction, replacing all that was known of each.

        A row that is as it was keeps its ``last_modified``; what was retracted is withheld; what a
        file held and holds no more leaves a tombstone.

        Parameters
        ----------
        files
            As they are now.
        instead_of
            URIs of further files that go in the same transaction.

        Returns
        -------
        frozenset
            Identifiers of products that were withheld.

        Raises
        ------
        UsageError
            If an identifier is already taken by another file; nothing is written then.
        """
        ...

    def renew(self, file: CataloguedFile, version: str) -> bool:
        """Write a file in the place of one version of it, unless that was replaced meanwhile.

        Of several processes that do so at once one writes.

        Parameters
        ----------
        file
            As it is now.
        version
            That the store is known to have.

        Returns
        -------
        bool
            False if the store has another version by now, or none; nothing is written then.

        Raises
        ------
        UsageError
            As of `write`.
        """
        ...

    def file_at(self, uri: str) -> CataloguedFile | None:
        """Read one file back as it was written; None if it is not catalogued."""
        ...

    def complete(self, file: CataloguedFile, version: str) -> bool:
        """Write the byte index, the version and the HDUs of a file whose rows stay as they are.

        Parameters
        ----------
        file
            As `file_at` gave it, now with its index.
        version
            That the store is known to have.

        Returns
        -------
        bool
            False if the store has another version by now, or none; nothing is written then.
        """
        ...

    def remove(self, uris: Iterable[str], why: Why = WITHDRAWN) -> int:
        """Remove files with their products, which leave tombstones that tell why.

        Gives the number of products removed.
        """
        ...

    def retract(self, dids: Sequence[str], why: Why) -> int:
        """Remove products for good, so that they do not come back with their files.

        Of those that are gone already the tombstones are made to tell so. Gives the number of
        products removed.
        """
        ...

    def turn(self, work: Callable[[Session], T]) -> T:
        """Do something in a transaction, after other writers; it may be done again from the start.

        Parameters
        ----------
        work
            Gives the result.
        """
        ...

    def extra_columns(self) -> tuple[ObsCoreColumn, ...]:
        """Give the columns that were added to ``ivoa.obscore``, in their order."""
        ...

    def declare(self, columns: Sequence[ObsCoreColumn]) -> ExtraChanges:
        """Bring the added columns of ``ivoa.obscore``, and TAP_SCHEMA, to what is declared.

        One that is declared no more goes with its values; so do those of one that has another type
        or unit now. Where one is added, all files count as changed, so that the next run fills it.
        Nothing is written if all is as it is declared.

        Parameters
        ----------
        columns
            All of them, in their order.

        Raises
        ------
        ServiceUnavailable
            If queries have read the table all the while; nothing is changed then.
        """
        ...

    def close(self) -> None:
        """Release the connections."""
        ...


class TableStore(Protocol):
    """Where a site publishes tables of its own; one process at a time."""

    def publication(self) -> Publication:
        """Give what is published."""
        ...

    def publish(
        self,
        declared: DeclaredSchema,
        rows: Mapping[str, DeclaredRows],
        *,
        progress: Callable[[int, int], None] | None = None,
        tokens: Mapping[str, str] | None = None,
    ) -> None:
        """Publish tables, in the place of those of the same names, or do nothing.

        Readers see all of the old or all of the new. A table without rows here keeps those that
        it has, if they are kept in the same way; a new one is empty. The schema's other tables
        stay.

        Parameters
        ----------
        declared
            Checked (`obscore.declared.check`).
        rows
            New rows, by the table's name.
        progress
            Told how many rows are loaded, and of how many.
        tokens
            Of the rows, if they are copies; by the table's name.

        Raises
        ------
        UsageError
            If a row does not fit, or rows that are kept do not.
        ServiceUnavailable
            If another process is publishing.
        """
        ...

    def drop(self, names: Sequence[tuple[str, str]]) -> None:
        """Remove tables, named by schema and table, with their rows.

        Raises
        ------
        UsageError
            If a foreign key of another table leads to one.
        """
        ...

    def close(self) -> None:
        """Release the connections."""
        ...


class ClosingResolver(Resolver, Protocol):
    """A resolver that holds connections."""

    def close(self) -> None:
        """Release the connections."""
        ...


class ClosingCatalogue(Catalogue, Protocol):
    """A catalogue that holds connections."""

    def close(self) -> None:
        """Release the connections."""
        ...


class Footprints(Protocol):
    """Reads what all rows cover, block by block. Safe to call from several threads."""

    def changed(self, after: int = 0) -> list[tuple[int, int]]:
        """Give the blocks that changed after a revision, each with its revision, by number.

        Parameters
        ----------
        after
            The highest revision that the caller knows; 0 gives all blocks.
        """
        ...

    def of_block(self, block: int) -> list[Placed]:
        """Give the rows of a block; none for one that is empty now."""
        ...

    def close(self) -> None:
        """Release the connections."""
        ...


class Backend(Protocol):
    """One store, by all the ways in which it is used; opens nothing before it is asked to."""

    def prepare(self) -> None:
        """Make an empty store where there is none; bring its layout and TAP_SCHEMA up to date."""
        ...

    def info(self) -> StoreInfo:
        """Tell what it is and holds, without changing anything.

        Raises
        ------
        SkylaneError
            If it cannot be read.
        """
        ...

    def writer(self) -> Store:
        """Open it for the assembly line."""
        ...

    def tables(self) -> TableStore:
        """Open it for publishing further tables."""
        ...

    def resolver(self) -> ClosingResolver:
        """Find products by identifier."""
        ...

    def catalogue(self) -> ClosingCatalogue:
        """Find products by collection and place."""
        ...

    def footprints(self) -> Footprints:
        """Read what all rows cover."""
        ...

    def engine(self, *, connections: int, wait_s: float, batch_rows: int) -> QueryEngine:
        """Run queries.

        Parameters
        ----------
        connections
            Queries that run at once.
        wait_s
            Seconds that a query waits for a connection.
        batch_rows
            Rows of a batch; the first has fewer, so that an answer begins at once.
        """
        ...

    def warm_up(self) -> None:
        """Begin to load what long answers need; for a server, before the first is asked for."""
        return

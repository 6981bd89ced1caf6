"""From the UPLOAD parameter to tables that can be loaded.

TAP 1.1 section 2.7.6, DALI 1.1 section 3.4.5.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anyio import CancelScope
from anyio.to_thread import run_sync
from starlette.requests import Request

from vodal.errors import SkylaneError, TooLargeError, UsageError
from vodal.params import Params
from vodal.pool import WarmPool
from vodal.tables.uploads import UploadedTable
from vodal.uploads.settings import UploadSettings
from vodal.web.fetch import FetchRules, fetch
from vodal.web.multipart import FilePart, FileTarget
from vodal.web.requests import read_form

__all__ = ["TableUploads", "Taken", "UploadSource", "parse_uploads"]

_FORM = "it is written UPLOAD=name,uri with several separated by ';'"
_REGULAR = re.compile("[A-Za-z][A-Za-z0-9_]*")
_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",;]*?))\s*,')
_LONGEST_NAME = 128

_NOWHERE = Path(os.devnull)
"""The folder of a request that brings no tables."""


@dataclass(frozen=True, slots=True)
class UploadSource:
    """One table that a request is to have."""

    name: str
    """As in ``TAP_UPLOAD.<name>``, without quotes."""
    uri: str
    """``param:...`` for what came with the request."""


def parse_uploads(
    values: Sequence[str],
    max_tables: int,
    reserved: Collection[str] = (),
    *,
    setting: str = "max_tables",
) -> tuple[UploadSource, ...]:
    """Read the values of UPLOAD.

    A name is a regular identifier of ADQL, or one in double quotes. A ``;`` within a URI is
    written ``%3B``.

    Parameters
    ----------
    values
        Of the parameter.
    max_tables
        How many there may be.
    reserved
        Words in upper case that are no names without quotes.
    setting
        Name of the limit, for errors.

    Raises
    ------
    UsageError
        If one is malformed or a name comes twice.
    TooLargeError
        If there are too many.
    """
    sources: list[UploadSource] = []
    for value in values:
        rest = value.strip().strip(";")
        while rest.strip():
            source, rest = _parse_one(rest, reserved)
            sources.append(source)
            if len(sources) > max_tables:
                raise TooLargeError(
                    f"UPLOAD names more tables than this service takes ({setting} is {max_tables})"
                )
    seen: dict[str, str] = {}
    for source in sources:
        other = seen.setdefault(source.name.lower(), source.name)
        if other is not source.name:
            raise UsageError(
                f"UPLOAD names the table '{source.name}' twice; names differ by more than case"
            )
    return tuple(sources)


def _parse_one(text: str, reserved: Collection[str]) -> tuple[UploadSource, str]:
    match = _NAME.match(text)
    if match is None:
        raise UsageError(f"UPLOAD '{text[:60]}' is not understood; {_FORM}")
    if match[1] is None:
        name = match[2]
        if not _REGULAR.fullmatch(name):
            raise UsageError(
                f"UPLOAD: '{name[:60]}' is no name of a table; take letters, digits and '_', or put"
                " it in double quotes"
            )
        if name.upper() in reserved:
            raise UsageError(
                f"UPLOAD: {name} is a reserved word of ADQL; put it in double quotes, here and in"
                " the query"
            )
    else:
        name = match[1].replace('""', '"')
    if not 0 < len(name) <= _LONGEST_NAME:
        raise UsageError(f"UPLOAD: the name of a table has 1 to {_LONGEST_NAME} characters")
    uri, _, rest = text[match.end() :].partition(";")
    if not uri.strip():
        raise UsageError(f"UPLOAD: the table '{name[:60]}' has no URI; {_FORM}")
    return UploadSource(name, uri.strip()), rest


@dataclass(frozen=True, slots=True)
class Taken:
    """What came with a request."""

    params: Params
    files: tuple[FilePart, ...]
    folder: Path
    """For what is made of the files."""


class TableUploads:
    """Takes, fetches and reads uploaded tables.

    The process that reads starts with the first table. Belongs to the event loop that uses it.

    Parameters
    ----------
    settings
        Limits.
    reserved
        As for `parse_uploads`.
    section
        Where the settings are, for errors: ``tap.uploads``.
    """

    def __init__(
        self, settings: UploadSettings, reserved: Collection[str] = (), *, section: str = ""
    ) -> None:
        self._settings = settings
        self._section = section
        self._reserved = reserved
        self._pool: WarmPool | None = None
        self._starting = asyncio.Lock()

    def target(self, folder: Path) -> FileTarget:
        """Say where the files of a request go."""
        settings = self._settings
        return FileTarget(folder, settings.max_tables, settings.max_bytes, self._section)

    @asynccontextmanager
    async def taking(self, request: Request) -> AsyncIterator[Taken]:
        """Take parameters and files of a request; the files go when the block ends."""
        # Most requests bring no table, and need no folder.
        if "multipart" not in request.headers.get("content-type", ""):
            params, _ = await read_form(request, None)
            if not params.all("UPLOAD"):
                yield Taken(params, (), _NOWHERE)
                return
        else:
            params = None
        directory = await run_sync(partial(tempfile.TemporaryDirectory, prefix="skylane-upload-"))
        try:
            folder = Path(directory.name)
            files: Sequence[FilePart] = ()
            if params is None:
                params, files = await read_form(request, self.target(folder))
            yield Taken(params, tuple(files), folder)
        finally:
            with CancelScope(shield=True):
                await run_sync(directory.cleanup)

    def named(self, params: Params) -> tuple[UploadSource, ...]:
        """Give the tables that UPLOAD names.

        Raises
        ------
        UsageError, TooLargeError
            As `parse_uploads`.
        """
        setting = self.target(_NOWHERE).setting("max_tables")
        most = self._settings.max_tables
        return parse_uploads(params.all("UPLOAD"), most, self._reserved, setting=setting)

    async def tables(self, taken: Taken) -> tuple[UploadedTable, ...]:
        """Read the tables that UPLOAD names.

        Raises
        ------
        UsageError
            If one is not there, or cannot be read; names it.
        TooLargeError
            If one is over a limit.
        ServiceUnavailable
            If too many are waiting to be read, or its reading takes too long.
        """
        sources = self.named(taken.params)
        tables = []
        for number, source in enumerate(sources, 1):
            try:
                tables.append(await self._table(source, taken, number))
            except SkylaneError as error:
                error.message = f"UPLOAD {source.name}: {error.message}"
                error.args = (error.message,)
                raise
        return tuple(tables)

    async def _table(self, source: UploadSource, taken: Taken, number: int) -> UploadedTable:
        sent = await self._sent(source, taken, number)
        # What reads is loaded by the process that does.
        from vodal.tables.readers.read import read_table  # noqa: PLC0415

        pool = await self._started()
        return await pool.run(
            read_table,
            sent.path,
            taken.folder / f"table{number}.arrow",
            source.name,
            self._settings.read_limits(),
            sent.media_type,
            sent.file_name,
        )

    async def _sent(self, source: UploadSource, taken: Taken, number: int) -> FilePart:
        """Give the file of a table."""
        scheme, _, name = source.uri.partition(":")
        if scheme.lower() == "param":
            return await run_sync(_part, taken, name, number)
        urls = self._settings.urls
        if not urls.hosts:
            raise UsageError(
                f"tables are taken with the request only (param:name), not from '{scheme[:20]}:'"
            )
        path = taken.folder / f"fetched{number}"
        rules = FetchRules(urls.hosts, urls.private_hosts, self._settings.max_bytes, urls.limit_s)
        await run_sync(partial(taken.folder.mkdir, parents=True, exist_ok=True))
        # The name server may be slow to answer, which only waiting for it would show.
        fetched = await run_sync(fetch, source.uri, path, rules, abandon_on_cancel=True)
        return FilePart("", fetched.file_name, fetched.media_type, path, 0)

    async def _started(self) -> WarmPool:
        async with self._starting:
            if self._pool is None:
                pool = WarmPool(
                    self._settings.workers,
                    preload=("vodal.tables.readers.read",),
                    deadline_s=self._settings.read_limit_s,
                    memory_limit_bytes=self._settings.memory_mb * 1_000_000,
                    name="upload",
                )
                await pool.start()
                self._pool = pool
            return self._pool

    async def close(self) -> None:
        """Stop the process."""
        if self._pool is not None:
            await self._pool.stop()
            self._pool = None


def _part(taken: Taken, name: str, number: int) -> FilePart:
    """Find a part of the body by its name; a parameter may hold a table too."""
    named = [part for part in taken.files if part.name == name]
    named += [part for part in taken.files if part.name.lower() == name.lower()]
    if named:
        return named[0]
    values = taken.params.all(name)
    if len(values) == 1:
        taken.folder.mkdir(parents=True, exist_ok=True)
        path = taken.folder / f"value{number}"
        path.write_text(values[0], "utf-8")
        return FilePart(name, "", "", path, 0)
    raise UsageError(
        f"the request has no part '{name[:60]}'; send the table as multipart/form-data"
    )

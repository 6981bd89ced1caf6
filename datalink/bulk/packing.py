"""An archive of files as a content: which bytes come from where."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from isal import isal_zlib
from typing_extensions import override

from datalink.bulk.manifest import MANIFEST, SUMS, manifest_text, sums_text
from datalink.bulk.plan import Plan, PlannedFile
from datalink.bulk.sums import FilePart, KeptSums, Sums
from datalink.content import Content, Part, Share
from vodal.archives import STREAMED, Archive, Entry

__all__ = ["packed"]

_Made = Callable[[Share], Awaitable[bytes]]
_Written = Callable[[dict[str, str]], bytes]
"""Writes a text from the checksums of files."""


class _MadePart(Part):
    """Bytes that are made when they are asked for, of a number that is known."""

    def __init__(self, size_bytes: int, made: _Made) -> None:
        self.size_bytes, self._made = size_bytes, made

    @override
    async def pieces(self, start: int, stop: int, share: Share) -> AsyncGenerator[bytes, None]:
        yield (await self._made(share))[start:stop]


@dataclass(frozen=True, slots=True)
class _Member:
    """One file of the archive, or a text about them."""

    path: str
    part: Part
    offset: int
    """Where its entry begins."""
    crc32: Callable[[Share], Awaitable[int]]


class _Packer:
    """Lays out one archive."""

    def __init__(self, plan: Plan, archive: Archive, kept: KeptSums) -> None:
        self._plan, self._archive, self._kept = plan, archive, kept
        self._files: list[tuple[PlannedFile, FilePart]] = []
        self._members: list[_Member] = []
        self._offset = 0
        self._parts: list[Part] = []

    def pack(self) -> Sequence[Part]:
        """Put all files in, and what tells of them."""
        for file in self._plan.files:
            part = FilePart(file, self._kept)
            self._files.append((file, part))
            self._member(file.path, part, partial(self._crc_of_file, file, part))
        self._text(MANIFEST, partial(manifest_text, self._plan))
        self._text(SUMS, partial(sums_text, self._plan))
        entries = [Entry(one.path, one.part.size_bytes, 0, one.offset) for one in self._members]
        size = sum(map(len, self._archive.end(entries, self._offset)))
        self._put(_MadePart(size, partial(self._end, self._offset)))
        return self._parts

    def _put(self, part: Part) -> None:
        self._parts.append(part)
        self._offset += part.size_bytes

    def _text(self, name: str, write: _Written) -> None:
        async def made(share: Share) -> bytes:
            sums = [(file, await self._sums(file, part, share)) for file, part in self._files]
            return write({file.path: one.sha256.hex() for file, one in sums})

        async def crc32(share: Share) -> int:
            return int(isal_zlib.crc32(await made(share)))

        self._member(f"{self._plan.folder}/{name}", _MadePart(len(write({})), made), crc32)

    def _member(self, path: str, part: Part, crc32: Callable[[Share], Awaitable[int]]) -> None:
        archive, size = self._archive, part.size_bytes
        member = _Member(path, part, self._offset, crc32)
        self._members.append(member)

        async def head(_share: Share) -> bytes:
            return archive.head(path, size, 0)

        async def tail(share: Share) -> bytes:
            return archive.tail(size, await self._crc(member, share))

        self._put(_MadePart(len(archive.head(path, size, 0)), head))
        self._put(part)
        self._put(_MadePart(len(archive.tail(size)), tail))

    async def _crc(self, member: _Member, share: Share) -> int:
        # A tar has none, and what it does not need is not read for it.
        return await member.crc32(share) if self._archive.extension == "zip" else 0

    async def _crc_of_file(self, file: PlannedFile, part: FilePart, share: Share) -> int:
        return (await self._sums(file, part, share)).crc32

    async def _sums(self, file: PlannedFile, part: FilePart, share: Share) -> Sums:
        if part.sums is None:
            part.sums = await self._kept.of(file, share)
        return part.sums

    async def _end(self, offset: int, share: Share) -> bytes:
        entries = [
            Entry(one.path, one.part.size_bytes, await self._crc(one, share), one.offset)
            for one in self._members
        ]
        return b"".join(self._archive.end(entries, offset))


def packed(plan: Plan, kind: str, kept: KeptSums) -> Content:
    """Lay out the archive of a plan.

    The same plan gives the same bytes, whenever and by whichever process they are made.

    Parameters
    ----------
    plan
        Of the files.
    kind
        One of `vodal.archives.STREAMED`.
    kept
        Gives checksums, and takes those of files that are read.
    """
    modified = max((file.modified_unix_s for file in plan.files), default=0.0)
    archive = STREAMED[kind](modified)
    parts = _Packer(plan, archive, kept).pack()
    name = f"{plan.folder}.{kind}"
    # What is at the end has to be made of all files, which is not for every range.
    return Content(
        parts, f"{plan.tag};{kind}", modified, archive.media_type, name, several_ranges=False
    )

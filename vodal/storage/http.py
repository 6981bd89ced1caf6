"""Files of HTTP servers, read by ranges of bytes (RFC 9110 section 14).

The version of a file is its ETag, else its Last-Modified, together with its size. Each request
says which version it wants (If-Match, If-Unmodified-Since; RFC 9110 section 13.1) and each answer
is held against it, so that data and check come in one round trip. Servers that ignore the
conditions are found out by the answer's own validators; weak ETags are compared only there, since
If-Match never matches them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

from typing_extensions import override

from vodal.errors import ChangedError, DataError, NotFoundError
from vodal.storage.base import FileStat, RangeReader
from vodal.storage.byteranges import CONTENT_RANGE, read_pieces
from vodal.storage.connections import Answer, Connections, host_of
from vodal.storage.ranges import Request, plan_requests

__all__ = ["HEAD_BYTES", "HttpReader", "Manners", "Team", "Validator"]

HEAD_BYTES = 1 << 16
"""Of a file of which nothing is known: most FITS headers fit, in one request."""
_MIN_PIECE_BYTES = 2 << 20
_MAX_PIECE_BYTES = 8 << 20
"""A longer range is asked for in pieces side by side: one connection alone is slower. The smallest
takes about as long on its way (at 90 MB/s, as S3 has it) as a round trip."""
_MOST_RANGES = 100
"""Of one request; Apache takes 200, and 8190 bytes of a header."""
_PART_BYTES = 512
"""That a server may say before a range among several."""


@dataclass(frozen=True, slots=True)
class Validator:
    """What a server tells of a file's version."""

    size_bytes: int
    mark: str
    """ETag as it was sent; else ``@`` with the Last-Modified as it was sent; else empty."""

    @property
    def version(self) -> str:
        """As `FileStat` has it."""
        return f"{self.size_bytes:x}-{self.mark}"

    @classmethod
    def of(cls, version: str) -> Validator:
        """Read a version back.

        Raises
        ------
        ChangedError
            If it is none of a file on a server.
        """
        size, _, mark = version.partition("-")
        if not re.fullmatch(r"[0-9a-f]{1,15}", size) or not re.fullmatch(r'|@.*|(W/)?".*"', mark):
            raise ChangedError("the file was catalogued from another kind of storage")
        return cls(int(size, 16), mark)

    @property
    def proves(self) -> bool:
        """Whether the same mark means the same bytes (a strong ETag)."""
        return self.mark.startswith('"')

    def conditions(self) -> dict[str, str]:
        """Give the header that asks for this version."""
        if self.proves:
            return {"If-Match": self.mark}
        if self.mark.startswith("@"):
            return {"If-Unmodified-Since": self.mark[1:]}
        return {}


_Block = bytes | bytearray


class Manners:
    """Which hosts give several ranges in one answer. Safe to use from several threads.

    Parameters
    ----------
    several
        Whether it is asked for at all; S3 gives one range at a time.
    """

    def __init__(self, *, several: bool) -> None:
        self._several = several
        self._single: set[tuple[str, str, int]] = set()
        self._lock = threading.Lock()

    def gives_several(self, url: str) -> bool:
        """Tell whether a host is to be asked for several ranges."""
        return self._several and host_of(url) not in self._single

    def refused(self, url: str) -> None:
        """Remember a host that does not."""
        with self._lock:
            self._single.add(host_of(url))


@dataclass(frozen=True, slots=True)
class Team:
    """How requests of one read are made at once."""

    crew: Callable[[], Executor]
    """Gives the threads that wait for requests side by side; asked only if there are several."""
    lanes: int
    """Requests that are under way at once."""
    manners: Manners
    """What is known of hosts."""


class HttpReader(RangeReader):
    """Reads ranges of one file on an HTTP server.

    Parameters
    ----------
    name
        Of the file, for errors.
    address
        Gives its URL, anew for each request where it is signed.
    connections
        By which it is asked.
    team
        How several requests are made.
    version
        Of the file that is to be read; by default the first answer's.
    head_bytes
        That are read along with what is asked first of a file of which nothing is known.
    """

    def __init__(
        self,
        name: str,
        address: Callable[[], str],
        connections: Connections,
        team: Team,
        version: str | None = None,
        head_bytes: int = HEAD_BYTES,
    ) -> None:
        self._head_bytes = head_bytes
        self._name, self._address = name, address
        self._connections, self._team = connections, team
        self._validator = None if version is None else Validator.of(version)
        self._modified_unix_s: float | None = None
        self._head = b""

    @override
    def stat(self) -> FileStat:
        if self._modified_unix_s is None:
            self._look()
        assert self._validator is not None
        return FileStat(
            self._validator.size_bytes, self._validator.version, self._modified_unix_s or 0.0
        )

    @override
    def identity(self) -> str | None:
        validator = self._validator
        if validator is not None and validator.proves:
            return None
        return validator.version if validator is not None and validator.mark else ""

    @override
    def read(self, offset: int, length: int) -> bytes:
        return self.read_many([(offset, length)])[0]

    @override
    def read_many(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        if self._validator is None:
            self._look()
        assert self._validator is not None
        size = self._validator.size_bytes
        for offset, length in ranges:
            if offset < 0 or length < 0 or offset + length > size:
                raise DataError(f"the file {self._name} ends before byte {offset + length}")
        requests = plan_requests(ranges, hole_bytes=0)
        blocks: Sequence[_Block] | None = None
        if len(requests) > self._team.lanes:
            requests = plan_requests(ranges, share=0, hole_bytes=0)
            blocks = self._blocks_of_several(requests)
        if blocks is None:
            requests = self._plan(ranges)
            blocks = self._side_by_side(self._range, [(one.offset, one.length) for one in requests])
            self.taken_bytes += sum(map(len, blocks))
        parts: list[bytes] = [b""] * len(ranges)
        pieces: dict[int, list[bytes]] = {}
        for request, block in zip(requests, blocks, strict=True):
            view = memoryview(block)
            for number, start, stop in request.parts:
                pieces.setdefault(number, []).append(bytes(view[start:stop]))
        for number, found in pieces.items():
            parts[number] = found[0] if len(found) == 1 else b"".join(found)
        return parts

    def _plan(self, ranges: Sequence[tuple[int, int]]) -> list[Request]:
        """Plan requests for one range each: as many as are under way at once, if that is enough.

        Else what lies between is read along, and long blocks are parted.
        """
        lanes = self._team.lanes
        joined = plan_requests(ranges, hole_bytes=0)
        few = len(joined) <= lanes
        if not few:
            joined = plan_requests(ranges, lanes=1)
        share = sum(one.length for one in joined) // lanes
        piece = min(_MAX_PIECE_BYTES, max(_MIN_PIECE_BYTES, share))
        return plan_requests(ranges, piece, lanes=lanes if few else 1)

    def _side_by_side(
        self, work: Callable[[int, int], _Block], given: Sequence[tuple[int, int]]
    ) -> Sequence[_Block]:
        if len(given) <= 1:
            return [work(*one) for one in given]
        return list(self._team.crew().map(work, *zip(*given, strict=True)))

    def _blocks_of_several(self, wanted: Sequence[Request]) -> list[bytes] | None:
        """Ask for many ranges in few requests; None where single ones do, or the server does not.

        Single ranges are for every server. More of them than are under way at once take several
        round trips, or what lies between them has to be read.
        """
        if not self._team.manners.gives_several(self._address()):
            return None
        total = sum(one.length for one in wanted)
        count = max(
            -(-len(wanted) // _MOST_RANGES), min(self._team.lanes, total // _MIN_PIECE_BYTES)
        )
        each = -(-len(wanted) // count)
        groups = [wanted[start : start + each] for start in range(0, len(wanted), each)]
        if len(groups) == 1:
            found = [self._several(groups[0])]
        else:
            found = list(self._team.crew().map(self._several, groups))
        blocks: list[bytes] = []
        for group in found:
            if group is None:
                self._team.manners.refused(self._address())
                return None
            blocks += group
        self.taken_bytes += total
        return blocks

    def _several(self, wanted: Sequence[Request]) -> list[bytes] | None:
        """Ask for several ranges at once; None if the server gives something else."""
        assert self._validator is not None
        told = ",".join(f"{one.offset}-{one.offset + one.length - 1}" for one in wanted)
        most = sum(one.length + _PART_BYTES for one in wanted)
        headers = {"Range": f"bytes={told}", **self._validator.conditions()}
        answer = self._connections.get(self._address, headers, most)
        if answer.status == 412:
            raise self._changed()
        if answer.status != 206:
            return None
        pieces = read_pieces(answer.headers, answer.body)
        if pieces is None:
            return None
        known = self._validator
        if (pieces.size_bytes, _mark(answer.headers)) != (known.size_bytes, known.mark):
            raise self._changed()
        blocks = [pieces.take(one.offset, one.length) for one in wanted]
        found = [block for block in blocks if block is not None]
        return found if len(found) == len(blocks) else None

    def _changed(self) -> ChangedError:
        return ChangedError(f"the file {self._name} changed since it was catalogued")

    def _range(self, offset: int, length: int) -> _Block:
        """Ask for one range of the version that is read."""
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        assert self._validator is not None
        answer = self._asked(offset, length, self._validator.conditions())
        if answer.status == 416:
            raise DataError(f"the file {self._name} ends before byte {offset + length}")
        if len(answer.body) != length:
            raise DataError(f"the server of {self._name} gave other bytes than were asked for")
        return answer.body

    def _look(self) -> None:
        """Ask for the beginning of the file, and by it for size and version."""
        answer = self._asked(0, self._head_bytes, {})
        self._head = bytes(answer.body) if answer.status == 206 else b""

    def _asked(self, offset: int, length: int, conditions: dict[str, str]) -> Answer:
        headers = {"Range": f"bytes={offset}-{offset + length - 1}", **conditions}
        answer = self._connections.get(self._address, headers, length)
        if answer.status == 412:
            raise self._changed()
        if answer.status not in {206, 416}:
            raise self._refused(answer)
        self._check(answer, offset, length)
        return answer

    def _check(self, answer: Answer, offset: int, length: int) -> None:
        """Hold an answer against what was asked for and the version that is read."""
        told = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if told is None or answer.headers.get("Content-Encoding", "identity") != "identity":
            raise DataError(f"the server of {self._name} gives no ranges of bytes as HTTP has them")
        size = int(told[3])
        # The answer "no such range" tells the size but often no ETag.
        mark = _mark(answer.headers) if answer.status == 206 else None
        known = self._validator
        if known is not None and (size != known.size_bytes or mark not in {None, known.mark}):
            raise self._changed()
        self._validator = known or Validator(size, mark or "")
        self._modified_unix_s = _modified(answer.headers)
        if answer.status == 206 and (
            (int(told[1] or 0), int(told[2] or 0)) != (offset, min(offset + length, size) - 1)
            or len(answer.body) != min(length, size - offset)
        ):
            raise DataError(f"the server of {self._name} gave other bytes than were asked for")

    def _refused(self, answer: Answer) -> Exception:
        if answer.status in {404, 410}:
            return NotFoundError(f"the file {self._name} is not there any more")
        if answer.status == 200:
            return DataError(
                f"the server of {self._name} ignores ranges of bytes (HTTP's Range), by which files"
                " are read; have it take them, as nginx and Apache do, or read a copy on a disk"
            )
        code = re.search(rb"<Code>([A-Za-z]{1,60})</Code>", answer.body)
        reason = f" ({code[1].decode()})" if code else ""
        return DataError(
            f"the file {self._name} cannot be read: its server says {answer.status}{reason}"
        )

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._head = b""


def _mark(headers: Message) -> str:
    etag = (headers.get("ETag") or "").strip()
    if re.fullmatch(r'(W/)?"[^"\x00-\x20\x7f]*"', etag):
        return etag
    modified = (headers.get("Last-Modified") or "").strip()
    return f"@{modified}" if modified else ""


def _modified(headers: Message) -> float:
    try:
        return parsedate_to_datetime(headers.get("Last-Modified", "")).timestamp()
    except ValueError:
        return 0.0

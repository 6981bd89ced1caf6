"""The files of an archive, written as they come, with a log from which to go on.

The log (``.skylane-download`` in the folder) has a line for the archive's address and one for each
file that is whole: its path, SHA-256 and the byte of the archive at which the next begins.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Final

from vodal.errors import DataError, ServiceUnavailable

__all__ = ["LOG", "Received"]

LOG: Final = ".skylane-download"
_BLOCK: Final = 512
"""Bytes of which a tar is made."""
_PIECE: Final = 1 << 20


class _Counted:
    """What comes, counted; a stream that breaks off is told as such."""

    def __init__(self, source: IO[bytes], told: Callable[[int], None]) -> None:
        self._source, self._told, self._count = source, told, 0

    def read(self, size: int) -> bytes:
        try:
            data = self._source.read(size)
        except OSError as error:
            raise ServiceUnavailable(f"the connection broke off: {error}") from None
        self._count += len(data)
        self._told(self._count)
        return data


class Received:
    """Takes archives into a folder.

    Parameters
    ----------
    folder
        Where the files go; made if need be.
    url
        Address of the archive. What is there of another one is written anew.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self._log = folder, folder / LOG
        folder.mkdir(parents=True, exist_ok=True)
        self.offset = 0
        """Byte of the archive at which to go on."""
        self.sums: dict[str, str] = {}
        """SHA-256 of files that are whole, by their paths below the folder."""
        lines = self._log.read_text("utf-8").splitlines() if self._log.is_file() else []
        if lines and json.loads(lines[0]) == {"archive": url}:
            for line in lines[1:]:
                try:
                    told = json.loads(line)
                except ValueError:
                    # The last line, of a run that was ended in the middle of it.
                    break
                self.offset, self.sums[told["path"]] = told["next"], told["sha256"]
        lines_now: list[dict[str, object]] = [{"archive": url}]
        lines_now += [{"path": path, "sha256": sha256, "next": self.offset}
                      for path, sha256 in self.sums.items()]  # fmt: skip
        spare = folder / f"{LOG}.new"
        spare.write_text("".join(map(_line, lines_now)), "utf-8")
        spare.replace(self._log)

    def take(self, source: IO[bytes], told: Callable[[int], None]) -> None:
        """Write the files of an archive from `offset` to its end.

        Parameters
        ----------
        source
            Gives the bytes.
        told
            Called with the number of the archive's bytes that have come.

        Raises
        ------
        ServiceUnavailable
            If the bytes end too early; what is whole stays.
        DataError
            If these are no bytes of an archive, or it names files outside of the folder.
        """
        start = self.offset
        counted = _Counted(source, lambda count: told(start + count))
        try:
            with tarfile.open(fileobj=counted, mode="r|") as archive:  # type: ignore[call-overload]
                for member in archive:
                    path = _safe(member)
                    sha256 = self._put(archive, member, path)
                    end = member.offset_data + -(-member.size // _BLOCK) * _BLOCK
                    self.offset = start + end
                    self.sums[path] = sha256
                    self._write({"path": path, "sha256": sha256, "next": self.offset})
        except tarfile.TarError as error:
            raise ServiceUnavailable(f"the archive broke off: {error}") from None

    def _put(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> str:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name[:200]}.part")
        content, digest, left = archive.extractfile(member), hashlib.sha256(), member.size
        assert content is not None
        with part.open("wb") as file:
            while piece := content.read(min(_PIECE, left)) if left else b"":
                digest.update(piece)
                file.write(piece)
                left -= len(piece)
        if left:
            raise ServiceUnavailable("the archive broke off within a file")
        part.replace(target)
        return digest.hexdigest()

    def _write(self, line: Mapping[str, object]) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(_line(line))

    def close(self) -> None:
        """Remove the log: there is nothing to go on with."""
        self._log.unlink(missing_ok=True)


def _line(told: Mapping[str, object]) -> str:
    return json.dumps(told) + "\n"


def _safe(member: tarfile.TarInfo) -> str:
    """Give the path of a file below the folder that all of an archive's files are in."""
    parts = PurePosixPath(member.name).parts
    if not member.isreg() or len(parts) < 2 or not {"..", "/"}.isdisjoint(parts) or (
        "\\" in member.name or "\0" in member.name or parts[-1] == LOG
    ):  # fmt: skip
        raise DataError(f"the archive has '{member.name[:100]}', which is no file of its folder")
    return "/".join(parts[1:])

"""Fetches files of a site: a list of them as one archive, unpacked as it comes, and checked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console

from skylane.download.manifest import MANIFEST, SUMS, Checked, check_files
from skylane.download.received import Received
from skylane.download.server import SiteServer
from skylane.progress import Report, step
from vodal.errors import DataError, ServiceUnavailable, UsageError

__all__ = ["download"]

_TRIES: Final = 6
"""Without a byte more between them."""
_LONGEST_PAUSE_S: Final = 30
_SHOWN: Final = 20


def download(
    console: Console,
    url: str,
    dids: Sequence[str],
    *,
    tables: Sequence[Path] = (),
    query: str | None = None,
    folder: Path,
    token: str | None = None,
) -> bool:
    """Fetch files into a folder, or go on with it; tells whether there is one for each identifier.

    Parameters
    ----------
    console
        Where progress is shown.
    url
        Of the site.
    dids, tables, query
        Identifiers, files with tables of them, and a query that gives them.
    folder
        Where the archive's folder goes.
    token
        Of who asks.

    Raises
    ------
    SkylaneError
        If the list is wrong, the site does not give its files, or they are not what it says.
    """
    site = SiteServer(url, token)
    given = {path.name: _read(path) for path in tables}
    if query is not None:
        given["rows.vot"] = site.rows_of(query)
    if not dids and not given:
        raise UsageError("there is nothing to fetch; give identifiers, --table or --query")
    archive = site.archive_of(dids, given)
    received = Received(folder / f"files-{urlsplit(archive).path.split('/')[-2][:8]}", archive)
    earlier = dict(received.sums)
    if earlier:
        console.print(f"Going on at byte {received.offset:,}: {len(earlier):,} files are there")
    with step(console, "Fetching (kB)") as progress:
        _take(site, archive, received, progress)
    checked = check_files(received.folder, received.sums, earlier)
    return _tell(console, received, checked)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _take(site: SiteServer, archive: str, received: Received, progress: Report) -> None:
    """Take the archive to its end, over connections that break off."""
    tries, before = 0, -1
    while True:
        try:
            _take_on(site, archive, received, progress)
        except ServiceUnavailable as error:
            tries = tries + 1 if received.offset == before else 1
            if tries == _TRIES:
                raise
            before = received.offset
            time.sleep(min(error.retry_after_s, 2**tries, _LONGEST_PAUSE_S))
        else:
            return


def _take_on(site: SiteServer, archive: str, received: Received, progress: Report) -> None:
    """Take what one connection gives."""
    answer, size = site.opened(archive, received.offset)
    with answer:
        received.take(answer, lambda count: progress(count // 1000, size // 1000))
    if not {MANIFEST, SUMS} <= received.sums.keys():
        raise ServiceUnavailable("the archive broke off before its end")


def _tell(console: Console, received: Received, checked: Checked) -> bool:
    """Say what came."""
    if checked.wrong:
        for path in checked.wrong:
            (received.folder / path).unlink(missing_ok=True)
        received.close()
        shown = ", ".join(checked.wrong[:_SHOWN])
        raise DataError(
            f"{len(checked.wrong)} files were not what the manifest says, and are removed: {shown};"
            " run the command again"
        )
    received.close()
    size = f"{checked.size_bytes / 1e6:,.1f} MB"
    console.print(f"{received.folder}: {checked.files:,} files, {size}, checksums are right")
    for did, problem in checked.problems[:_SHOWN]:
        console.print(f"  {did}: {problem}", style="yellow", soft_wrap=True, markup=False)
    if (more := len(checked.problems) - _SHOWN) > 0:
        console.print(f"  and {more:,} more, see {MANIFEST}", style="yellow")
    return not checked.problems

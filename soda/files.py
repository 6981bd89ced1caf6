"""Files to cut from, opened by their index or, where they changed since, by a new one.

A file that is not the one that was catalogued is indexed on the spot. If it still holds the image
of that dataset, perhaps reduced anew, it is cut as it is now; a process remembers the new index, so
that the next cutout costs no more than any. The cutout tells of it, so that the catalogue can be
brought up to date.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from soda.cut import Cutout, color_picture, cutout_from
from soda.encode import Allocate
from soda.output import Output
from soda.plan import PlaneSky, wcs_cards
from soda.selection import Selection
from soda.skies import SkyCache
from soda.source import Source, SourceChangedError
from vodal.errors import ChangedError, DataError, UnfinishedError
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.opening import open_pixels, open_scanned
from vodal.fits.stripped import stripped
from vodal.fits.wcs import claims_sky, load_wcs
from vodal.storage import RangeReader, is_local

if TYPE_CHECKING:
    from soda.stitch.request import Rules, StitchInput, StitchRequest

__all__ = ["Files"]

_LOG = logging.getLogger(__name__)

_SPOOLED = 3
"""Decompressed gzips that are kept, each a temporary file; colour needs three at once."""
_RENEWED = 256
_TRIES = 3
_RETRY_S = 10
"""A file that is being written may be whole after so long."""
_QUIET_S = 2.0
"""A file on a disk that was written less long ago is taken for one that is still being written."""


class Files:
    """Cuts from files and keeps of them what the next cutout can use. For one thread.

    Parameters
    ----------
    skies
        Where coordinates are looked for and kept.
    """

    def __init__(self, skies: SkyCache) -> None:
        self.skies = skies
        """Coordinates that are kept."""
        self._spooled: OrderedDict[tuple[str, str, str | None], RangeReader] = OrderedDict()
        self._renewed: OrderedDict[tuple[object, ...], FileIndex] = OrderedDict()

    def cut(
        self,
        source: Source,
        selection: Selection,
        output: Output,
        limit_bytes: int | None = None,
        allocate: Allocate | None = None,
    ) -> Cutout | None:
        """Cut as `soda.cut.cutout` does, from the file as it is now.

        Raises
        ------
        UnfinishedError
            If the file changes again and again while it is read, or was written a moment ago.
        ServiceUnavailable
            If its storage does not answer.
        DataError
            If it changed and is no whole FITS file now, or holds another image.
        """

        def work(readers: Sequence[RangeReader], now: Sequence[Source]) -> Cutout | None:
            given: dict[str, Any] = {} if allocate is None else {"allocate": allocate}
            return cutout_from(
                readers[0], now[0], selection,
                output=output, limit_bytes=limit_bytes, skies=self.skies, **given,
            )  # fmt: skip

        return self._as_now([source], work)

    def color(
        self,
        sources: Sequence[Source],
        selection: Selection,
        output: Output,
        limit_bytes: int | None = None,
    ) -> Cutout | None:
        """Make one picture of three datasets as `soda.cut.color_picture` does; else as `cut`."""

        def work(readers: Sequence[RangeReader], now: Sequence[Source]) -> Cutout | None:
            return color_picture(
                readers, now, selection, output=output, limit_bytes=limit_bytes, skies=self.skies
            )

        return self._as_now(sources, work)

    def stitch(
        self,
        inputs: Sequence[StitchInput],
        asked: StitchRequest,
        rules: Rules,
        limit_bytes: int | None = None,
        allocate: Allocate | None = None,
    ) -> Cutout | None:
        """Make one image of several as `soda.stitch.make.stitch` does; else as `cut`."""
        # Its compiled parts are loaded by who asks for it.
        from soda.stitch.make import stitch  # noqa: PLC0415

        def work(now: Sequence[Source]) -> Cutout | None:
            given: dict[str, Any] = {} if allocate is None else {"allocate": allocate}
            current = [replace(one, source=source) for one, source in zip(inputs, now, strict=True)]
            return stitch(current, asked, rules=rules, limit_bytes=limit_bytes, **given)

        return self._renewing([one.source for one in inputs], work)

    def _as_now(
        self,
        sources: Sequence[Source],
        work: Callable[[Sequence[RangeReader], Sequence[Source]], Cutout | None],
    ) -> Cutout | None:
        """Work on files as they are now, all of them open."""

        def opened(now: Sequence[Source]) -> Cutout | None:
            with ExitStack() as stack:
                readers = [stack.enter_context(self.opened(source)) for source in now]
                return work(readers, now)

        return self._renewing(sources, opened)

    def _renewing(
        self, sources: Sequence[Source], work: Callable[[Sequence[Source]], Cutout | None]
    ) -> Cutout | None:
        """Work with the indexes that were made last; where a file changed, from the start."""
        for _ in range(_TRIES):
            try:
                now = [self._known(source) for source in sources]
                made = work(now)
                changed = _changed(sources, now)
                return replace(made, changed=changed) if made is not None and changed else made
            except ChangedError as error:
                uri = error.uri if isinstance(error, SourceChangedError) else ""
                renewed = sorted(
                    (one for one in sources if not uri or one.uri == uri), key=lambda one: one.uri
                )
                with suppress(ChangedError):
                    for _, of_file in groupby(renewed, lambda one: one.uri):
                        self._renew(list(of_file), named=len(sources) > 1)
        raise _being_written()

    def _known(self, source: Source) -> Source:
        """Give a source with the index that was last made of its file."""
        index = self._renewed.get(_key(source))
        return source if index is None else replace(source, index=index)

    @contextmanager
    def opened(self, source: Source) -> Iterator[RangeReader]:
        """Give a reader of a file, in the offsets of the source's index.

        Raises
        ------
        ChangedError
            If the file is not the one that was indexed; of files on servers when they are read.
        """
        if not source.index.encoding:
            with open_pixels(
                source.uri, source.index, source.hdus, storage=source.storage
            ) as reader:
                yield reader
            return
        with source.storage.open(source.uri, source.index.version) as stored:
            version, identity = stored.stat().version, stored.identity()
        key = source.uri, version, identity
        kept = self._spooled.get(key)
        if kept is not None:
            self._spooled.move_to_end(key)
        else:
            kept = open_pixels(source.uri, source.index, source.hdus, storage=source.storage)
            self._keep(source.uri, kept)
        yield kept

    def _keep(self, uri: str, reader: RangeReader) -> None:
        """Keep a decompressed gzip for the next cutout from it."""
        key = uri, reader.stat().version, reader.identity()
        before = self._spooled.pop(key, None)
        if before is not None:
            before.__exit__(None, None, None)
        self._spooled[key] = reader
        if len(self._spooled) > _SPOOLED:
            _, oldest = self._spooled.popitem(last=False)
            oldest.__exit__(None, None, None)

    def _renew(self, sources: Sequence[Source], *, named: bool) -> None:
        """Index a file that changed, and see that it still holds the images of its datasets."""
        source = sources[0]
        what = source.name if named else "this dataset"
        if is_local(source.uri):
            with source.storage.open(source.uri) as file:
                age_s = time.time() - file.stat().modified_unix_s
            if abs(age_s) < _QUIET_S:
                raise _being_written(what)
        try:
            index, reader = open_scanned(source.uri, storage=source.storage)
        except ChangedError:
            raise
        except DataError as error:
            raise DataError(
                f"the file of {what} changed since it was catalogued and cannot be read: "
                f"{error.message}"
            ) from None
        try:
            other = next((one for one in sources if not _is_same(one, index, reader)), None)
        finally:
            if (
                index.encoding
                and (source.uri, index.version, reader.identity()) not in self._spooled
            ):
                self._keep(source.uri, reader)
            else:
                reader.__exit__(None, None, None)
        if other is not None:
            what = other.name if named else "this dataset"
            raise DataError(
                f"the file of {what} holds another image than when it was catalogued; it is "
                "cut again when it has been catalogued anew"
            )
        if index.version != source.index.version:
            _LOG.info("%s changed since it was catalogued", source.uri)
        for source in sources:
            self._renewed[_key(source)] = stripped(index, source.hdus)
            if len(self._renewed) > _RENEWED:
                self._renewed.popitem(last=False)

    def close(self) -> None:
        """Close the files that are kept."""
        for reader in self._spooled.values():
            reader.__exit__(None, None, None)
        self._spooled.clear()


def _being_written(what: str = "this dataset") -> UnfinishedError:
    return UnfinishedError(
        f"the file of {what} is being written; try again later", retry_after_s=_RETRY_S
    )


def _changed(sources: Sequence[Source], now: Sequence[Source]) -> tuple[tuple[str, str], ...]:
    """Give URI and version of the sources whose files are of another version now."""
    return tuple(
        (old.uri, old.index.version)
        for old, new in zip(sources, now, strict=True)
        if old.index.version != new.index.version
    )


def _key(source: Source) -> tuple[object, ...]:
    checksums = tuple(source.index.hdus[number].checksum for number in source.hdus)
    return source.uri, source.index.version, source.hdus, checksums


def _is_same(source: Source, index: FileIndex, reader: RangeReader) -> bool:
    """Tell whether a file holds the planes of a dataset, and where it was on the sky."""
    for number in source.hdus:
        if number >= len(index.hdus):
            return False
        old, new = source.index.hdus[number], index.hdus[number]
        if (old.name, old.extver, old.shape) != (new.name, new.extver, new.shape):
            return False
        if (old.kind in {"image", "compressed"}) != (new.kind in {"image", "compressed"}):
            return False
    first = source.hdus[0]
    old, new = source.index.hdus[first], index.hdus[first]
    if wcs_cards(old) == wcs_cards(new) or not claims_sky(old.image_values):
        return True
    return claims_sky(new.image_values) and _is_near(
        _corners(old, source.index, reader), _corners(new, index, reader)
    )


def _corners(hdu: HduIndex, index: FileIndex, reader: RangeReader) -> NDArray[np.float64]:
    """Give the middle and the corners of an image as unit vectors (5, 3)."""
    image = PlaneSky(hdu, load_wcs(hdu, index, reader), index.hdus[0]).image
    u = np.array([0.5, 0.0, 1.0, 1.0, 0.0]) * image.nx
    v = np.array([0.5, 0.0, 0.0, 1.0, 1.0]) * image.ny
    return np.asarray(image.vectors(u, v))


def _is_near(old: NDArray[np.float64], new: NDArray[np.float64]) -> bool:
    """Tell whether an image lies where it was, to half of its size."""
    reach = np.linalg.norm(old[1:] - old[0], axis=1).max()
    return bool(np.linalg.norm(new[0] - old[0]) <= reach / 2)

"""The skies of images that were cut last, kept for the next cutout."""

from __future__ import annotations

from collections import OrderedDict

from soda.plan import PlaneSky
from soda.source import Source
from vodal.fits.index import HduIndex
from vodal.fits.wcs import load_wcs
from vodal.storage import RangeReader

__all__ = ["SkyCache"]


class SkyCache:
    """The skies that were used last, as making them from a header takes milliseconds.

    Parameters
    ----------
    size
        Number of images; each takes 50 to 200 kB.
    """

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._known: OrderedDict[tuple[str, str, int, int], PlaneSky] = OrderedDict()

    def get(self, source: Source, hdu: HduIndex, reader: RangeReader) -> PlaneSky:
        """Give the sky of an image.

        Raises
        ------
        DataError
            If it has none.
        """
        key = (source.uri, source.index.version, hdu.number, hdu.checksum)
        sky = self._known.get(key)
        if sky is None:
            sky = PlaneSky(hdu, load_wcs(hdu, source.index, reader), source.index.hdus[0])
            self._known[key] = sky
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return sky

"""Reads FITS files that are put into a repository where the Rubin stack is not installed."""

from __future__ import annotations

from typing import Any, ClassVar

from astropy.io import fits
from lsst.daf.butler import FormatterV2
from typing_extensions import override

__all__ = ["FitsFileFormatter"]


class FitsFileFormatter(FormatterV2):
    """Gives a dataset's file as an ``astropy.io.fits.HDUList``; writes none.

    To be named when files are ingested; the tasks here do not read through it.
    """

    default_extension: ClassVar[str] = ".fits"
    supported_extensions: ClassVar[frozenset[str]] = frozenset(
        {".fits", ".fits.fz", ".fits.gz", ".fit", ".fz"}
    )
    can_read_from_local_file: ClassVar[bool] = True

    @override
    def read_from_local_file(
        self, path: str, component: str | None = None, expected_size: int = -1
    ) -> Any:
        with fits.open(path, memmap=False, lazy_load_hdus=False) as hdus:
            return fits.HDUList([hdu.copy() for hdu in hdus])

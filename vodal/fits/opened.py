"""The image plane of a product, or a plane of a cube, opened to be resampled."""

from __future__ import annotations

import time
from typing import Any, Final

from astropy.io import fits
from numpy.typing import NDArray

from vodal.errors import DataError
from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.opening import open_pixels
from vodal.fits.pixels import Tally, physical, read_sections
from vodal.fits.planes import Role, group_planes
from vodal.fits.wcs import celestial_axes, load_wcs, sky_wcs
from vodal.storage import LOCAL, RangeReader, Storage

__all__ = ["OpenImage"]

_WEIGHTS: Final[tuple[Role, ...]] = ("variance", "error", "weight")


class OpenImage:
    """The image plane of a product, or one plane of a cube, with its coordinates.

    Parameters
    ----------
    uri
        Of the file.
    index
        Of the same file.
    hdus
        The product's HDUs, image plane first.
    storage
        Opens the file.
    planes
        Of a cube, which planes: each as 0-based places along all axes that are not of the sky, in
        numpy order, those with a single pixel among them. Of several, what is resampled is the
        mean.

    Raises
    ------
    DataError
        If it cannot be put on the sky, is a cube and no plane is named, or lacks one of the planes.
    """

    def __init__(
        self,
        uri: str,
        index: FileIndex,
        hdus: tuple[int, ...],
        *,
        storage: Storage = LOCAL,
        planes: tuple[tuple[int, ...], ...] = (),
    ) -> None:
        self.uri, self.index, self.hdus = uri, index, hdus
        self._storage, self.planes = storage, planes
        self.hdu = self._hdu(hdus[0])
        self.tally = Tally()
        """What was read by `section`."""
        self.section_s = 0.0
        """Seconds that it took, decoding included."""
        self._reader: RangeReader | None = None
        try:
            self._place()
        except BaseException:
            self.close()
            raise

    def _place(self) -> None:
        """Find the image's axes and coordinates."""
        try:
            full = load_wcs(self.hdu, self.index)
        except DataError:
            # Distortions in other HDUs need the file; other faults come up again.
            full = load_wcs(self.hdu, self.index, self.reader)
        first, second = celestial_axes(full)
        axes = len(self.hdu.shape)
        self.y_axis, self.x_axis = axes - 1 - second, axes - 1 - first
        sizes = [n for k, n in enumerate(self.hdu.shape) if k not in {self.x_axis, self.y_axis}]
        if not self.planes:
            self.planes = ((0,) * len(sizes),)
            if any(n != 1 for n in sizes):
                raise DataError("it is a cube; only images with two axes can be resampled")
        for plane in self.planes:
            if len(plane) != len(sizes) or any(
                not 0 <= place < n for place, n in zip(plane, sizes, strict=True)
            ):
                raise DataError(f"it has no plane {plane} besides its two sky axes")
        self.full_wcs, self.wcs = full, sky_wcs(full)
        """Of all axes, and of the sky alone."""
        self.shape = self.hdu.shape[self.y_axis], self.hdu.shape[self.x_axis]
        """Rows first."""
        if 0 in self.shape:
            raise DataError("it has no pixels")

    def _hdu(self, number: int) -> HduIndex:
        for hdu in self.index.hdus:
            if hdu.number == number:
                return hdu
        raise DataError(f"the file has no HDU {number}")

    @property
    def reader(self) -> RangeReader:
        """The file; opened when first asked for."""
        if self._reader is None:
            self._reader = open_pixels(self.uri, self.index, self.hdus, storage=self._storage)
        return self._reader

    def open(self) -> None:
        """Open the file, which holds it against its index.

        Raises
        ------
        ChangedError
            If it is not the one that was indexed; of files on servers when they are read.
        """
        self._reader = self.reader

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.__exit__(None, None, None)

    @property
    def headers(self) -> tuple[fits.Header, ...]:
        """The headers that tell of the image: its own, then the file's primary one."""
        own = self.hdu.image_header
        first = self.index.hdus[0]
        return (own,) if first.number == self.hdu.number else (own, first.header)

    def mask(self) -> HduIndex | None:
        """Give the mask plane, if there is one of the image's shape, or one for all of a cube."""
        roles = {n: role for group in group_planes(self.index) for n, role in group.roles.items()}
        for number in self.hdus[1:]:
            hdu = self._hdu(number)
            flags = roles.get(number) in {"mask", "quality"} or _names_bits(hdu.header)
            if flags and self._goes_with(hdu) and hdu.bitpix > 0:
                return hdu
        return None

    def weight_plane(self) -> tuple[HduIndex, Role] | None:
        """Give the plane that says how good the pixels are, and its role; shaped as a mask may be.

        Variances count before standard deviations, and these before weights. A mean has none.
        """
        if len(self.planes) > 1:
            return None
        roles = {n: role for group in group_planes(self.index) for n, role in group.roles.items()}
        for role in _WEIGHTS:
            for number in self.hdus[1:]:
                hdu = self._hdu(number)
                if roles.get(number) == role and self._goes_with(hdu):
                    return hdu, role
        return None

    def _goes_with(self, hdu: HduIndex) -> bool:
        """Tell whether a plane has the image's shape or, of a cube, that of one of its planes."""
        if hdu.shape == self.hdu.shape:
            return True
        flat = tuple(n if k in self._sky else 1 for k, n in enumerate(self.hdu.shape))
        return flat != self.hdu.shape and hdu.shape in {flat, self.shape}

    @property
    def _sky(self) -> tuple[int, int]:
        return self.y_axis, self.x_axis

    def section(self, hdu: HduIndex, rows: slice, columns: slice, number: int = 0) -> NDArray[Any]:
        """Read a part of the image or what goes with it, in physical values, as (row, column).

        Parameters
        ----------
        hdu
            The image, its mask or its weights.
        rows, columns
            Which part.
        number
            Of the plane among `planes`.
        """
        sky, places = self._sky, iter(self.planes[number])
        if len(hdu.shape) != len(self.hdu.shape):
            sky, places = (0, 1), iter(())
        section = [rows] * len(hdu.shape)
        section[sky[1]] = columns
        for k, size in enumerate(hdu.shape):
            if k not in sky:
                place = min(next(places), size - 1)
                section[k] = slice(place, place + 1)
        begin = time.perf_counter()
        (stored,) = read_sections(self.reader, [(hdu, tuple(section))], tally=self.tally)
        self.section_s += time.perf_counter() - begin
        values = physical(stored, hdu.image_header)
        return values.reshape(values.shape[sky[0]], values.shape[sky[1]])

    def rows_at_once(self, pixels: int, columns: int) -> int:
        """Give how many rows make up about so many pixels and cut few tiles of a compressed image.

        Blocks that begin at multiples of it cut none.
        """
        size = max(1, pixels // max(1, columns))
        if self.hdu.tiles is not None:
            tile = self.hdu.tiles.tile_shape[self.y_axis]
            size = max(tile, size // tile * tile)
        return size


def _names_bits(header: fits.Header) -> bool:
    return any(keyword.startswith("MP_") for keyword in header)

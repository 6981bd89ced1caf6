"""The MOC of a HiPS, read from its bytes."""

from __future__ import annotations

import io
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from mocpy import MOC
from numpy.typing import NDArray

__all__ = ["Coverage", "read_coverage"]


@dataclass(frozen=True)
class Coverage:
    """A coverage map of the sky."""

    moc: MOC
    order: int
    """Deepest order."""
    system: str
    """``COORDSYS``: C is equatorial, G galactic; empty if it is not said."""

    def compares_with(self, frame: str) -> bool:
        """Tell whether its cells are those of a HiPS in a frame."""
        return (self.system or "C", frame) in {
            ("C", "equatorial"), ("G", "galactic"), ("E", "ecliptic")
        }  # fmt: skip

    @property
    def sky_fraction(self) -> float:
        """Part of the sky, 0 to 1."""
        return float(self.moc.sky_fraction)

    def cells(self, order: int) -> NDArray[np.int64]:
        """Give the cells of an order that it touches, in rising order."""
        moc = self.moc
        if self.order != order:
            change = moc.degrade_to_order if self.order > order else moc.refine_to_order
            moc = change(order)
        return np.sort(np.asarray(moc.flatten(), np.int64))


def read_coverage(data: bytes) -> Coverage | str:
    """Read a MOC of space; a sentence if that cannot be done."""
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            with fits.open(io.BytesIO(data)) as file:
                header: Any = file[1].header
                system = str(header.get("COORDSYS", "")).strip()[:1].upper()
                # The library reads files only, and those in equatorial coordinates.
                header["COORDSYS"] = "C"
                path = Path(folder) / "Moc.fits"
                file.writeto(path)
            moc = MOC.load(str(path), format="fits")
            return Coverage(moc, int(moc.max_order), system)
    except Exception as error:  # noqa: BLE001 - the libraries raise errors of many kinds
        return " ".join(str(error).split())[:200] or type(error).__name__

"""A Butler repository of synthetic images for tests, whose pixels and places are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time, TimeDelta
from lsst.daf.butler import (
    Butler,
    CollectionType,
    Config,
    DatasetRef,
    DatasetType,
    FileDataset,
    Timespan,
)
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d
from numpy.typing import NDArray

from vodal.testing.skies import make_wcs

__all__ = ["DETECTORS", "VISITS", "ButlerRepository", "begin_repository", "polygon"]

SIZE = 40
START = Time("2026-01-01T03:00:00", scale="tai")
FORMATTER = "lsst.daf.butler.formatters.json.JsonFormatter"
"""Of all datasets: nothing is read through the Butler."""
VISITS = (101, 102, 103)
DETECTORS = (1, 2)


def polygon(*corners: tuple[float, float]) -> ConvexPolygon:
    """Make a region of positions in degrees, which run eastward along the south first."""
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*place)) for place in corners])


def place_of(visit: int, detector: int) -> tuple[float, float]:
    """Give where the middle of an image is, in degrees."""
    return 359.98 + 0.03 * (visit - VISITS[0]), 20.0 + 0.02 * detector


@dataclass
class ButlerRepository:
    """A repository that grows."""

    folder: Path
    refs: dict[Path, DatasetRef] = field(default_factory=dict)
    """Datasets by file."""
    pixels: dict[Path, NDArray[np.float32]] = field(default_factory=dict)
    """By file."""

    @property
    def root(self) -> str:
        """Its place."""
        return str(self.folder / "repo")

    def butler(self) -> Butler:
        """Open it for writing."""
        return Butler.from_config(self.root, writeable=True)

    def write_image(
        self, name: str, ra_deg: float, dec_deg: float, turn_deg: float = 0.0
    ) -> tuple[Path, ConvexPolygon]:
        """Write a FITS file of noise; gives its path and the region of its array."""
        wcs = make_wcs(ra_deg, dec_deg, SIZE, 1.0, turn_deg)
        seed = int.from_bytes(name.encode(), "big") % 2**32
        data = np.random.default_rng(seed).normal(100.0, 5.0, (SIZE, SIZE)).astype(np.float32)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header = wcs.to_header(relax=True)
        header["OBJECT"], header["MJD-OBS"] = "of the header", 60000.0
        fits.PrimaryHDU(data, header).writeto(path)
        self.pixels[path] = data
        low, high = -0.5, SIZE - 0.5
        sky = wcs.pixel_to_world([low, high, high, low], [low, low, high, high])
        corners = [(place.ra.deg, place.dec.deg) for place in sky]
        return path, polygon(*corners)

    def put(
        self, butler: Butler, kind: str, path: Path, run: str, **data_id: str | int
    ) -> DatasetRef:
        """Have a dataset's file, which stays where it is."""
        expanded = butler.registry.expandDataId(data_id)
        ref = DatasetRef(butler.get_dataset_type(kind), expanded, run=run)
        butler.ingest(FileDataset(str(path), [ref], formatter=FORMATTER), transfer="direct")
        self.refs[path] = ref
        return ref

    def add_visit(self, butler: Butler, visit: int, *, defined: bool = True) -> None:
        """Take an exposure with all detectors; it is a visit once that is defined."""
        begin = START + TimeDelta(60.0 * (visit - 100), format="sec", scale="tai")
        times = Timespan(begin, begin + TimeDelta(30.0, format="sec", scale="tai"))
        add = butler.registry.insertDimensionData
        physical = "r1" if visit % 2 else "i1"
        about = {
            "instrument": "Cam", "id": visit, "physical_filter": physical, "day_obs": 20260101,
            "exposure_time": 30.0 + visit % 10, "target_name": f"field {visit}", "timespan": times,
        }  # fmt: skip
        add("group", {"instrument": "Cam", "name": f"g{visit}"})
        add("exposure", {**about, "group": f"g{visit}", "obs_id": f"Cam-{visit}",
                         "observation_type": "science"})  # fmt: skip
        images = [
            self.write_image(f"raw/{visit}-{detector}.fits", *place_of(visit, detector), 5.0)
            for detector in DETECTORS
        ]
        if defined:
            corners = [place for _, region in images for place in region.getVertices()]
            whole = ConvexPolygon.convexHull(corners)
            add("visit", {**about, "name": f"v{visit}", "region": whole})
            add("visit_definition", {"instrument": "Cam", "exposure": visit, "visit": visit})
            for detector, (_, region) in zip(DETECTORS, images, strict=True):
                add("visit_detector_region", {"instrument": "Cam", "visit": visit,
                                              "detector": detector, "region": region})  # fmt: skip
        for detector, (path, _) in zip(DETECTORS, images, strict=True):
            self.put(butler, "raw", path, "Cam/raw", instrument="Cam", exposure=visit,
                     detector=detector)  # fmt: skip

    def add_calibrated(self, butler: Butler, visit: int, run: str) -> None:
        """Have the calibrated images of a visit."""
        for detector in DETECTORS:
            name = f"{run.replace('/', '_')}/visit_image-{visit}-{detector}.fits"
            path, _ = self.write_image(name, *place_of(visit, detector), 5.0)
            self.put(butler, "visit_image", path, run, instrument="Cam", visit=visit,
                     detector=detector)  # fmt: skip


def begin_repository(
    folder: Path, configuration: Mapping[str, Any] | None = None
) -> ButlerRepository:
    """Make a repository without datasets.

    Parameters
    ----------
    folder
        It lies in there.
    configuration
        Of its registry and datastore, as ``butler.yaml`` has it, where these are not the usual.
    """
    made = ButlerRepository(folder)
    Butler.makeRepo(made.root, config=None if configuration is None else Config(configuration))
    with made.butler() as butler:
        add = butler.registry.insertDimensionData
        add("instrument", {
            "name": "Cam", "detector_max": 3, "visit_max": 1000, "exposure_max": 1000,
            "class_name": "lsst.pipe.base.Instrument",
        })  # fmt: skip
        add("physical_filter", {"instrument": "Cam", "name": "r1", "band": "r"},
            {"instrument": "Cam", "name": "i1", "band": "i"})  # fmt: skip
        add("detector", *({"instrument": "Cam", "id": number, "full_name": f"R{number}_S00"}
                          for number in DETECTORS))  # fmt: skip
        add("day_obs", {"instrument": "Cam", "id": 20260101})
        for name, dimensions in {
            "raw": ("instrument", "exposure", "detector"),
            "visit_image": ("instrument", "visit", "detector"),
            "deep_coadd": ("skymap", "tract", "patch", "band"),
            "warp": ("skymap", "tract", "patch", "instrument", "visit"),
        }.items():
            kind = DatasetType(name, dimensions, "ExposureF", universe=butler.dimensions)
            butler.registry.registerDatasetType(kind)
        for run in ("Cam/raw", "Cam/first", "Cam/second", "coadds"):
            butler.collections.register(run, CollectionType.RUN)
    return made

"""How fast the datasets of an LSST Butler become rows, beside LSST's own exporter.

    python bench/butler.py [--datasets 20000] [--repository FOLDER]

Makes a repository (SQLite registry) of so many calibrated images, of 100 detectors each visit, that
all lead to one small file; prints how fast they are listed, ingested, and found unchanged, how fast
LSST's exporter makes rows of the same configuration, and the peak memory after each. With
``--repository`` the one that is made is kept there, and one that is there is taken.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from astropy.time import Time, TimeDelta
from lsst.daf.butler import Butler, DatasetRef, DatasetType, FileDataset, Timespan
from lsst.dax.obscore import ExporterConfig, ObscoreExporter
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from obscore.assembly.line import ingest
from obscore.settings import ObsCoreSettings
from obscore.sources.choice import configured_source
from obscore.store.sqlite.store import SqliteStore

_DETECTORS = 100
_CONFIGURATION = """
facility_name: Observatory
obs_collection: Bench
collections: [runs]
obs_publisher_did_fmt: "ivo://observatory.example/bench?repo=main&id={id}"
dataset_types:
  visit_image:
    dataproduct_type: image
    dataproduct_subtype: lsst.visit_image
    calib_level: 2
    obs_id_fmt: "{records[visit].name}"
    o_ucd: phot.flux.density
    s_xel: [4072, 4000]
    extra_columns:
      obs_title:
        template: "{dataset_type} - {band} - {records[visit].name}-{records[detector].full_name} \
{records[visit].timespan.begin.utc.isot}Z"
spectral_ranges:
  g: [402.6e-9, 548.3e-9]
  r: [551.0e-9, 689.1e-9]
  i: [693.6e-9, 818.8e-9]
"""


def _square(ra_deg: float, dec_deg: float, half_deg: float) -> ConvexPolygon:
    west, east, south, north = (
        ra_deg - half_deg, ra_deg + half_deg, dec_deg - half_deg, dec_deg + half_deg
    )  # fmt: skip
    corners = [(west, south), (east, south), (east, north), (west, north)]
    return ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*corner)) for corner in corners])


def _make(folder: Path, datasets: int) -> None:
    visits = max(1, datasets // _DETECTORS)
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / "image.fits"
    image.write_bytes(b" " * 2880)
    Butler.makeRepo(str(folder / "repo"))
    start = Time("2026-01-01T03:00:00", scale="tai")
    with Butler.from_config(str(folder / "repo"), writeable=True, run="runs") as butler:
        add = butler.registry.insertDimensionData
        add("instrument", {"name": "Cam", "detector_max": _DETECTORS, "visit_max": 10**7,
                           "class_name": "lsst.pipe.base.Instrument"})  # fmt: skip
        add("physical_filter", *({"instrument": "Cam", "name": f"{band}1", "band": band}
                                 for band in "gri"))  # fmt: skip
        add("detector", *({"instrument": "Cam", "id": one, "full_name": f"D{one}"}
                          for one in range(_DETECTORS)))  # fmt: skip
        add("day_obs", {"instrument": "Cam", "id": 20260101})
        for visit in range(visits):
            begin = start + TimeDelta(40.0 * visit, format="sec", scale="tai")
            end = begin + TimeDelta(30.0, format="sec", scale="tai")
            ra_deg, dec_deg = 3.0 * (visit % 120), -60.0 + 3.0 * (visit // 120 % 40)
            add("visit", {
                "instrument": "Cam", "id": visit, "name": f"v{visit}", "day_obs": 20260101,
                "physical_filter": f"{'gri'[visit % 3]}1", "exposure_time": 30.0,
                "target_name": f"field {visit % 7}", "region": _square(ra_deg, dec_deg, 1.5),
                "timespan": Timespan(begin, end),
            })  # fmt: skip
            add("visit_detector_region", *(
                {"instrument": "Cam", "visit": visit, "detector": one,
                 "region": _square(ra_deg + 0.2 * (one % 10), dec_deg + 0.2 * (one // 10), 0.1)}
                for one in range(_DETECTORS)
            ))  # fmt: skip
        dimensions = ("instrument", "visit", "detector")
        kind = DatasetType("visit_image", dimensions, "ExposureF", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        files = []
        for data_id in butler.query_data_ids(dimensions, limit=None):
            link = folder / "files" / str(data_id["visit"]) / f"{data_id['detector']}.fits"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(image)
            refs = [DatasetRef(kind, data_id, run="runs")]
            formatter = "hips.butler.formatter.FitsFileFormatter"
            files.append(FileDataset(str(link), refs, formatter=formatter))
        butler.ingest(*files, transfer="direct", record_validation_info=False)


def _timed(name: str, work: Callable[[], int]) -> None:
    begin, cpu = time.perf_counter(), time.process_time()
    count = work()
    seconds, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name}: {count} in {seconds:.1f} s, {count / seconds:.0f}/s"
        f" ({count / cpu_s:.0f}/s of the process's own time), peak {peak_mb:.0f} MB"
    )


def _measure(folder: Path, scratch: Path, workers: int) -> None:
    config = scratch / "obscore.yaml"
    config.write_text(_CONFIGURATION, "utf-8")
    butler = {"repository": str(folder / "repo"), "config": str(config)}
    settings = ObsCoreSettings.model_validate({"collections": {"bench": {"butler": butler}}})
    source = configured_source(settings, "bench")
    assert source is not None
    _timed("listed", lambda: sum(1 for _ in source.walk()))
    store = SqliteStore(scratch / "skylane.db")
    for name in ("ingested", "unchanged"):
        _timed(name, lambda: ingest(source, store, settings, workers=workers).files)
    store.close()
    exporter_config = ExporterConfig.model_validate(yaml.safe_load(_CONFIGURATION))
    with Butler.from_config(str(folder / "repo")) as opened:
        exporter = ObscoreExporter(opened, exporter_config)
        _timed("LSST's exporter", lambda: sum(1 for _ in exporter.iter_records()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=20_000)
    parser.add_argument("--repository", type=Path)
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = options.repository or Path(name) / "bench"
        if not (place / "repo").exists():
            _make(place, options.datasets)
        _measure(place, Path(name), options.workers)

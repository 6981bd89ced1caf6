"""HiPS as tasks of an LSST pipeline: `pipetask` on small repositories, against a build here."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.time import Time, TimeDelta
from lsst.daf.butler import Butler, DatasetRef, DatasetType, FileDataset, Timespan
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

import hips.butler
from hips.build import build
from hips.butler.carton import pack, unpack
from hips.butler.order import BuildOrder
from hips.butler.planning import hips_settings
from hips.testing import served_files
from vodal.errors import DataError
from vodal.testing.skies import make_wcs

pytestmark = pytest.mark.xdist_group("butler")

SIZE = 120
START = Time("2026-01-01T03:00:00", scale="tai")
SETTINGS = "order = 11\norder_shard = 2\nbackground = 'match'\n"
PIPELINE = Path(hips.butler.__file__).with_name("pipeline.yaml")
AUTHORITY = "observatory.example"


def write_image(path, number, **cards):
    """Write one of a row of overlapping images, each a noise of its own; gives its footprint."""
    wcs = make_wcs(40.0 + 0.03 * number, 10.0, SIZE, 1.0, 7.0 * number)
    data = np.random.default_rng(number).normal(100.0, 5.0, (SIZE, SIZE)).astype(np.float32)
    header = wcs.to_header(relax=True)
    header.update(cards)
    fits.PrimaryHDU(data, header).writeto(path)
    low, high = -0.5, SIZE - 0.5
    sky = wcs.pixel_to_world([low, high, high, low], [low, low, high, high])
    return ConvexPolygon(
        [UnitVector3d(LonLat.fromDegrees(place.ra.deg, place.dec.deg)) for place in sky]
    )


@dataclass
class Repository:
    """A Butler repository of synthetic images, which stay where they are."""

    folder: Path
    refs: dict = field(default_factory=dict)
    """Dataset by file."""
    obscore: dict = field(default_factory=dict)
    """What is known of each, by file."""

    @property
    def root(self) -> str:
        return str(self.folder / "repo")

    def butler(self, run="raw"):
        return Butler.from_config(self.root, writeable=True, run=run)

    def ingest(self, butler, kind, path, data_id):
        ref = DatasetRef(kind, butler.registry.expandDataId(data_id), run="raw")
        butler.ingest(
            FileDataset(str(path), [ref], formatter="hips.butler.formatter.FitsFileFormatter"),
            transfer="direct",
        )
        self.refs[path] = ref

    def add_visit(self, butler, number, **cards):
        path = self.folder / f"visit{number}.fits"
        region = write_image(path, number, **cards)
        begin = START + TimeDelta(60.0 * number, format="sec", scale="tai")
        end = begin + TimeDelta(30.0, format="sec", scale="tai")
        add = butler.registry.insertDimensionData
        add("visit", {
            "instrument": "Cam", "id": number, "name": f"v{number}", "physical_filter": "r1",
            "day_obs": 20260101, "exposure_time": 30.0 + 10.0 * number, "region": region,
            "timespan": Timespan(begin, end),
        })  # fmt: skip
        add("visit_detector_region",
            {"instrument": "Cam", "visit": number, "detector": 1, "region": region})  # fmt: skip
        kind = butler.registry.getDatasetType("preliminary_visit_image")
        self.ingest(butler, kind, path, {"instrument": "Cam", "visit": number, "detector": 1})
        self.obscore[path] = {
            "filter": "r", "instrument_name": "Cam", "t_exptime": 30.0 + 10.0 * number,
            "t_min": begin.utc.mjd, "t_max": end.utc.mjd,
        }  # fmt: skip

    def build_here(self, shelf, output):
        """Make the HiPS by this process, without a Butler."""
        shelf.items.clear()
        for path, ref in self.refs.items():
            did = f"ivo://{AUTHORITY}/{ref.datasetType.name}?{ref.id}"
            known = {**dict.fromkeys(("t_min", "t_max", "em_min", "em_max")), **self.obscore[path]}
            shelf.put(path, "raw", did, **known)
        build(
            shelf.items, shelf.index, output, hips_settings(SETTINGS), name="survey-r",
            title="survey r", band="r", creator_did=f"ivo://{AUTHORITY}/hips/survey-r",
        )  # fmt: skip
        return served_files(output / "survey-r")

    def pipeline(self, settings=SETTINGS, **parameters):
        """Write a pipeline that imports that of the package, as an observatory would."""
        path = self.folder / "pipeline.yaml"
        path.write_text(yaml.safe_dump({
            "description": "HiPS of a test",
            "imports": [{"location": str(PIPELINE)}],
            "parameters": {
                "output": str(self.folder / "hips"), "name": "survey", **parameters,
            },
            "tasks": {"planHips": {
                "class": "hips.butler.planning.PlanHipsTask",
                "config": {"authority": AUTHORITY, "settings": settings},
            }},
        }))  # fmt: skip
        return str(path)

    def pipetask(self, command, *arguments, ok=True):
        done = subprocess.run(
            [Path(sys.executable).with_name("pipetask"), command,
             *map(str, arguments)],
            capture_output=True, text=True, check=False, env={**os.environ}, cwd=self.folder,
        )  # fmt: skip
        assert (done.returncode == 0) == ok, done.stderr[-3000:]
        return done.stderr

    def summary(self, collection):
        with Butler.from_config(self.root, collections=collection) as butler:
            return butler.get("hips_summary", band="r")


@pytest.fixture
def visits(tmp_path):
    """Give a repository of six images of visits."""
    made = Repository(tmp_path)
    Butler.makeRepo(made.root)
    with made.butler() as butler:
        add = butler.registry.insertDimensionData
        add("instrument", {
            "name": "Cam", "detector_max": 2, "visit_max": 100, "exposure_max": 100,
            "class_name": "lsst.pipe.base.Instrument",
        })  # fmt: skip
        add("physical_filter", {"instrument": "Cam", "name": "r1", "band": "r"})
        add("detector", {"instrument": "Cam", "id": 1, "full_name": "D1"})
        add("day_obs", {"instrument": "Cam", "id": 20260101})
        dimensions = ("instrument", "visit", "detector")
        kind = DatasetType(
            "preliminary_visit_image", dimensions, "ExposureF", universe=butler.dimensions
        )
        butler.registry.registerDatasetType(kind)
        for number in range(6):
            made.add_visit(butler, number)
    return made


@pytest.fixture
def coadds(tmp_path):
    """Give a repository of four coadds: patches of a tract."""
    made = Repository(tmp_path)
    Butler.makeRepo(made.root)
    with made.butler() as butler:
        add = butler.registry.insertDimensionData
        add("skymap", {"name": "map", "hash": b"0", "tract_max": 2, "patch_nx_max": 4,
                       "patch_ny_max": 1})  # fmt: skip
        add("instrument", {"name": "Cam", "class_name": "lsst.pipe.base.Instrument"})
        add("physical_filter", {"instrument": "Cam", "name": "r1", "band": "r"})
        paths = [tmp_path / f"patch{number}.fits" for number in range(4)]
        regions = [write_image(path, number) for number, path in enumerate(paths)]
        corners = [(39.9, 9.9), (40.3, 9.9), (40.3, 10.1), (39.9, 10.1)]
        tract = ConvexPolygon([UnitVector3d(LonLat.fromDegrees(*place)) for place in corners])
        add("tract", {"skymap": "map", "id": 1, "region": tract})
        dimensions = ("skymap", "tract", "patch", "band")
        kind = DatasetType("deep_coadd", dimensions, "ExposureF", universe=butler.dimensions)
        butler.registry.registerDatasetType(kind)
        for number, (path, region) in enumerate(zip(paths, regions, strict=True)):
            patch = {"skymap": "map", "tract": 1, "patch": number}
            add("patch", {"skymap": "map", "tract": 1, "id": number, "cell_x": number,
                          "cell_y": 0, "region": region})  # fmt: skip
            made.ingest(butler, kind, path, {**patch, "band": "r"})
            made.obscore[path] = {"filter": "r"}
    return made


def test_pipetask_makes_byte_for_byte_the_build_of_this_machine(visits, shelf, tmp_path):
    pipeline = visits.pipeline()
    log = visits.pipetask(
        "run",
        "-b",
        visits.root,
        "-i",
        "raw",
        "-o",
        "hips",
        "-p",
        pipeline,
        "--register-dataset-types",
    )
    assert "0 failed and 0 remain" in log
    assert served_files(tmp_path / "hips" / "survey-r") == visits.build_here(
        shelf, tmp_path / "here"
    )
    summary = visits.summary("hips")
    assert summary["images"] == 6
    assert summary["shards_made_here"] == 0
    with Butler.from_config(visits.root, collections="hips") as butler:
        refs = butler.query_datasets("hips_tiles")
        assert {frozenset(ref.dataId.required) for ref in refs} == {frozenset({"band", "healpix9"})}
        assert len(refs) >= 3

    # A new image: cells that it does not touch give nothing, and what they hold is kept.
    before = {path: path.stat().st_ino for path in (tmp_path / "hips").rglob("Npix*.fits")}
    with visits.butler() as butler:
        visits.add_visit(butler, 6)
    log = visits.pipetask("run", "-b", visits.root, "-i", "raw", "-o", "again", "-p", pipeline)
    assert "there is nothing new to make in cell" in log
    assert served_files(tmp_path / "hips" / "survey-r") == visits.build_here(
        shelf, tmp_path / "here"
    )
    after = {path: path.stat().st_ino for path in (tmp_path / "hips").rglob("Npix*.fits")}
    assert set(before) < set(after)
    assert any(after[path] == inode for path, inode in before.items())
    assert visits.summary("again")["images"] == 7


def test_quanta_run_one_by_one_as_batch_systems_run_them(coadds, shelf, tmp_path):
    pipeline = coadds.pipeline(
        images="deep_coadd", image_dimensions=["skymap", "tract", "patch", "band"], cell_order=8
    )
    graph = tmp_path / "hips.qg"
    coadds.pipetask(
        "qgraph", "-b", coadds.root, "-i", "raw", "-o", "hips", "-p", pipeline,
        "--save-qgraph", graph, "--qgraph-datastore-records",
    )  # fmt: skip
    coadds.pipetask("pre-exec-init-qbb", coadds.root, graph)
    coadds.pipetask("run-qbb", coadds.root, graph)
    assert served_files(tmp_path / "hips" / "survey-r") == coadds.build_here(
        shelf, tmp_path / "here"
    )


def test_cells_finer_than_the_shards_are_told(visits):
    log = visits.pipetask(
        "run", "-b", visits.root, "-i", "raw", "-o", "hips",
        "-p", visits.pipeline("order = 11\norder_shard = 3\n"),
        "--register-dataset-types", ok=False,
    )  # fmt: skip
    assert "shards of order 8 are larger than cells of order 9" in log
    assert "hips.order_shard = 2" in log


def test_wrong_settings_are_told_before_anything_runs(visits):
    log = visits.pipetask(
        "run",
        "-b",
        visits.root,
        "-i",
        "raw",
        "-o",
        "hips",
        "-p",
        visits.pipeline("colour = 11\n"),
        ok=False,
    )
    assert "colour" in log
    with pytest.raises(ValueError, match="kernel"):
        hips_settings("kernel = 'cubic'")


def test_a_carton_holds_what_was_put_in_and_nothing_else_comes_out(tmp_path):
    (tmp_path / "from" / "Norder3").mkdir(parents=True)
    (tmp_path / "from" / "Norder3" / "Npix1.fits").write_bytes(b"one")
    (tmp_path / "from" / "Norder3" / ".Npix2.fits").write_bytes(b"half")
    carton = pack(tmp_path / "from", ("Norder*/Npix*",), {"order": b"\x00"})
    unpack(carton, tmp_path / "to", ("Norder*/Npix*",))
    assert {str(p.relative_to(tmp_path / "to")): p.read_bytes()
            for p in (tmp_path / "to").rglob("*") if p.is_file()
            } == {"Norder3/Npix1.fits": b"one"}  # fmt: skip
    evil = pack(tmp_path, (), {"../Norder3/Npix1.fits": b"evil"})
    with pytest.raises(DataError, match="outside"):
        unpack(evil, tmp_path / "to", ("Norder*/Npix*",))
    with pytest.raises(DataError, match="no packed part"):
        BuildOrder.of(np.zeros(100, np.uint8))
    with pytest.raises(DataError, match="another version"):
        BuildOrder.of(pack(tmp_path, (), {"order": b"nothing"}))

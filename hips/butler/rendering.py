"""The task that makes the tiles of a HEALPix cell."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from lsst.pex.config import Field, ListField
from lsst.pipe.base import (
    InputQuantizedConnection,
    NoWorkFound,
    OutputQuantizedConnection,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    connectionTypes,
)
from typing_extensions import override

from hips.butler.carton import STORAGE_CLASS
from hips.butler.order import BuildOrder
from hips.part import Cell

__all__ = ["RenderHipsConfig", "RenderHipsConnections", "RenderHipsTask"]


class RenderHipsConnections(
    PipelineTaskConnections,
    dimensions=("band", "healpix9"),
):
    """A plan, and the images that the Butler knows in a cell, to the tiles in it."""

    plan = connectionTypes.Input(
        doc="What `PlanHipsTask` has decided.",
        name="hips_plan",
        storageClass=STORAGE_CLASS,
        dimensions=("band",),
    )
    images = connectionTypes.Input(
        doc="The images in the cell: where there is one there is work.",
        name="preliminary_visit_image",
        storageClass="ExposureF",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
    )
    tiles = connectionTypes.Output(
        doc="The tiles in the cell.",
        name="hips_tiles",
        storageClass=STORAGE_CLASS,
        dimensions=("band", "healpix9"),
    )

    def __init__(self, *, config: RenderHipsConfig) -> None:
        super().__init__(config=config)
        cell = f"healpix{config.cell_order}"
        self.dimensions = {"band", cell}
        self.images = replace(
            self.images,
            storageClass=config.image_storage_class,
            dimensions=tuple(config.image_dimensions),
        )
        self.tiles = replace(self.tiles, dimensions=("band", cell))


class RenderHipsConfig(PipelineTaskConfig, pipelineConnections=RenderHipsConnections):
    """How large a quantum is."""

    image_storage_class = Field[str](doc="As of `PlanHipsTask`.", default="ExposureF")
    image_dimensions = ListField[str](
        doc="As of `PlanHipsTask`.", default=["instrument", "visit", "detector"]
    )
    cell_order = Field[int](
        doc="HEALPix order of the cells; not above that of the shards, which is the deepest "
        "order less hips.order_shard.",
        default=9,
        check=lambda order: 0 <= order <= 17,
    )


class RenderHipsTask(PipelineTask):
    """Make the tiles of a band in a HEALPix cell, and the orders between up to the shards.

    The plan tells which images go in; those that the Butler's regions put in the cell are its
    inputs for the sake of the graph and of provenance. Where all tiles are the same as in the HiPS
    that is served, there is no output.
    """

    ConfigClass = RenderHipsConfig
    config: RenderHipsConfig
    _DefaultName = "renderHips"

    @override
    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: InputQuantizedConnection,
        outputRefs: OutputQuantizedConnection,
    ) -> None:
        cell = self.config.cell_order
        assert butlerQC.quantum.dataId is not None
        npix = int(butlerQC.quantum.dataId[f"healpix{cell}"])
        plan = butlerQC.get(inputRefs.plan)
        with tempfile.TemporaryDirectory(prefix="hips-") as folder:
            tiles = BuildOrder.of(plan).render(plan, Cell(cell, npix), Path(folder))
        if tiles is None:
            raise NoWorkFound(f"there is nothing new to make in cell {npix} of order {cell}")
        butlerQC.put(tiles, outputRefs.tiles)

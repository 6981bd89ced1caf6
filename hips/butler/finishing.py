"""The task that makes coarser orders, Allsky, MOC and properties, and publishes."""

from __future__ import annotations

from dataclasses import replace

from lsst.pex.config import Field
from lsst.pipe.base import (
    InputQuantizedConnection,
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

__all__ = ["FinishHipsConfig", "FinishHipsConnections", "FinishHipsTask"]


class FinishHipsConnections(PipelineTaskConnections, dimensions=("band",)):
    """The tiles of all cells to a HiPS."""

    plan = connectionTypes.Input(
        doc="What `PlanHipsTask` has decided.",
        name="hips_plan",
        storageClass=STORAGE_CLASS,
        dimensions=("band",),
    )
    tiles = connectionTypes.Input(
        doc="The tiles of each cell.",
        name="hips_tiles",
        storageClass=STORAGE_CLASS,
        dimensions=("band", "healpix9"),
        multiple=True,
        deferLoad=True,
        minimum=0,
    )
    summary = connectionTypes.Output(
        doc="What was made: folder, order, number of tiles and images, what was left out.",
        name="hips_summary",
        storageClass="StructuredDataDict",
        dimensions=("band",),
    )

    def __init__(self, *, config: FinishHipsConfig) -> None:
        super().__init__(config=config)
        cell = f"healpix{config.cell_order}"
        self.tiles = replace(self.tiles, dimensions=("band", cell))


class FinishHipsConfig(PipelineTaskConfig, pipelineConnections=FinishHipsConnections):
    """How large a quantum of `RenderHipsTask` was."""

    cell_order = Field[int](
        doc="As of `RenderHipsTask`.", default=9, check=lambda order: 0 <= order <= 17
    )


class FinishHipsTask(PipelineTask):
    """Make the rest of the HiPS of a band, and publish it in one step.

    Tiles that are as before are taken from the HiPS that is served; those of a cell that no
    quantum has made (one that failed, or one beside the regions that the Butler knows) are made
    here.
    """

    ConfigClass = FinishHipsConfig
    config: FinishHipsConfig
    _DefaultName = "finishHips"

    @override
    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: InputQuantizedConnection,
        outputRefs: OutputQuantizedConnection,
    ) -> None:
        plan = butlerQC.get(inputRefs.plan)
        handles = butlerQC.get(inputRefs.tiles)
        made = BuildOrder.of(plan).finish(
            plan, (handle.get for handle in handles), butlerQC.resources.num_cores
        )
        for item in made.skipped:
            self.log.warning("Image %s is left out: %s", item.did, item.reason)
        summary = {
            "folder": str(made.path),
            "order": made.order,
            "tiles": made.tiles,
            "images": made.images,
            "size_bytes": made.size_bytes,
            "shards_made_here": made.rendered,
            "left_out": {item.did: item.reason for item in made.skipped},
            "notes": list(made.notes),
        }
        butlerQC.put(summary, outputRefs.summary)

"""The task that reads the headers of all images of a band and decides what is to be done."""

from __future__ import annotations

import tempfile
import tomllib
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
from hips.butler.images import images_of
from hips.butler.order import BuildOrder
from hips.publish import safe_name
from hips.settings import HipsSettings

__all__ = ["PlanHipsConfig", "PlanHipsConnections", "PlanHipsTask"]


class PlanHipsConnections(
    PipelineTaskConnections,
    dimensions=("band",),
):
    """Images of a band to the plan of its HiPS."""

    images = connectionTypes.Input(
        doc="The images that go into the HiPS.",
        name="preliminary_visit_image",
        storageClass="ExposureF",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
    )
    plan = connectionTypes.Output(
        doc="Depth, common scale, grey levels and shards of the HiPS.",
        name="hips_plan",
        storageClass=STORAGE_CLASS,
        dimensions=("band",),
    )

    def __init__(self, *, config: PlanHipsConfig) -> None:
        super().__init__(config=config)
        self.images = replace(
            self.images,
            storageClass=config.image_storage_class,
            dimensions=tuple(config.image_dimensions),
        )


class PlanHipsConfig(PipelineTaskConfig, pipelineConnections=PlanHipsConnections):
    """What is to be made."""

    image_storage_class = Field[str](
        doc="Storage class of the images. Their files are FITS; the class itself is not needed.",
        default="ExposureF",
    )
    image_dimensions = ListField[str](
        doc="Dimensions of the images: of coadds skymap, tract, patch, band.",
        default=["instrument", "visit", "detector"],
    )
    output = Field[str](doc="Folder of the HiPS: hips/ of a site.")
    name = Field[str](doc="Of the HiPS, before the band.", default="hips")
    title = Field[str](doc="obs_title of the properties, before the band.", default="")
    description = Field[str](doc="obs_description; by default one is made.", default="")
    authority = Field[str](
        doc="Of the IVOIDs of the HiPS and its images.", default="skylane.invalid"
    )
    settings = Field[str](
        doc="As in the section [hips] of skylane.toml: lines such as kernel = 'lanczos3'.",
        default="",
    )

    @override
    def validate(self) -> None:
        super().validate()
        hips_settings(self.settings)


def hips_settings(text: str) -> HipsSettings:
    """Read settings of HiPS written as TOML.

    Raises
    ------
    ValueError
        If it is no TOML, or a key is unknown or its value wrong; names the key.
    """
    return HipsSettings.model_validate(tomllib.loads(text))


class PlanHipsTask(PipelineTask):
    """Decide what is to be done for the HiPS of a band.

    A HiPS that is there already (`PlanHipsConfig.output`) keeps its recipe, and only tiles whose
    images are others will be made.
    """

    ConfigClass = PlanHipsConfig
    config: PlanHipsConfig
    _DefaultName = "planHips"

    @override
    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: InputQuantizedConnection,
        outputRefs: OutputQuantizedConnection,
    ) -> None:
        assert butlerQC.quantum.dataId is not None
        band = str(butlerQC.quantum.dataId["band"])
        handles = butlerQC.get(inputRefs.images)
        config = self.config
        images, left_out = images_of(
            handles[0].butler, [handle.ref for handle in handles], config.authority
        )
        for uuid, reason in left_out.items():
            self.log.warning("Image %s is left out: %s", uuid, reason)
        if not images:
            raise NoWorkFound(f"none of the images of band {band} can be used")
        name = safe_name(config.name, band)
        order = BuildOrder(
            images=tuple(images),
            settings=hips_settings(config.settings),
            output=Path(config.output),
            name=name,
            title=f"{config.title or config.name} {band}",
            creator_did=f"ivo://{config.authority}/hips/{name}",
            description=config.description,
            band=band,
        )
        with tempfile.TemporaryDirectory(prefix="hips-") as folder:
            plan = order.plan(Path(folder), butlerQC.resources.num_cores)
        butlerQC.put(plan, outputRefs.plan)

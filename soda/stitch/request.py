"""What is asked for when images are stitched, as frozen values read from a request's parameters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, cast

from soda.formats import Format
from soda.output import Output
from soda.parameters import Combination, Conserved, Photometry
from soda.params import CutoutParams, parse_params
from soda.selection import Selection
from soda.source import Source
from soda.values import flag, number, whole_numbers, word
from vodal.errors import MultiValuedParamNotSupported, UsageError
from vodal.fits.calibration import MASK_NAMES, ZERO_POINT_KEYWORDS
from vodal.params import Params
from vodal.projections import GridFrame
from vodal.regions import Region
from vodal.resample.block import Sampling

__all__ = [
    "Rules",
    "StitchInput",
    "StitchParams",
    "StitchRequest",
    "parse_stitch",
]

_NOT_HERE: Final = ("PIXELS", "HDU", "TABLES", "KIND")


@dataclass(frozen=True, slots=True)
class StitchRequest:
    """The image that is wanted."""

    selection: Selection = field(default_factory=Selection)
    """Stencil, wavelengths, times and polarization."""
    projection: str = "TAN"
    """Of FITS paper II."""
    scale_arcsec: float | None = None
    """Side of a pixel; None for that of the finest image."""
    rotation_deg: float = 0.0
    """Position angle of the image's upward direction, from north through east."""
    frame: GridFrame = "icrs"
    npix: tuple[int, int] | None = None
    """Columns and rows about the stencil's middle; None for as many as hold the stencil."""
    sampling: Sampling = "bilinear"
    combination: Combination = "mean"
    conserved: Conserved = "auto"
    """Total flux, surface brightness, or what the images' unit asks for."""
    photometry: Photometry = "zeropoint"
    """Whether the images are brought to one zero point, if all have one."""
    coverage: bool = False
    """Whether the weight of each pixel is told."""
    output: Output = field(default_factory=lambda: Output(outside="nan"))

    @property
    def stencil(self) -> Region | None:
        """Where on the sky; None for all that the images cover."""
        return self.selection.stencil


@dataclass(frozen=True, slots=True)
class StitchParams:
    """The image that is wanted, and which images it is made of."""

    image: StitchRequest
    dids: tuple[str, ...]
    collection: str | None
    filters: tuple[str, ...]
    """Names of filters; of a collection only."""


@dataclass(frozen=True, slots=True)
class StitchInput:
    """An image to be stitched, as it is sent to a worker."""

    source: Source
    exposure_s: float | None = None
    """From the catalogue; None to look into the header."""

    @property
    def name(self) -> str:
        """Identifier, or the file's name where there is none."""
        return self.source.name


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the images' headers is believed."""

    mask_names: tuple[str, ...] = MASK_NAMES
    """Names of mask bits whose pixels are not used."""
    zero_point_keywords: tuple[str, ...] = ZERO_POINT_KEYWORDS


def parse_stitch(
    params: Params, default: Format | None = None, max_side: int = 4096
) -> StitchParams:
    """Read the parameters of a request; names that are not known are passed over.

    Parameters
    ----------
    params
        Of the request.
    default
        The format where no parameter names one; by default FITS.
    max_side
        The largest side of a picture in pixels.

    Raises
    ------
    UsageError
        If neither ID nor COLLECTION is there, or a value is malformed or not served.
    """
    for name in _NOT_HERE:
        if params.all(name):
            raise UsageError(f"{name} is not for stitched images, which have pixels of their own")
    if (params.one("COMBINE") or "").lower() == "stitch":
        # What jobs are told, and what is done here anyway.
        params = Params((n, v) for n, values in params.items() for v in values if n != "COMBINE")
    asked = parse_params(params, default, max_side, needs_id=False)
    selection = _selection(asked)
    collection = params.one("COLLECTION")
    if not asked.dids and collection is None:
        raise UsageError("the parameter ID is missing; give it once or more, or a COLLECTION")
    if asked.dids and collection is not None:
        raise UsageError("give ID or COLLECTION, not both")
    filters = tuple(params.all("FILTER"))
    if filters and collection is None:
        raise UsageError("FILTER chooses among the images of a COLLECTION; with ID leave it out")
    if collection is not None and selection.stencil is None:
        raise UsageError("with COLLECTION give one of POS, CIRCLE and POLYGON")
    return StitchParams(
        _image(params, selection, asked.output),
        asked.dids,
        collection,
        filters,
    )


def _selection(asked: CutoutParams) -> Selection:
    for name, values in (("BAND", asked.bands_m), ("TIME", asked.times_mjd)):
        if len(values) > 1:
            raise MultiValuedParamNotSupported(f"{name} may be given only once")
    if len(asked.stencils) > 1:
        raise MultiValuedParamNotSupported("give one of POS, CIRCLE and POLYGON, and once")
    return Selection(
        asked.stencils[0] if asked.stencils else None,
        asked.bands_m[0] if asked.bands_m else None,
        asked.times_mjd[0] if asked.times_mjd else None,
        asked.pol,
    )


def _image(params: Params, selection: Selection, output: Output) -> StitchRequest:
    if output.color:
        raise UsageError("COMBINE=rgb is not for stitched images; STACK says how images add up")
    given = params.one("OUTSIDE")
    if given is None:
        output = replace(output, outside="nan")
    elif output.outside == "mask":
        raise UsageError("OUTSIDE may be nan or keep for stitched images; COVERAGE=1 tells more")
    about = "degrees, from north through east"
    rotation = number(params, "ROTATION", about, "stitched")
    scale = number(params, "PIXSCALE", "the side of a pixel in arcseconds", "stitched")
    return StitchRequest(
        selection=selection,
        projection=word(params, "PROJ", "stitched"),
        scale_arcsec=scale,
        rotation_deg=0.0 if rotation is None else rotation % 360.0,
        frame=cast("GridFrame", word(params, "FRAME", "stitched")),
        npix=_npix(params, selection.stencil),
        sampling=cast("Sampling", word(params, "SAMPLING", "stitched")),
        combination=cast("Combination", word(params, "STACK", "stitched")),
        conserved=cast("Conserved", word(params, "CONSERVE", "stitched")),
        photometry=cast("Photometry", word(params, "PHOTOMETRY", "stitched")),
        coverage=flag(params, "COVERAGE", "stitched"),
        output=output,
    )


def _npix(params: Params, stencil: Region | None) -> tuple[int, int] | None:
    found = whole_numbers(params, "NPIX", "columns and rows", "stitched")
    if found is not None and stencil is None:
        raise UsageError("with NPIX give one of POS, CIRCLE and POLYGON, for the middle")
    return found

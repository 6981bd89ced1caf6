"""What is asked for when images are stitched, as frozen values read from a request's parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeVar, get_args

from soda.formats import Format
from soda.output import Output
from soda.params import CutoutParams, parse_params
from soda.selection import Selection
from soda.source import Source
from vodal.errors import MultiValuedParamNotSupported, UsageError
from vodal.fits.calibration import MASK_NAMES, ZERO_POINT_KEYWORDS
from vodal.params import Params
from vodal.regions import Region, parse_numbers
from vodal.resample.block import Sampling

__all__ = [
    "CYLINDRICAL",
    "ZENITHAL",
    "Combination",
    "Frame",
    "Rules",
    "StitchInput",
    "StitchParams",
    "StitchRequest",
    "parse_stitch",
]

ZENITHAL: Final = ("TAN", "SIN", "ZEA", "ARC", "STG")
"""Projections whose reference point is the middle of the region."""
CYLINDRICAL: Final = ("CAR", "CEA", "MER", "SFL", "AIT", "MOL")
"""Those whose reference point is on the equator; MER, SFL, AIT and MOL are of kindred kinds."""

Frame = Literal["icrs", "galactic"]
Combination = Literal["mean", "weighted", "median", "first"]
_Conserved = Literal["auto", "flux", "brightness"]
_Photometry = Literal["zeropoint", "none"]
_Choice = TypeVar("_Choice", bound=str)

_MAX_SIDE: Final = 1 << 20
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
    frame: Frame = "icrs"
    npix: tuple[int, int] | None = None
    """Columns and rows about the stencil's middle; None for as many as hold the stencil."""
    sampling: Sampling = "bilinear"
    combination: Combination = "mean"
    conserved: _Conserved = "auto"
    """Total flux, surface brightness, or what the images' unit asks for."""
    photometry: _Photometry = "zeropoint"
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
    projection = (params.one("PROJ") or "TAN").upper()
    if projection not in ZENITHAL + CYLINDRICAL:
        known = ", ".join(ZENITHAL + CYLINDRICAL)
        raise UsageError(f"PROJ may be {known}; not '{projection[:20]}'")
    rotation = _number(params, "ROTATION", "degrees, from north through east")
    return StitchRequest(
        selection=selection,
        projection=projection,
        scale_arcsec=_scale(params),
        rotation_deg=0.0 if rotation is None else rotation % 360.0,
        frame=_choice(params, "FRAME", get_args(Frame)),
        npix=_npix(params, selection.stencil),
        sampling=_choice(params, "SAMPLING", get_args(Sampling)),
        combination=_choice(params, "STACK", get_args(Combination)),
        conserved=_choice(params, "CONSERVE", get_args(_Conserved)),
        photometry=_choice(params, "PHOTOMETRY", get_args(_Photometry)),
        coverage=_choice(params, "COVERAGE", ("0", "1")) == "1",
        output=output,
    )


def _choice(params: Params, name: str, choices: tuple[_Choice, ...]) -> _Choice:
    """Read one of several words; the first is the default."""
    text = params.one(name)
    if text is None:
        return choices[0]
    for choice in choices:
        if text.lower() == choice:
            return choice
    raise UsageError(f"{name} may be {', '.join(choices)}; not '{text[:40]}'")


def _number(params: Params, name: str, what: str) -> float | None:
    text = params.one(name)
    if text is None:
        return None
    numbers = parse_numbers(text, name)
    if len(numbers) != 1:
        raise UsageError(f"{name} takes one number: {what}")
    return numbers[0]


def _scale(params: Params) -> float | None:
    scale = _number(params, "PIXSCALE", "the side of a pixel in arcseconds")
    if scale is not None and not 1e-6 <= scale <= 36000.0:
        raise UsageError("PIXSCALE takes the side of a pixel in arcseconds, from 1e-6 to 36000")
    return scale


def _npix(params: Params, stencil: Region | None) -> tuple[int, int] | None:
    text = params.one("NPIX")
    if text is None:
        return None
    numbers = parse_numbers(text, "NPIX")
    whole = all(number == math.floor(number) for number in numbers)
    if len(numbers) != 2 or not whole or not all(1 <= n <= _MAX_SIDE for n in numbers):
        raise UsageError(f"NPIX takes two whole numbers from 1 to {_MAX_SIDE}: columns and rows")
    if stencil is None:
        raise UsageError("with NPIX give one of POS, CIRCLE and POLYGON, for the middle")
    return int(numbers[0]), int(numbers[1])

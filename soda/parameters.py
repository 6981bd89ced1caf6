"""The parameters of ``/sync``, ``/async`` and ``/stitched``, each declared once.

Descriptors, the tables of ``docs/soda.md`` and what `soda.values` accepts follow from these
declarations. What jobs take besides (tables) is told where jobs are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from soda.formats import FORMATS
from vodal.fits.stokes import CANONICAL
from vodal.pictures.colormaps import COLORMAPS
from vodal.projections import CYLINDRICAL, ZENITHAL, GridFrame
from vodal.resample.block import Sampling

__all__ = [
    "PARAMETERS",
    "STATES",
    "Combination",
    "Conserved",
    "Group",
    "Orientation",
    "Outside",
    "Parameter",
    "Photometry",
    "Resource",
    "declared",
    "of_resource",
]

Resource = Literal["sync", "stitched"]
"""What ``/async`` takes is what ``/sync`` does."""
Group = Literal["standard", "part", "format", "picture", "color", "several", "stitched"]
"""A table of the page of documentation."""

Outside = Literal["keep", "nan", "mask"]
Orientation = Literal["pixels", "north"]
Combination = Literal["mean", "weighted", "median", "first"]
Conserved = Literal["auto", "flux", "brightness"]
Photometry = Literal["zeropoint", "none"]

STATES: Final = CANONICAL
"""Polarization states that POL takes."""

_BOTH: Final[tuple[Resource, ...]] = ("sync", "stitched")
_OUTLINE: Final = "pos.outline;obs"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: what it means, how it is told, and what is accepted."""

    name: str
    group: Group
    form: str
    """How a value looks, in Markdown; empty where the options tell."""
    meaning: str
    """Half a sentence for descriptors and the documentation, in Markdown."""
    resources: tuple[Resource, ...] = ("sync",)
    datatype: str = "char"
    """Of VOTable. Single numbers are told as texts, since pyvo 1.9 fails on an empty number."""
    arraysize: str | None = "*"
    unit: str | None = None
    ucd: str | None = None
    xtype: str | None = None
    options: tuple[str, ...] = ()
    """Words that are accepted, in any case; the first is the default, which Firefly sends."""
    above: float | None = None
    """Numbers are larger."""
    least: float | None = None
    most: float | None = None
    """Numbers lie between; both are accepted."""
    told: bool = True
    """Whether descriptors tell it."""

    @property
    def values(self) -> str:
        """How values look, in Markdown."""
        return self.form or ", ".join(f"`{option}`" for option in self.options)


PARAMETERS: Final = (
    Parameter(
        "ID", "standard", "`obs_publisher_did`",
        "the publisher's identifier of the dataset; required",
        ucd="meta.ref.url;meta.curation",
    ),
    Parameter(
        "CIRCLE", "standard", "`ra dec radius`", "a circle to be covered: degrees, ICRS",
        _BOTH, "double", "3", "deg", _OUTLINE, "circle",
    ),
    Parameter(
        "POLYGON", "standard", "`ra1 dec1 ra2 dec2 ra3 dec3 ...`",
        "a polygon to be covered: vertices in degrees, ICRS; sides are great circles",
        _BOTH, "double", "*", "deg", _OUTLINE, "polygon",
    ),
    Parameter(
        "POS", "standard", "`CIRCLE ...`, `RANGE ra1 ra2 dec1 dec2` or `POLYGON ...`",
        "a shape by its name: `CIRCLE ra dec radius`, `RANGE ra1 ra2 dec1 dec2` or `POLYGON ...`",
        _BOTH, ucd=_OUTLINE,
    ),
    Parameter(
        "BAND", "standard", "`low high`", "wavelengths in vacuum to be covered, metres",
        _BOTH, "double", "2", "m", "em.wl;stat.interval", "interval",
    ),
    Parameter(
        "TIME", "standard", "`low high`", "times to be covered, MJD in UTC",
        _BOTH, "double", "2", "d", "time.interval;obs.exposure", "interval",
    ),
    Parameter(
        "POL", "standard",
        ", ".join(f"`{state}`" for state in STATES),
        "a polarization state; give it once for each",
        _BOTH, ucd="meta.code;phys.polarization",
    ),
    Parameter(
        "PIXELS", "part", "`[101:200,51:150,*]`",
        "pixels of each axis in the order of FITS, counted from 1, ends included; `*` for all, `7`"
        " for one; axes that are not named are kept whole",
    ),
    Parameter(
        "PIXEL_n", "part", "`101 200`",
        "the same for one axis (`PIXEL_1`, `PIXEL_2` ...)", told=False,
    ),
    Parameter(
        "HDU", "part", "`1`, `MASK` or `SCI,2`",
        "only these HDUs: number, EXTNAME or EXTNAME,EXTVER; give it once for each",
    ),
    Parameter(
        "TABLES", "part", "", "`1` to carry the file's tables along that belong to the image",
        options=("0", "1"),
    ),
    Parameter(
        "KIND", "part", "", "`HEADER` for headers without data", options=("DATA", "HEADER")
    ),
    Parameter(
        "RESPONSEFORMAT", "format", "see above", "format of the answer",
        _BOTH, options=tuple(one.media_type for one in FORMATS),
    ),
    Parameter(
        "FORMAT", "format", "see above", "the same, as older clients call it", _BOTH, told=False
    ),
    Parameter(
        "QUANTIZE", "format", "`4`",
        "of `fits-rice`: steps in one standard deviation of each tile's noise, with"
        " SUBTRACTIVE_DITHER_2",
        _BOTH, above=0.0, most=1000.0,
    ),
    Parameter(
        "TILE", "format", "`256 256`",
        "of compressed FITS: columns and rows of a tile; by default whole rows",
        _BOTH, "int", "2", "pix", least=1, most=1 << 16,
    ),
    Parameter(
        "OUTSIDE", "format", "",
        "pixels whose centres are outside of the shape: left, blanked, or told by a plane",
        options=get_args(Outside),
    ),
    Parameter(
        "STRETCH", "picture", "`asinh`, `linear`, `sqrt`, `log`",
        "of pictures: from black to white as `astropy.visualization` has them by default; with"
        " `COMBINE=rgb` a number",
        _BOTH, options=("asinh", "linear", "sqrt", "log"),
    ),
    Parameter(
        "CUTS", "picture", "`auto`, `minmax`, `zscale`, `99.5%`, `1% 99%` or `low high`",
        "of pictures: what is black and white; `auto` is from 1.5 times the noise below the sky to"
        " the 99.7th percentile",
        _BOTH,
    ),
    Parameter(
        "COLORMAP", "picture", "", "of pictures: their colours", _BOTH, options=COLORMAPS
    ),
    Parameter(
        "INVERT", "picture", "", "of pictures: `1` for black on white", _BOTH, options=("0", "1")
    ),
    Parameter(
        "SIZE", "picture", "`512`",
        "of pictures: pixels of the longer side; areas are averaged, or pixels repeated",
        _BOTH, "int", None, "pix", least=1,
    ),
    Parameter(
        "ORIENT", "picture", "",
        "of pictures: rows from the bottom up as DS9 shows them, or north up and east to the left",
        _BOTH, options=get_args(Orientation),
    ),
    Parameter(
        "SAMPLING", "picture", "",
        "of pictures: how pixels are brought to another grid, north up or three datasets in colour",
        options=get_args(Sampling),
    ),
    Parameter(
        "COMBINE", "color", "", "`rgb` for three datasets in colour", options=("none", "rgb")
    ),
    Parameter(
        "Q", "color", "`8`",
        "of pictures in colour: how much bright parts are held back; by default 8",
        above=0.0, most=1000.0,
    ),
    Parameter(
        "MULTI", "several", "`tar`, `zip`, `mef`",
        "how several cutouts are put together: an archive, or one FITS file",
    ),
    # ID and COLLECTION exclude each other, and descriptors are about datasets.
    Parameter(
        "ID", "stitched", "`obs_publisher_did`",
        "a dataset; give it once for each, up to `soda.max_stitched`",
        ("stitched",), ucd="meta.ref.url;meta.curation",
    ),
    Parameter(
        "COLLECTION", "stitched", "`obs_collection`",
        "in place of `ID`: all images of the collection that the shape meets, but for masks and"
        " weights in files of their own",
        ("stitched",), told=False,
    ),
    Parameter(
        "FILTER", "stitched", "a filter's name",
        "of a collection; needed where its images there are of several; may be given several times",
        ("stitched",), told=False,
    ),
    Parameter(
        "PROJ", "stitched", "",
        "projection. The reference point of the first five is the middle of the shape; that of the"
        " others is on the equator below it",
        ("stitched",), options=ZENITHAL + CYLINDRICAL,
    ),
    Parameter(
        "PIXSCALE", "stitched", "arcseconds",
        "side of a pixel; by default that of the finest dataset",
        ("stitched",), unit="arcsec", least=1e-6, most=36000.0,
    ),
    Parameter(
        "ROTATION", "stitched", "degrees",
        "position angle of the upward direction, north through east; by default 0: north up, east"
        " left",
        ("stitched",), unit="deg",
    ),
    Parameter(
        "FRAME", "stitched", "",
        "of the grid, and so what `ROTATION` counts from; shapes are always ICRS",
        ("stitched",), options=get_args(GridFrame),
    ),
    Parameter(
        "NPIX", "stitched", "`columns rows`",
        "size about the middle of the shape; by default as many as hold the shape",
        ("stitched",), "int", "2", "pix", least=1, most=1 << 20,
    ),
    Parameter(
        "SAMPLING", "stitched", "",
        "how datasets are sampled. Bilinear sampling widens stars by about 3 %, and gives or takes"
        " about 1 % of the flux of one star, of coarsely sampled ones up to 4 %; Lanczos keeps both"
        " within 1 %, and is bilinear next to blank pixels",
        ("stitched",), options=get_args(Sampling),
    ),
    Parameter(
        "STACK", "stitched", "",
        "what becomes of overlaps: all alike, by exposure time (`t_exptime`), the middle value, or"
        " the dataset that comes first",
        ("stitched",), options=get_args(Combination),
    ),
    Parameter(
        "CONSERVE", "stitched", "", "what is kept, flux or surface brightness",
        ("stitched",), options=get_args(Conserved),
    ),
    Parameter(
        "PHOTOMETRY", "stitched", "",
        "whether datasets are brought to the zero point of the first, if all tell one"
        " (`soda.zero_point_keywords`)",
        ("stitched",), options=get_args(Photometry),
    ),
    Parameter(
        "OUTSIDE", "stitched", "",
        "pixels whose centres are outside of the shape: NaN, or kept",
        ("stitched",), options=("nan", "keep"),
    ),
    Parameter(
        "COVERAGE", "stitched", "",
        "`1` for an extension with the number of datasets of each pixel, or their exposure time",
        ("stitched",), options=("0", "1"),
    ),
)  # fmt: skip
"""All of them."""


def of_resource(resource: Resource) -> tuple[Parameter, ...]:
    """Give what a resource takes, in the order in which it is told."""
    return tuple(one for one in PARAMETERS if resource in one.resources)


_DECLARED: Final = {(resource, one.name): one for one in PARAMETERS for resource in one.resources}


def declared(name: str, resource: Resource = "sync") -> Parameter:
    """Give a parameter's declaration."""
    return _DECLARED[resource, name]

"""The parameters of a cutout as descriptors tell them (SODA 1.0 sections 3.2 and 4).

What a dataset can be asked for is told by its values: MIN and MAX of intervals, the states of POL
as OPTIONs, a shape that covers it as MAX of CIRCLE and POLYGON. A parameter that a dataset would
refuse, as its row tells no extent, is left out.
"""

from __future__ import annotations

import math
from typing import get_args

from soda.filters import extent_of
from soda.formats import FORMATS
from soda.output import Orientation, Outside
from soda.selection import Interval
from vodal.links import InputParam
from vodal.pictures.colormaps import COLORMAPS
from vodal.products import Product
from vodal.regions import Polygon, Region
from vodal.sphere import bounding_cap

__all__ = ["dataset_inputs", "generic_inputs"]

_ID = InputParam(
    "ID",
    ucd="meta.ref.url;meta.curation",
    description="The publisher's identifier of the dataset",
)
_OUTLINE_UCD = "pos.outline;obs"
_EXTENSIONS = (
    InputParam(
        "PIXELS",
        description="Pixels of each axis, counted from 1, such as [101:200,51:150,*]; an extension",
    ),
    InputParam(
        "HDU",
        description="Only this HDU: number, EXTNAME or EXTNAME,EXTVER; repeatable; an extension",
    ),
    InputParam(
        "TABLES",
        options=("0", "1"),
        description="1 for the tables that belong to the image, as they are; an extension",
    ),
    InputParam(
        "KIND",
        options=("DATA", "HEADER"),
        description="HEADER for headers without data; an extension",
    ),
    # The default is the first option of each, which Firefly sends.
    InputParam(
        "RESPONSEFORMAT",
        options=tuple(one.media_type for one in FORMATS),
        description="Format of the answer",
    ),
    InputParam(
        "OUTSIDE",
        options=get_args(Outside),
        description="Pixels outside of the shape: kept, blanked, or told by a plane; an extension",
    ),
    InputParam(
        "STRETCH",
        options=("asinh", "linear", "sqrt", "log"),
        description="Of pictures: the stretch from black to white; an extension",
    ),
    InputParam(
        "CUTS",
        description="Of pictures: black and white, as auto, minmax, zscale, 99.5% or two values; "
        "an extension",
    ),
    InputParam(
        "COLORMAP",
        options=COLORMAPS,
        description="Of pictures: the colour map; an extension",
    ),
    InputParam(
        "SIZE",
        datatype="int",
        arraysize=None,
        unit="pix",
        description="Of pictures: pixels of the longer side; an extension",
    ),
    InputParam(
        "ORIENT",
        options=get_args(Orientation),
        description="Of pictures: rows as in the file, or north up; an extension",
    ),
)


def dataset_inputs(product: Product) -> tuple[InputParam, ...]:
    """Give the parameters that a dataset can be asked with, and their limits."""
    extent = extent_of(product)
    inputs = [_id(value=product.did), *_stencils(product.region)]
    if extent.band_m is not None:
        inputs.append(_band(extent.band_m))
    if extent.time_mjd is not None:
        inputs.append(_time(extent.time_mjd))
    if extent.states:
        inputs.append(_pol(extent.states))
    return (*inputs, *_EXTENSIONS)


def generic_inputs(identifier: str) -> tuple[InputParam, ...]:
    """Give the parameters for any dataset of a table.

    Parameters
    ----------
    identifier
        ID of the FIELD with the datasets' identifiers.
    """
    return (_id(ref=identifier), *_stencils(None), _band(None), _time(None), _pol(()), *_EXTENSIONS)


def _id(*, value: str = "", ref: str | None = None) -> InputParam:
    return InputParam(_ID.name, value=value, ucd=_ID.ucd, ref=ref, description=_ID.description)


def _stencils(region: Region | None) -> tuple[InputParam, ...]:
    return (
        InputParam(
            "CIRCLE",
            datatype="double",
            arraysize="3",
            unit="deg",
            ucd=_OUTLINE_UCD,
            xtype="circle",
            maximum=_around(region),
            description="A circle to be covered by the cutout: ra dec radius, ICRS",
        ),
        InputParam(
            "POLYGON",
            datatype="double",
            unit="deg",
            ucd=_OUTLINE_UCD,
            xtype="polygon",
            maximum=_outline(region),
            description="A polygon to be covered by the cutout: ra1 dec1 ra2 dec2 ..., ICRS",
        ),
        InputParam(
            "POS",
            ucd=_OUTLINE_UCD,
            description="The same as CIRCLE ra dec radius, RANGE ra1 ra2 dec1 dec2 or POLYGON ...",
        ),
    )


def _interval(name: str, extent: Interval | None, unit: str, ucd: str, about: str) -> InputParam:
    return InputParam(
        name,
        datatype="double",
        arraysize="2",
        unit=unit,
        ucd=ucd,
        xtype="interval",
        minimum=None if extent is None else repr(extent.low),
        maximum=None if extent is None else repr(extent.high),
        description=about,
    )


def _band(extent: Interval | None) -> InputParam:
    about = "Wavelengths in vacuum to be covered by the cutout: low high"
    return _interval("BAND", extent, "m", "em.wl;stat.interval", about)


def _time(extent: Interval | None) -> InputParam:
    about = "Times to be covered by the cutout, MJD in UTC: low high"
    return _interval("TIME", extent, "d", "time.interval;obs.exposure", about)


def _pol(states: tuple[str, ...]) -> InputParam:
    return InputParam(
        "POL",
        ucd="meta.code;phys.polarization",
        options=states,
        description="A polarization state to be in the cutout; repeatable",
    )


def _number(value: float) -> str:
    return f"{value:.8f}".rstrip("0").rstrip(".")


def _around(region: Region | None) -> str | None:
    """Give the circle around a footprint as ``ra dec radius``."""
    if region is None:
        return None
    (x, y, z), radius_deg = bounding_cap(region)
    ra = math.degrees(math.atan2(y, x)) % 360.0
    dec = math.degrees(math.atan2(z, math.hypot(x, y)))
    # Rounded up, so that it covers all.
    return f"{_number(ra)} {_number(dec)} {_number(min(180.0, radius_deg + 1e-8))}"


def _outline(region: Region | None) -> str | None:
    """Give a footprint's vertices; a circle has none."""
    if not isinstance(region, Polygon):
        return None
    return " ".join(_number(value) for vertex in region.vertices for value in vertex)

"""The parameters of a cutout as descriptors tell them (SODA 1.0 sections 3.2 and 4).

They are those of `soda.parameters`. What a dataset can be asked for is told by its values: MIN and
MAX of intervals, the states of POL as OPTIONs, a shape that covers it as MAX of CIRCLE and POLYGON.
A parameter that a dataset would refuse, as its row tells no extent, is left out.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache

from soda.filters import extent_of
from soda.parameters import Parameter, Resource, of_resource
from soda.selection import Interval
from vodal.links import InputParam
from vodal.products import Product
from vodal.regions import Polygon, Region
from vodal.sphere import bounding_cap

__all__ = ["dataset_inputs", "generic_inputs"]

_OF_DATASETS = frozenset({"ID", "CIRCLE", "POLYGON", "BAND", "TIME", "POL"})
"""Parameters that are told with values of the dataset."""


def dataset_inputs(product: Product, *resources: Resource) -> tuple[tuple[InputParam, ...], ...]:
    """Give the parameters that a dataset can be asked with, and their limits.

    Parameters
    ----------
    product
        The dataset.
    *resources
        What is asked; one tuple is given for each.
    """
    own = _own_values(product)
    # What two resources take alike is one value, and so is written once.
    told: dict[int, InputParam | None] = {}
    made = []
    for resource in resources:
        general, places = _of_any(resource)
        inputs: list[InputParam | None] = [*general]
        for place in places:
            one = general[place]
            if id(one) not in told:
                values = own[one.name]
                told[id(one)] = None if values is None else one.changed(**values)
            inputs[place] = told[id(one)]
        made.append(tuple([one for one in inputs if one is not None]))
    return tuple(made)


def _own_values(product: Product) -> dict[str, dict[str, object] | None]:
    """Give what a dataset's parameters have of their own, by name; None for those it refuses."""
    extent = extent_of(product)
    return {
        "ID": {"value": product.did},
        "CIRCLE": {"maximum": _around(product.region)},
        "POLYGON": {"maximum": _outline(product.region)},
        "BAND": _ends(extent.band_m),
        "TIME": _ends(extent.time_mjd),
        "POL": {"options": extent.states} if extent.states else None,
    }


def generic_inputs(identifier: str, resource: Resource = "sync") -> tuple[InputParam, ...]:
    """Give the parameters for any dataset of a table.

    Parameters
    ----------
    identifier
        ID of the FIELD with the datasets' identifiers.
    resource
        What is asked.
    """
    general, _ = _of_any(resource)
    return tuple(one.changed(ref=identifier) if one.name == "ID" else one for one in general)


@lru_cache
def _of_any(resource: Resource) -> tuple[tuple[InputParam, ...], tuple[int, ...]]:
    """Give the parameters that descriptors tell, as they are for all datasets.

    Returns
    -------
    parameters, places
        The dataset's identifier first; and where those stand that are told with values of the
        dataset.
    """
    told = sorted(
        (one for one in of_resource(resource) if one.told), key=lambda one: one.name != "ID"
    )
    places = tuple(place for place, one in enumerate(told) if one.name in _OF_DATASETS)
    return tuple(_general(one) for one in told), places


@cache
def _general(one: Parameter) -> InputParam:
    meaning = one.meaning.replace("`", "")
    ends = (one.least, one.most) if one.datatype == "int" else (None, None)
    least, most = (None if end is None else f"{end:.0f}" for end in ends)
    return InputParam(
        one.name,
        datatype=one.datatype,
        arraysize=one.arraysize,
        unit=one.unit,
        ucd=one.ucd,
        xtype=one.xtype,
        minimum=least,
        maximum=most,
        options=one.options,
        description=meaning[0].upper()
        + meaning[1:]
        + ("" if one.group == "standard" or one.name == "ID" else "; an extension"),
    )


def _ends(extent: Interval | None) -> dict[str, object] | None:
    if extent is None:
        return None
    return {"minimum": repr(extent.low), "maximum": repr(extent.high)}


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

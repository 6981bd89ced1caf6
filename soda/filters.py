"""BAND, TIME and POL where they can be told from the product's ObsCore row.

An image with a single bin along an axis is either wholly within a filter or wholly outside, and so
is one that has no such axis. What has several bins is cut along its axis (`soda.axes`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from soda.selection import Interval, Selection
from vodal.errors import UsageError
from vodal.products import Product

__all__ = ["Extent", "Parameter", "extent_of", "judge", "passes", "passes_whole"]

Parameter = Literal["BAND", "TIME", "POL"]


@dataclass(frozen=True, slots=True)
class Extent:
    """What the row tells of a product's other axes; None and empty for what is not known."""

    band_m: Interval | None = None
    band_bins: int | None = None
    time_mjd: Interval | None = None
    time_bins: int | None = None
    states: tuple[str, ...] = ()


def extent_of(product: Product) -> Extent:
    """Read a product's row."""
    text = product.obscore.get("pol_states")
    states = text.split("/") if isinstance(text, str) else []
    return Extent(
        _interval(product, "em_min", "em_max"),
        _whole(product, "em_xel"),
        _interval(product, "t_min", "t_max"),
        _whole(product, "t_xel"),
        tuple(state.strip() for state in states if state.strip()),
    )


def _interval(product: Product, low: str, high: str) -> Interval | None:
    row = product.obscore
    least, most = row.get(low), row.get(high)
    if isinstance(least, int | float) and isinstance(most, int | float):
        return Interval(float(least), float(most))
    return None


def _whole(product: Product, column: str) -> int | None:
    value = product.obscore.get(column)
    return int(value) if isinstance(value, int | float) else None


def judge(extent: Extent, selection: Selection) -> Selection | None:
    """Apply what the row alone decides.

    Returns
    -------
    Selection or None
        What is left to be cut along axes: BAND, TIME and POL are gone from it where the whole
        product is within them, or any would be. None if the product is outside.
    """
    band = _decided(selection.band_m, extent.band_m, extent.band_bins)
    time = _decided(selection.time_mjd, extent.time_mjd, extent.time_bins)
    if band is False or time is False:
        return None
    left = selection
    if band:
        left = replace(left, band_m=None)
    if time:
        left = replace(left, time_mjd=None)
    if selection.pol and extent.states:
        if not set(extent.states) & set(selection.pol):
            return None
        if set(extent.states) <= set(selection.pol):
            left = replace(left, pol=())
    return left


def _decided(wanted: Interval | None, known: Interval | None, bins: int | None) -> bool | None:
    """Tell whether a product is wholly within an interval or not at all; None if an axis tells."""
    if wanted is None:
        return None
    if wanted.is_unbounded:
        return True
    return known.meets(wanted) if known is not None and bins == 1 else None


def passes(product: Product, selection: Selection) -> bool:
    """Tell whether a product may have a part within the selection's BAND, TIME and POL."""
    return judge(extent_of(product), selection) is not None


def passes_whole(extent: Extent, selection: Selection, name: Parameter) -> bool:
    """Tell whether a product that has no such axis is within a parameter.

    Raises
    ------
    UsageError
        If its extent is not known, or it has several states that cannot be told apart.
    """
    if name == "POL":
        return _states_pass(extent.states, selection.pol)
    known, wanted = (
        (extent.band_m, selection.band_m)
        if name == "BAND"
        else (extent.time_mjd, selection.time_mjd)
    )
    if known is None:
        raise UsageError(
            f"{name} is not supported for this dataset: it has no such axis and its extent is "
            "not known"
        )
    return wanted is None or known.meets(wanted)


def _states_pass(states: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    if not states:
        raise UsageError(
            "POL is not supported for this dataset: it has no Stokes axis and its states are not "
            "known"
        )
    if not set(states) & set(wanted):
        return False
    if set(states) - set(wanted):
        raise UsageError(
            "POL is not supported for this dataset: it has no Stokes axis, so that cutouts keep "
            f"all its states ({' '.join(sorted(states))})"
        )
    return True

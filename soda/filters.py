"""BAND, TIME and POL where they can be told from the product's ObsCore row.

An image with a single bin along an axis is either wholly within a filter or wholly outside. Cutting
along a spectral, time or polarization axis of several bins is not supported and refused by name.
"""

from __future__ import annotations

from soda.selection import Interval, Selection
from vodal.errors import UsageError
from vodal.products import Product

__all__ = ["passes"]


def passes(product: Product, selection: Selection) -> bool:
    """Tell whether a product is within the selection's BAND, TIME and POL.

    Raises
    ------
    UsageError
        If the product would have to be cut along that axis, or its extent is not known.
    """
    return (
        _interval_passes(product, selection.band_m, "BAND", ("em_min", "em_max", "em_xel"))
        and _interval_passes(product, selection.time_mjd, "TIME", ("t_min", "t_max", "t_xel"))
        and _states_pass(product, selection.pol)
    )


def _number(product: Product, column: str) -> float | None:
    value = product.obscore.get(column)
    return float(value) if isinstance(value, int | float) else None


def _interval_passes(
    product: Product, wanted: Interval | None, name: str, columns: tuple[str, str, str]
) -> bool:
    if wanted is None:
        return True
    low, high, bins = (_number(product, column) for column in columns)
    if bins is not None and bins > 1:
        raise UsageError(
            f"{name} is not supported for this dataset: it has {bins:.0f} bins along that axis, "
            "and cutouts keep them all"
        )
    if low is None or high is None:
        raise UsageError(f"{name} is not supported for this dataset: its extent is not known")
    return low <= wanted.high and high >= wanted.low


def _states_pass(product: Product, wanted: tuple[str, ...]) -> bool:
    if not wanted:
        return True
    text = product.obscore.get("pol_states")
    if not isinstance(text, str) or not text.strip("/ "):
        raise UsageError("POL is not supported for this dataset: its states are not known")
    states = {state for state in text.strip("/ ").split("/") if state}
    if not states & set(wanted):
        return False
    if states - set(wanted):
        raise UsageError(
            f"POL is not supported for this dataset: cutouts keep all its states "
            f"({' '.join(sorted(states))})"
        )
    return True

"""Which HiPS in colour a collection has, and of which bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hips.color.settings import ColorSettings
from hips.publish import hips_name
from vodal.products import Product

__all__ = ["bands_of_color", "color_bands", "colors_of", "middle_wavelength"]


def color_bands(
    images: Mapping[str, int], waves_m: Mapping[str, float]
) -> tuple[str, str, str] | None:
    """Choose three bands for red, green and blue: the reddest, the bluest and one between.

    Parameters
    ----------
    images
        How many there are of each band.
    waves_m
        Middle wavelength of each band in metres, 0 if it is not known.

    Returns
    -------
    tuple or None
        None if fewer than three bands have a wavelength. Of more than three, the three with most
        images.
    """
    known = [band for band in images if band and waves_m[band] > 0.0]
    if len(known) < 3:
        return None
    most = sorted(known, key=lambda band: (-images[band], band))[:3]
    red, green, blue = sorted(most, key=lambda band: -waves_m[band])
    return red, green, blue


def colors_of(
    collection: str, colors: Mapping[str, ColorSettings]
) -> dict[str, ColorSettings | None]:
    """Give the colour HiPS that a collection may have, by name; None for one of no settings.

    Parameters
    ----------
    collection
        Its name.
    colors
        All that are set (`HipsSettings.color`).
    """
    own = {name: one for name, one in colors.items() if one.collection == collection}
    return {**own} if own else {hips_name(collection, "color"): None}


def middle_wavelength(products: Iterable[Product]) -> float:
    """Give the middle wavelength of a band in metres, 0 if none of its products tells."""
    for product in products:
        low, high = product.obscore.get("em_min"), product.obscore.get("em_max")
        if isinstance(low, int | float) and isinstance(high, int | float) and low > 0.0:
            return 0.5 * (float(low) + float(high))
    return 0.0


def bands_of_color(
    images: Mapping[str, int], waves_m: Mapping[str, float], name: str,
    asked: ColorSettings | None,
) -> tuple[tuple[str, ...], list[str]]:  # fmt: skip
    """Give the bands of a colour HiPS.

    Parameters
    ----------
    images, waves_m
        As of `color_bands`.
    name
        Of the HiPS.
    asked
        What is set for it.

    Returns
    -------
    bands
        None at all if it cannot be made; where the settings name none, in the order red, green,
        blue.
    notes
        Why not.
    """
    if asked is None or not asked.bands:
        chosen = color_bands(images, waves_m) or ()
        if chosen or asked is None:
            return chosen, []
        return (), [f"hips.color.{name}: not made, as it needs three bands with a wavelength"]
    absent = [band for band in asked.bands if band not in images]
    if not absent:
        return asked.bands, []
    there = ", ".join(band for band in images if band) or "none"
    note = (
        f"hips.color.{name}: not made, as there is no band {', '.join(absent)}; "
        f"the bands with images are {there}"
    )
    return (), [note]

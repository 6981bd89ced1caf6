"""What each image's values are multiplied with, so that all mean the same.

Interpolation keeps surface brightness: a value comes out as it was. Values that are counts in a
pixel are the larger, the larger the pixel is; for them, each is divided by the solid angle of its
pixel, and what comes out is multiplied by that of the new pixel. The sum over a star is then what
it was, whatever the pixels and their distortion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from soda.stitch.inputs import Input
from soda.stitch.request import StitchRequest
from vodal.errors import UsageError
from vodal.fits.calibration import is_per_area

__all__ = ["Scaling", "make_scaling"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How values are brought together."""

    factors: tuple[float, ...]
    """Of each image, by its zero point."""
    weights: tuple[float, ...]
    """Of each image in the mean."""
    flux: bool
    """Whether the total flux is kept rather than the surface brightness."""
    unit: str
    """Of all images; empty if they have several or none."""
    zero_point_mag: float | None
    """Of the result."""
    notes: tuple[str, ...]


def make_scaling(inputs: Sequence[Input], asked: StitchRequest) -> Scaling:
    """Decide how the values of images are brought together.

    Raises
    ------
    UsageError
        If the request cannot be followed with these images.
    """
    units = {one.unit for one in inputs}
    notes = []
    kinds = {is_per_area(unit) for unit in units}
    if asked.conserved == "auto" and len(kinds) > 1:
        raise UsageError(
            f"the images' units are {', '.join(sorted(unit or 'none' for unit in units))}, some for"
            " each pixel and some for an area; ask for CONSERVE=flux or CONSERVE=brightness"
        )
    flux = asked.conserved == "flux" or (asked.conserved == "auto" and kinds == {False})
    if len(units) > 1:
        notes.append(f"units differ: {', '.join(sorted(unit or 'none' for unit in units))}")
    factors, zero_point = [1.0] * len(inputs), None
    if asked.photometry == "zeropoint":
        known = [one.zero_point_mag for one in inputs]
        points = [point for point in known if point is not None]
        if len(points) == len(inputs):
            # The first image keeps its values.
            zero_point = points[0]
            factors = [10.0 ** (0.4 * (zero_point - point)) for point in points]
        elif points:
            notes.append(
                f"{len(inputs) - len(points)} of {len(inputs)} images have no zero point, so none"
                " was brought to a common one"
            )
    return Scaling(
        tuple(factors),
        _weights(inputs, asked),
        flux,
        units.pop() if len(units) == 1 else "",
        zero_point,
        tuple(notes),
    )


def _weights(inputs: Sequence[Input], asked: StitchRequest) -> tuple[float, ...]:
    if asked.combination != "weighted":
        return (1.0,) * len(inputs)
    weights = []
    for one in inputs:
        if one.exposure_s is None:
            raise UsageError(
                f"STACK=weighted needs exposure times, and {one.name} has none; ask for STACK=mean"
            )
        weights.append(one.exposure_s)
    return tuple(weights)

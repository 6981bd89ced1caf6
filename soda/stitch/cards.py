"""Headers of a stitched image, and the table of the images that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from soda.encode import Part
from soda.header import Provenance
from soda.stitch.inputs import Input
from soda.stitch.request import Rules, StitchRequest
from soda.stitch.scaling import Scaling
from vodal.fits.headers import comment_cards, text_cards, value_card

__all__ = ["coverage_part", "image_part", "inputs_part"]

_COMMON: Final = ("TELESCOP", "INSTRUME", "FILTER", "OBJECT")
"""Kept where all images say the same."""
_MOST_NAMED: Final = 999
"""As many as keywords can number; the table of inputs has all."""
_COLUMNS: Final = (
    ("obs_publisher_did", "", "dataset, or file"),
    ("weight", "1D", "of the image where images overlap"),
    ("factor", "1D", "of the values, by the zero point"),
    ("binning", "1J", "pixels along a side averaged first"),
)
"""Of the table of inputs: name, format, meaning."""


def image_part(
    values: NDArray[np.float32],
    wcs: WCS,
    area_arcsec2: float,
    inputs: Sequence[Input],
    scaling: Scaling,
    asked: StitchRequest,
    rules: Rules,
    provenance: Provenance,
) -> Part:
    """Make the primary HDU.

    Parameters
    ----------
    values
        The image, rows first.
    wcs
        Its coordinates.
    area_arcsec2
        Of a pixel in its middle.
    inputs, scaling
        The images that it was made of, and how.
    asked
        The request.
    rules
        The first keyword of zero points is written.
    provenance
        Where it comes from.
    """
    cards = [
        value_card("SIMPLE", "T", "conforms to FITS standard"),
        *_structure(values),
        value_card("EXTEND", "T", "there are extensions"),
        *_coordinates(wcs),
    ]
    if scaling.unit:
        cards += text_cards("BUNIT", scaling.unit)
    cards += _common(inputs)
    if scaling.zero_point_mag is not None and scaling.flux:
        keyword = rules.zero_point_keywords[0] if rules.zero_point_keywords else "MAGZERO"
        cards.append(value_card(keyword, repr(scaling.zero_point_mag), "magnitude of a total of 1"))
    kept = "flux" if scaling.flux else "brightness"
    cards += [
        value_card("NCOMBINE", str(len(inputs)), "images stitched, see the table INPUTS"),
        *text_cards("STSTACK", asked.combination, "what became of overlaps"),
        *text_cards("STSAMPL", asked.sampling, "how the images were sampled"),
        *text_cards("STCONS", kept, "what was kept: flux or surface brightness"),
        value_card("PIXAR_A2", f"{area_arcsec2:.12G}", "[arcsec2] pixel in the middle"),
        *provenance.cards(),
        *_names(inputs),
    ]
    for note in scaling.notes:
        cards += comment_cards("HISTORY", note)
    return Part(cards, values)


def coverage_part(values: NDArray[np.float32], wcs: WCS, asked: StitchRequest) -> Part:
    """Make the extension that tells the weight of each pixel."""
    what = "exposure time" if asked.combination == "weighted" else "number of images"
    cards = [
        *text_cards("XTENSION", "IMAGE", "image extension"),
        *_structure(values),
        value_card("PCOUNT", "0"),
        value_card("GCOUNT", "1"),
        *text_cards("EXTNAME", "COVERAGE", f"{what} of each pixel"),
        *(text_cards("BUNIT", "s") if asked.combination == "weighted" else ()),
        *_coordinates(wcs),
    ]
    return Part(cards, values)


def inputs_part(inputs: Sequence[Input], scaling: Scaling, binnings: Sequence[int]) -> Part:
    """Make the table of the images that were used."""
    names = [one.name.encode("ascii", "replace") for one in inputs]
    width = max(map(len, names))
    table = np.zeros(
        len(names),
        [("did", f"S{width}"), ("weight", ">f8"), ("factor", ">f8"), ("binning", ">i4")],
    )
    table["did"], table["binning"] = names, binnings
    table["weight"], table["factor"] = scaling.weights, scaling.factors
    cards = [
        *text_cards("XTENSION", "BINTABLE", "binary table extension"),
        value_card("BITPIX", "8"),
        value_card("NAXIS", "2"),
        value_card("NAXIS1", str(table.itemsize), "bytes of a row"),
        value_card("NAXIS2", str(len(table)), "rows"),
        value_card("PCOUNT", "0"),
        value_card("GCOUNT", "1"),
        value_card("TFIELDS", str(len(_COLUMNS)), "columns"),
        *text_cards("EXTNAME", "INPUTS", "the images that were stitched"),
    ]
    for k, (name, form, comment) in enumerate(_COLUMNS, 1):
        cards += text_cards(f"TTYPE{k}", name, comment)
        cards += text_cards(f"TFORM{k}", form or f"{width}A")
    return Part(cards, table.tobytes())


def _structure(values: NDArray[np.float32]) -> list[str]:
    return [
        value_card("BITPIX", "-32", "bits of a value; negative for floats"),
        value_card("NAXIS", "2", "number of axes"),
        value_card("NAXIS1", str(values.shape[1])),
        value_card("NAXIS2", str(values.shape[0])),
    ]


def _coordinates(wcs: WCS) -> list[str]:
    header = wcs.to_header(relax=True)
    header.remove("MJDREF", ignore_missing=True)
    text = header.tostring(sep="", endcard=False, padding=False)
    return [text[start : start + 80].ljust(80) for start in range(0, len(text), 80)]


def _common(inputs: Sequence[Input]) -> list[str]:
    cards = []
    for keyword in _COMMON:
        values = {_word(one, keyword) for one in inputs}
        if len(values) == 1:
            (value,) = values
            if value:
                cards += text_cards(keyword, value)
    return cards


def _names(inputs: Sequence[Input]) -> list[str]:
    """Name the images that were used, where there are several; one is named by CUTID."""
    if len(inputs) < 2:
        return []
    cards = []
    for number, one in enumerate(inputs[:_MOST_NAMED], 1):
        cards += text_cards(f"CUTID{number:03d}", one.name.encode("ascii", "replace").decode())
    return cards


def _word(one: Input, keyword: str) -> str:
    for header in one.image.headers:
        value = header.get(keyword)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""

"""What a product is: its type, its calibration level and what its pixels measure."""

from __future__ import annotations

import re

from obscore.assembly.context import Context, Values
from vodal.fits.wcs import celestial_axes

__all__ = ["kind", "ucd_of_unit"]

_SUBTYPES: dict[str, re.Pattern[str]] = {
    "mask": re.compile(r"ood|dq|dqm|masks?|msk|bpm|badpix|dqmask"),
    "weight": re.compile(r"oow|wtmap|weights?|wht|invvar|ivar|psfdepth|galdepth"),
    "variance": re.compile(r"varmap|variance"),
    "error": re.compile(r"rms|rmsmap|noisemap|errmap"),
    "exposure": re.compile(r"nexp|expmap|exposuremap|exptimemap"),
}
"""Words of PRODTYPE, IMTYPE and the file's name that say that the pixels are no image of the sky
but go with one."""
_SUBTYPES_OF_CARDS: dict[str, re.Pattern[str]] = {
    "mask": re.compile(r"flags?|quality"),
    "weight": re.compile(r"depth|wt"),
    "variance": re.compile(r"var"),
    "error": re.compile(r"err|errors?|sigma|noise|uncertainty"),
    "exposure": re.compile(r"exposure|coverage"),
    "background": re.compile(r"background|bkg|skymap"),
}
"""Words that say so in those cards only: in a file's name they may be anything."""
_UCDS = {"mask": "meta.code.qual", "weight": "stat.weight", "variance": "stat.variance;phot.flux",
         "error": "stat.error;phot.flux", "exposure": "time.duration;obs.exposure",
         "background": "phot.flux;instr.background"}  # fmt: skip
_ROLES = {"mask": "mask", "quality": "mask", "variance": "variance", "error": "error",
          "weight": "weight"}  # fmt: skip

_COUNT = re.compile(r"adu|dn|dns|counts?|electrons?|e-?|ct|cts|photons?|ph")
_FLUX = re.compile(r"jy|erg|w\b|watt|nanomagg|maggie|magg|photlam|flam|fnu|mjy")

_RAW = re.compile(r"raw|unprocessed", re.IGNORECASE)
_COMBINED = re.compile(
    r"stack(ed)?|coadd(ed)?|co-add|mosaic|tile|combined|resampled|drizzled", re.IGNORECASE
)
_STATES = ("PROCTYPE", "PROCLEVL", "PROCLVL", "PROCSTAT", "PRODTYPE", "PRODLVL", "DATATYPE")
_SEGMENT = re.compile(r"(segment|amp|chan)_?\d+")


def kind(context: Context) -> Values:
    """Give dataproduct_type, dataproduct_subtype, calib_level, o_ucd and o_unit."""
    subtype = _subtype(context)
    unit = context.cards.text("BUNIT")
    return {
        "dataproduct_type": "cube" if _is_cube(context) else "image",
        "dataproduct_subtype": subtype,
        "calib_level": _calib_level(context),
        "o_ucd": _UCDS[subtype] if subtype else ucd_of_unit(unit),
        "o_unit": unit[:64] if unit else None,
    }


def _is_cube(context: Context) -> bool:
    """Tell whether an axis besides the celestial ones has more than one pixel."""
    shape = context.hdu.shape
    sky = {len(shape) - 1 - axis for axis in celestial_axes(context.wcs)}
    return any(size > 1 for axis, size in enumerate(shape) if axis not in sky)


def _subtype(context: Context) -> str | None:
    """Tell whether the pixels are a plane that goes with an image, kept in a file of its own."""
    role = _ROLES.get(context.group.roles.get(context.hdu.number, "image"))
    if role is not None:
        return role
    cards = [context.cards.text(keyword) or "" for keyword in ("PRODTYPE", "IMTYPE", "MAPTYPE")]
    words = [word for text in cards for word in re.split(r"[^a-z0-9]+", text.lower())]
    name = context.candidate.relative.rsplit("/", maxsplit=1)[-1].lower()
    for told, tables in (
        (words, (_SUBTYPES, _SUBTYPES_OF_CARDS)),
        (re.split(r"[^a-z0-9]+", name), (_SUBTYPES,)),
    ):
        for word in told:
            for table in tables:
                for subtype, pattern in table.items():
                    if pattern.fullmatch(word):
                        return subtype
    return None


def ucd_of_unit(unit: str | None) -> str | None:
    """Tell what the pixels measure by their unit."""
    text = (unit or "").lower()
    words = re.findall(r"[a-z-]+", text)
    if _FLUX.search(text):
        return "phot.flux.density"
    if any(_COUNT.fullmatch(word) for word in words):
        return "phot.count"
    if words[:1] == ["k"] or words[:1] == ["mk"]:
        return "phot.antennaTemp" if len(words) == 1 or words[1] != "km" else "phot.flux"
    if words[:1] == ["mag"]:
        return "phot.mag"
    return "phot.flux"


def _calib_level(context: Context) -> int:
    """Tell the level from what the header says of the processing; else that of the collection."""
    cards = context.cards
    if _SEGMENT.fullmatch(context.hdu.name.lower()):
        return 1  # a readout channel of a detector is not assembled yet
    for keyword in _STATES:
        text = cards.text(keyword) or ""
        if _RAW.search(text):
            return 1
        if _COMBINED.search(text):
            return 3
    combined = cards.number("NCOMBINE", "NCOADD", "NSTACK", "NUMIMGS")
    if combined is not None and combined > 1:
        return 3
    if (cards.text("S_RESAMP") or "").upper() == "COMPLETE":
        return 3
    return context.rules.calib_level

"""What a product is: its type, its calibration level and what its pixels measure."""

from __future__ import annotations

import re

from obscore.assembly.context import Context, Values

__all__ = ["UCDS", "kind", "ucd_of_unit"]

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
_PLANE_UCDS = {"mask": "meta.code.qual", "weight": "stat.weight",
               "variance": "stat.variance;phot.flux",
         "error": "stat.error;phot.flux", "exposure": "time.duration;obs.exposure",
         "background": "phot.flux;instr.background"}  # fmt: skip
UCDS = frozenset({*_PLANE_UCDS.values(), "phot.flux.density", "phot.count", "phot.antennaTemp",
                  "phot.flux", "phot.mag"})  # fmt: skip
"""All that the line gives of itself to o_ucd."""
_ROLES = {"mask": "mask", "quality": "mask", "variance": "variance", "error": "error",
          "weight": "weight"}  # fmt: skip

_COUNT = re.compile(r"adu|dn|dns|counts?|electrons?|e-?|ct|cts|photons?|ph")
_FLUX = re.compile(r"jy|erg|w\b|watt|nanomagg|maggie|magg|photlam|flam|fnu|mjy")

_RAW = re.compile(r"raw|unprocessed|level ?1b", re.IGNORECASE)
_COMBINED = re.compile(
    r"stack(ed)?|coadd(ed)?|co-add|mosaic|tile|combined|resampled|drizzled", re.IGNORECASE
)
_STATES = ("PROCTYPE", "PROCLEVL", "PROCLVL", "PROCSTAT", "PRODTYPE", "PRODLVL", "DATATYPE",
           "DATAMODL")  # fmt: skip
_COUNTS = ("NCOMBINE", "NCOADD", "NSTACK", "NUMIMGS", "NDRIZIM")
_SEGMENT = re.compile(r"(segment|amp|chan)_?\d+")


def kind(context: Context) -> Values:
    """Give dataproduct_type, dataproduct_subtype, calib_level, o_ucd and o_unit."""
    with context.of("dataproduct_type"):
        is_cube = _is_cube(context)
        sizes = " x ".join(str(size) for size in reversed(context.hdu.shape))
        context.used(how=f"HDU {context.hdu.number} has {sizes} pixels")
    with context.of("dataproduct_subtype"):
        subtype = _subtype(context)
    with context.of("o_unit"):
        unit = context.cards.text("BUNIT")
    with context.of("o_ucd"):
        ucd = _PLANE_UCDS[subtype] if subtype else ucd_of_unit(context.cards.text("BUNIT"))
        context.say(f"of a plane: {subtype}" if subtype else "the kind of the unit")
    with context.of("calib_level"):
        level = _calib_level(context)
    return {
        "dataproduct_type": "cube" if is_cube else "image",
        "dataproduct_subtype": subtype,
        "calib_level": level,
        "o_ucd": ucd,
        "o_unit": unit[:64] if unit and _measures(subtype, unit) else None,
    }


def _is_cube(context: Context) -> bool:
    """Tell whether an axis besides the celestial ones has more than one pixel."""
    shape = context.hdu.shape
    sky = {len(shape) - 1 - axis for axis in context.sky_axes}
    return any(size > 1 for axis, size in enumerate(shape) if axis not in sky)


def _subtype(context: Context) -> str | None:
    """Tell whether the pixels are a plane that goes with an image, kept in a file of its own."""
    role = _ROLES.get(context.group.roles.get(context.hdu.number, "image"))
    if role is not None:
        context.used(how=f"HDU {context.hdu.number} is the {role} of an image")
        return role
    for keyword in ("PRODTYPE", "IMTYPE", "MAPTYPE"):
        text = context.cards.text(keyword) or ""
        subtype = _named_in(text, (_SUBTYPES, _SUBTYPES_OF_CARDS))
        if subtype is not None:
            context.used(keyword)
            return subtype
    name = context.candidate.relative.rsplit("/", maxsplit=1)[-1]
    subtype = _named_in(name, (_SUBTYPES,))
    context.used(how="a word of the file's name" if subtype is not None else "")
    return subtype


def _named_in(text: str, tables: tuple[dict[str, re.Pattern[str]], ...]) -> str | None:
    for word in re.split(r"[^a-z0-9]+", text.lower()):
        for table in tables:
            for subtype, pattern in table.items():
                if pattern.fullmatch(word):
                    return subtype
    return None


def _measures(subtype: str | None, unit: str) -> bool:
    """Tell whether a unit is of the plane's own values, not copied from its image's header."""
    if subtype == "weight":
        return re.search(r"^1\s*/|-\d", unit) is not None  # one over a variance
    return subtype != "mask"


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
        context.used(how="a readout channel of a detector is not assembled yet")
        return 1
    for keyword in _STATES:
        text = cards.text(keyword) or ""
        level = 1 if _RAW.search(text) else 3 if _COMBINED.search(text) else None
        if level is not None:
            context.used(keyword)
            return level
    for keyword in _COUNTS:
        combined = cards.number(keyword)
        if combined is not None and combined > 1:
            context.used(keyword, how="several images are in it")
            return 3
        if combined is not None:
            break
    if (cards.text("S_RESAMP") or "").upper() == "COMPLETE":
        context.used("S_RESAMP")
        return 3
    context.used(how="that of the collection")
    return context.rules.calib_level

"""The ``properties`` file (HiPS 1.0 section 4.4): what clients and lists know of a HiPS."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from vodal.errors import DataError
from vodal.products import Product

__all__ = [
    "MANDATORY",
    "RECOMMENDED",
    "Provenance",
    "creator_of",
    "format_properties",
    "minute",
    "obs_regime",
    "parse_properties",
    "provenance_of",
    "publisher_of",
]

MANDATORY = (
    "creator_did",
    "obs_title",
    "dataproduct_type",
    "hips_version",
    "hips_release_date",
    "hips_status",
    "hips_tile_format",
    "hips_order",
    "hips_frame",
)
"""Keywords that every HiPS must have."""

RECOMMENDED = (
    "obs_description",
    "prov_progenitor",
    "obs_regime",
    "em_min",
    "em_max",
    "t_min",
    "t_max",
    "hips_creation_date",
    "hips_initial_ra",
    "hips_initial_dec",
    "hips_initial_fov",
)
"""Keywords that every HiPS of the sky should have."""

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*")
_REGIMES = (
    (1e-11, "Gamma-ray"),
    (1e-8, "X-ray"),
    (3.0e-7, "UV"),
    (1.0e-6, "Optical"),
    (1.0e-4, "Infrared"),
    (1e-2, "Millimeter"),
)
_PROGENITORS = 20


def minute(when: datetime) -> str:
    """Write a time as HiPS does: UTC to the minute, ``2026-01-31T04:05Z``."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _clean(value: object) -> str:
    """Put a value on one line; what controls a terminal or ends a line becomes a blank."""
    if isinstance(value, float):
        return f"{value:.12g}"
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def format_properties(values: Mapping[str, object]) -> str:
    """Write keywords and values, one a line; those without a value are left out.

    A tuple is written as several lines of one keyword, where the standard takes that.

    Raises
    ------
    ValueError
        If a keyword has a blank, a ``=`` or another sign that the format does not allow.
    """
    lines = []
    for key, value in values.items():
        if not _KEY.fullmatch(key):
            raise ValueError(f"'{key}' is no keyword of a properties file")
        parts = value if isinstance(value, tuple) else (value,)
        for part in parts:
            text = "" if part is None else _clean(part)
            if text:
                lines.append(f"{key:<20} = {text}\n")
    return "".join(lines)


def parse_properties(text: str) -> dict[str, str]:
    """Read a properties file; the first ``=`` of a line divides keyword and value.

    Raises
    ------
    DataError
        If a line is neither a comment, nor blank, nor has a ``=``.
    """
    values = {}
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise DataError(f"line {number} of the properties has no '='")
        values[key.strip()] = value.strip()
    return values


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the products of a HiPS tell about it, in the units of the properties."""

    t_min_mjd: float | None
    t_max_mjd: float | None
    em_min_m: float | None
    em_max_m: float | None
    unit: str
    """Empty if the products differ."""
    instruments: tuple[str, ...]
    facilities: tuple[str, ...]
    collections: tuple[str, ...]
    count: int
    ucds: tuple[str, ...] = ()
    """Of the pixel values."""
    creators: tuple[str, ...] = ()
    """Who made the products."""
    references: tuple[str, ...] = ()
    """Bibliographic codes."""

    def keywords(self) -> dict[str, object]:
        """Give the keywords of coverage in time and energy, and of origin."""
        regimes = obs_regime(self.em_min_m, self.em_max_m)
        origin = "; ".join(
            part
            for part in (
                f"{self.count} images" if self.count else "",
                ", ".join(self.collections[:_PROGENITORS]),
                ", ".join(self.facilities[:_PROGENITORS]),
                ", ".join(self.instruments[:_PROGENITORS]),
            )
            if part
        )
        return {
            "prov_progenitor": origin,
            "obs_regime": regimes or None,
            "data_ucd": self.ucds[:_PROGENITORS],
            "bib_reference": self.references[:_PROGENITORS],
            "client_category": f"Image/{regimes}" if regimes else None,
            "em_min": self.em_min_m,
            "em_max": self.em_max_m,
            "t_min": self.t_min_mjd,
            "t_max": self.t_max_mjd,
        }


def obs_regime(em_min_m: float | None, em_max_m: float | None) -> str:
    """Name the part of the spectrum of a range of wavelengths; empty if it is not known."""
    if em_min_m is None or em_max_m is None:
        return ""
    middle = math.sqrt(max(em_min_m, 1e-30) * max(em_max_m, 1e-30))
    return next((name for limit, name in _REGIMES if middle < limit), "Radio")


def creator_of(did: str, creators: Sequence[str]) -> str:
    """Name who made a HiPS, where the settings do not.

    Parameters
    ----------
    did
        IVOID of the HiPS.
    creators
        Those who made its images, who count first; else the authority of the IVOID does.
    """
    return ", ".join(creators[:_PROGENITORS]) or publisher_of(did).removeprefix("ivo://")


def publisher_of(did: str) -> str:
    """Give the IVOID of the authority of an IVOID; empty if it has none."""
    match = re.match(r"ivo://[^/?#]+", did)
    return match[0] if match else ""


def _finite(products: Sequence[Product], name: str) -> list[float]:
    values = (product.obscore.get(name) for product in products)
    return [
        float(value)
        for value in values
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]


def _words(products: Iterable[Product], name: str) -> tuple[str, ...]:
    values = {str(product.obscore.get(name) or "").strip() for product in products}
    return tuple(sorted(values - {""}))


def provenance_of(products: Sequence[Product]) -> Provenance:
    """Sum up the ObsCore rows of products."""
    units = {str(product.obscore.get("o_unit") or "") for product in products}
    return Provenance(
        t_min_mjd=min(_finite(products, "t_min"), default=None),
        t_max_mjd=max(_finite(products, "t_max"), default=None),
        em_min_m=min(_finite(products, "em_min"), default=None),
        em_max_m=max(_finite(products, "em_max"), default=None),
        unit=units.pop() if len(units) == 1 else "",
        instruments=_words(products, "instrument_name"),
        facilities=_words(products, "facility_name"),
        collections=tuple(sorted({product.collection for product in products})),
        count=len(products),
        ucds=_words(products, "o_ucd"),
        creators=_words(products, "obs_creator_name"),
        references=_words(products, "bib_reference"),
    )

"""The table of bands: from the names of a filter and an instrument to wavelengths.

The bands themselves are data (``bands.toml``); the settings can add to them. What needs a rule is
here: filters named by a number (HST, JWST), and names that carry centre and width with them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

from obscore.mapping.band import BandSettings

__all__ = ["Band", "BandTable", "band_table"]


def _metres(value: float, unit: float) -> float:
    """Convert to metres without the noise of binary fractions in the last digits."""
    return float(f"{value * unit:.9g}")


@dataclass(frozen=True, slots=True)
class Band:
    """A filter."""

    name: str
    """Short, the same for the same band of different instruments: ``g``, ``Ks``, ``F606W``."""
    em_min_m: float | None
    em_max_m: float | None
    """Vacuum wavelengths at half of the peak; None where the band is not known."""
    origin: str = field(default="", compare=False)
    """Where it is from: a system of the table, the settings ..."""

    @property
    def known(self) -> bool:
        """Whether the wavelengths are known."""
        return self.em_min_m is not None

    @property
    def told(self) -> str:
        """Say in a few words which band it is."""
        if not self.known:
            return "a filter that the table of bands lacks"
        return f"filter {self.name}, by {self.origin}"


@dataclass(frozen=True, slots=True)
class _Entry:
    names: re.Pattern[str]
    band: Band


@dataclass(frozen=True, slots=True)
class _System:
    name: str
    where: re.Pattern[str] | None
    keywords: tuple[str, ...]
    entries: tuple[_Entry, ...]


_CENTRE_WIDTH = re.compile(r"(\S+)\s.*?\b(\d{4,5}(?:\.\d*)?)\s+(\d{2,4}(?:\.\d*)?)$")
"""``r DECam SDSS c0002 6415.0 1480.0``: name, maker's number, centre and width in Angstrom."""
_BY_NUMBER = re.compile(r"F(\d{3,4})(W2|LP|[WMNX])", re.IGNORECASE)
_RELATIVE_WIDTH = {"W": 0.22, "W2": 0.7, "M": 0.09, "N": 0.013, "X": 0.35}
"""Width over centre of HST's and JWST's wide, medium, narrow and extremely wide filters."""
_IN_CARD, _IN_NAME = "centre and width in its name", "the number in its name"
_REMEMBERED = 4096
_JWST = re.compile(r"jwst|nircam|niriss|miri|webb", re.IGNORECASE)


class BandTable:
    """The built-in bands and those of the settings.

    Parameters
    ----------
    own
        Bands of the settings by the filter's text in lower case; of several such tables the first
        goes before the others.
    """

    def __init__(self, *own: dict[str, BandSettings]) -> None:
        self._own = own
        self._systems, self._hst = _builtin()
        self._found: dict[tuple[str, str], Band] = {}
        self._keywords: dict[str, tuple[str, ...]] = {}

    def keywords(self, instrument: str) -> tuple[str, ...]:
        """Give the additional cards in which an instrument tells its filter."""
        found = self._keywords.get(instrument)
        if found is None:
            if len(self._keywords) >= _REMEMBERED:
                self._keywords.clear()
            found = self._keywords[instrument] = tuple(
                keyword
                for system in self._systems
                if system.where is not None and system.where.search(instrument)
                for keyword in system.keywords
            )
        return found

    def find(self, text: str, instrument: str) -> Band:
        """Give the band of a filter.

        Parameters
        ----------
        text
            Of the FILTER card, or whatever names the filter.
        instrument
            Names of instrument and telescope, joined by a blank; may be empty.

        Returns
        -------
        Band
            Named as the text's first word and without wavelengths if the filter is not known.
        """
        key = (text, instrument)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            found = self._found[key] = self._find(text, instrument)
        return found

    def _find(self, text: str, instrument: str) -> Band:
        """Look the band up; `find` remembers it."""
        text = " ".join(text.split())
        own = self._of_settings(text, instrument)
        if own is not None:
            return own
        numbers = _CENTRE_WIDTH.fullmatch(text)
        if numbers:
            centre, width = float(numbers[2]), float(numbers[3])
            if 0.0 < width < 2.0 * centre:
                name = self._of_table(numbers[1], instrument) or Band(numbers[1], None, None)
                low, high = centre - width / 2.0, centre + width / 2.0
                return Band(name.name, _metres(low, 1e-10), _metres(high, 1e-10), _IN_CARD)
        for word in (text, text.split(" ", maxsplit=1)[0] if text else ""):
            band = self._of_table(word, instrument) or self._by_number(word, instrument)
            if band is not None:
                return band
        return Band(text[:64], None, None)

    def _of_settings(self, text: str, instrument: str) -> Band | None:
        for table in self._own:
            own = table.get(text.lower())
            if own is None:
                continue
            if own.instrument and not re.search(own.instrument, instrument, re.IGNORECASE):
                continue
            low, high = _metres(own.min_nm, 1e-9), _metres(own.max_nm, 1e-9)
            return Band(own.name or text, low, high, "the bands of the mapping")
        return None

    def _of_table(self, word: str, instrument: str) -> Band | None:
        known = [
            s for s in self._systems if s.where is not None and s.where.search(instrument or "")
        ]
        general = [system for system in self._systems if system.where is None]
        for system in (*known, *general):
            # 'r' and 'R', 'i' and 'I' are different filters: case counts, but for long names.
            flags_ignored = len(word) > 2
            for entry in system.entries:
                if entry.names.fullmatch(word):
                    return entry.band
            for entry in system.entries if flags_ignored else ():
                if re.fullmatch(entry.names.pattern, word, re.IGNORECASE):
                    return entry.band
        return None

    def _by_number(self, word: str, instrument: str) -> Band | None:
        match = _BY_NUMBER.fullmatch(word)
        if match is None:
            return None
        name, number, kind = word.upper(), int(match[1]), match[2].upper()
        if _JWST.search(instrument):
            centre = number * 10e-9
        elif name in self._hst:
            return self._hst[name]
        elif len(match[1]) == 4 and number > 1100:
            centre = number * 10e-9
        else:
            # HST's infrared cameras count in 10 nm; its bluest filters below F200 are long-pass.
            centre = number * (10e-9 if number < 200 and kind != "LP" else 1e-9)
        if kind == "LP":
            return Band(
                name, _metres(centre, 1.0), max(1.05e-6, _metres(1.2 * centre, 1.0)), _IN_NAME
            )
        half = centre * _RELATIVE_WIDTH[kind] / 2.0
        return Band(name, _metres(centre - half, 1.0), _metres(centre + half, 1.0), _IN_NAME)


@lru_cache(maxsize=1)
def _builtin() -> tuple[tuple[_System, ...], dict[str, Band]]:
    text = files("obscore.assembly").joinpath("bands.toml").read_text("utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    systems = []
    for item in data["system"]:
        where = re.compile(item["where"], re.IGNORECASE) if "where" in item else None
        entries, origin = [], f"the table of bands: {item['name']}"
        for key, band in item["bands"].items():
            low, high = band["range"]
            names = "|".join(f"(?:{name})" for name in band.get("names", [re.escape(key)]))
            found = Band(band.get("as", key), _metres(low, 1e-9), _metres(high, 1e-9), origin)
            entries.append(_Entry(re.compile(names), found))
        keywords = tuple(item.get("keyword", ()))
        systems.append(_System(item["name"], where, keywords, tuple(entries)))
    hst = {
        name: Band(name, _metres(low, 1e-9), _metres(high, 1e-9), "the table of bands: HST")
        for name, (low, high) in data["hst"].items()
    }
    return tuple(systems), hst


@lru_cache(maxsize=64)
def _cached(own: tuple[tuple[tuple[str, BandSettings], ...], ...]) -> BandTable:
    return BandTable(*(dict(table) for table in own))


def band_table(*own: dict[str, BandSettings]) -> BandTable:
    """Give the table with the bands of the settings; the same one for the same settings."""
    return _cached(tuple(tuple(sorted(table.items(), key=lambda item: item[0])) for table in own))

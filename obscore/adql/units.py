"""Units as VOUnits 1.1 writes them: what they mean, and the factor from one to another.

The server reads units out of queries, so this module is small, exact and bounded: rational factors
stay rational until the end (a degree is 3600 arcsec, not 3599.9999), and no text can make it work
long. Units of columns are also read in the spellings of FITS and CDS (``m2``, ``km s-1``).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from typing_extensions import override

__all__ = ["MAX_UNIT", "Unit", "UnitError", "factor", "parse_unit", "power", "product"]

MAX_UNIT = 100
"""Characters that a unit may have."""

_MAX_POWER = 24
"""Highest exponent, up or down."""

_SI = {
    "y": -24, "z": -21, "a": -18, "f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "c": -2, "d": -1,
    "da": 1, "h": 2, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18, "Z": 21, "Y": 24,
}  # fmt: skip
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60, "Zi": 70, "Yi": 80}

_PREFIXES = {name: Fraction(10) ** exponent for name, exponent in _SI.items()} | {
    name: Fraction(2) ** exponent for name, exponent in _BINARY.items()
}

_ONES = "m s g A K mol cd deg mag dB bit ct ph pix voxel beam chan bin adu"

_DERIVED = """
Hz=1 s-1|N=1000 g m s-2|Pa=1 N m-2|J=1 N m|W=1 J s-1|C=1 A s|V=1 J C-1|Ohm=1 V A-1|S=1 Ohm-1
F=1 C V-1|Wb=1 V s|T=1 Wb m-2|H=1 Wb A-1|lm=1 cd sr|lx=1 lm m-2
min=60 s|h=3600 s|d=86400 s|a=31557600 s|yr=1 a|Ba=31556925.9746784 s|ta=31556925.216 s
arcmin=1/60 deg|arcsec=1/3600 deg|mas=1/3600000 deg
Angstrom=1e-10 m|angstrom=1e-10 m|AU=149597870700 m|au=1 AU|lyr=9460730472580800 m
solRad=695700000 m|solLum=3.828e26 W|solMass=1.988409870698051e33 g|u=1.66053906892e-24 g
erg=1e-7 J|eV=1.602176634e-19 J|Ry=13.605693122990 eV|Jy=1e-26 W m-2 Hz-1
G=1e-4 T|barn=1e-28 m2|byte=8 bit|B=8 bit|count=1 ct|photon=1 ph|pixel=1 pix|%=1/100
"""
"""Units by those before them; the values of physics are those of CODATA 2022 and IAU 2015."""

_NO_PREFIX = frozenset(["%", "Angstrom", "angstrom", "AU", "au", "Ba", "dB", "mas", "ta"])
_BINARY_PREFIXES = frozenset(["bit", "byte", "B"])


class UnitError(ValueError):
    """A unit that is none, or cannot be converted; the message says why."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    """A factor and powers of base units."""

    exact: Fraction
    inexact: float
    dimensions: tuple[tuple[str, Fraction], ...]

    def times(self, other: _Meaning, power: Fraction = Fraction(1)) -> _Meaning:
        """Multiply by a power of another."""
        if power.denominator == 1:
            exact, inexact = other.exact**power.numerator, other.inexact**power.numerator
        else:
            exact, inexact = Fraction(1), (float(other.exact) * other.inexact) ** float(power)
        dimensions = _added(self.dimensions, other.dimensions, power)
        return _Meaning(self.exact * exact, self.inexact * inexact, dimensions)


_Powers = tuple[tuple[str, Fraction], ...]


def _added(one: _Powers, two: _Powers, power: Fraction) -> _Powers:
    powers = dict(one)
    for name, own in two:
        powers[name] = powers.get(name, Fraction(0)) + own * power
    return tuple((name, powers[name]) for name in sorted(powers) if powers[name])


_ONE = _Meaning(Fraction(1), 1.0, ())


def _known_units() -> dict[str, _Meaning]:
    known = {name: _Meaning(Fraction(1), 1.0, ((name, Fraction(1)),)) for name in _ONES.split()}
    rad = math.degrees(1.0)
    known["rad"] = _Meaning(Fraction(1), rad, (("deg", Fraction(1)),))
    known["sr"] = _ONE.times(known["rad"], Fraction(2))
    for definition in _DERIVED.replace("\n", "|").strip("|").split("|"):
        name, _, value = definition.partition("=")
        number, *terms = value.split()
        meaning = _Meaning(Fraction(number), 1.0, ())
        for term in terms:
            symbol = term.rstrip("-0123456789")
            meaning = meaning.times(known[symbol], Fraction(term[len(symbol) :] or 1))
        known[name] = meaning
    known["pc"] = _Meaning(Fraction(648000), 1.0 / math.pi, ()).times(known["AU"])
    known["D"] = _Meaning(Fraction(1, 3 * 10**29), 1.0, ()).times(known["C"]).times(known["m"])
    known["R"] = _Meaning(Fraction(10) ** 10, 1.0 / (4.0 * math.pi), ())
    for name, exponent in (("ph", 1), ("m", -2), ("s", -1), ("sr", -1)):
        known["R"] = known["R"].times(known[name], Fraction(exponent))
    return known


_KNOWN = _known_units()


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as it is written and as it is meant."""

    meaning: _Meaning
    symbols: _Powers
    """Symbols with their prefixes, and their powers."""
    scale: str = ""
    """The number before the symbols, as written."""

    @override
    def __str__(self) -> str:
        words = []
        for symbol, exponent in sorted(self.symbols, key=lambda item: item[1] < 0):
            if exponent == 1:
                words.append(symbol)
            elif exponent.denominator == 1:
                words.append(f"{symbol}**{exponent}")
            else:
                # A decimal where there is one: readers take two fractions for two slashes.
                decimal = float(exponent)
                power = f"{decimal}" if Fraction(f"{decimal}") == exponent else f"{exponent}"
                words.append(f"{symbol}**({power})")
        return self.scale + ".".join(words)


def _symbol(name: str) -> _Meaning:
    if name in _KNOWN:
        return _KNOWN[name]
    for length in (1, 2):
        prefix, base = name[:length], name[length:]
        if base not in _KNOWN or base in _NO_PREFIX or prefix not in _PREFIXES:
            continue
        if prefix in _BINARY and base not in _BINARY_PREFIXES:
            continue
        return _Meaning(_PREFIXES[prefix], 1.0, ()).times(_KNOWN[base])
    raise UnitError(f"'{name}' is no unit of VOUnits")


_SCALE = re.compile(
    r"10(?:\*\*(?P<power>[+-]?[0-9]{1,3}|\([+-]?[0-9]{1,3}\)))"
    r"|(?P<number>(?:0\.[0-9]{1,20}|[1-9][0-9]{0,19}(?:\.[0-9]{1,20})?)(?:[eE][+-]?[0-9]{1,3})?)"
)
_TOKEN = re.compile(r"(?P<name>[A-Za-z]+|%)|(?P<power>\*\*)|(?P<sign>[./()])")
_EXPONENT = re.compile(
    r"(?P<whole>[+-]?[0-9]{1,4})"
    r"|\((?P<inner>[+-]?[0-9]{1,4}(?:\.[0-9]{1,8}|/[1-9][0-9]{0,3})?)\)"
)
_LOOSE = (
    (re.compile(r"^([0-9.]+(?:[eE][+-]?[0-9]+)?)\s+"), r"\1"),
    (re.compile(r"\^"), "**"),
    (re.compile(r"(?<=[A-Za-z)])(?<![0-9][eE])(?=[+-]?[0-9])"), "**"),
    (re.compile(r"\s*/\s*"), "/"),
    (re.compile(r"\s*(?<!\*)\*(?!\*)\s*|(?<=[A-Za-z0-9)])\s+(?=[A-Za-z(])"), "."),
    (re.compile(r"^([0-9+.eE*-]*[0-9])\.(?=[A-Za-z])"), r"\1"),
)
"""What FITS, CDS and people write, and how VOUnits has it."""


class _Parser:
    """Reads the grammar of VOUnits 1.1, appendix C."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Unit:
        scale, number = "", _ONE
        found = _SCALE.match(self._text)
        if found is not None:
            scale = found.group()
            self._at = found.end()
            number = _Meaning(_scale(found), 1.0, ())
        elif self._text.startswith("10"):
            scale, self._at, number = "10", 2, _Meaning(Fraction(10), 1.0, ())
        symbols: _Powers = ()
        if self._at < len(self._text) or not scale:
            symbols = self._complete()
        if self._at < len(self._text):
            raise self._error()
        meaning = number
        for symbol, exponent in symbols:
            if abs(exponent) > _MAX_POWER:
                raise UnitError(f"the exponent of '{symbol}' is too large")
            meaning = meaning.times(_symbol(symbol), exponent)
        return Unit(meaning, symbols, scale)

    def _complete(self) -> _Powers:
        symbols = self._expression()
        while self._accept("."):
            symbols = _added(symbols, self._expression(), Fraction(1))
        if self._accept("/"):
            symbols = _added(symbols, self._expression(), Fraction(-1))
        return symbols

    def _expression(self) -> _Powers:
        if self._accept("("):
            return self._in_parentheses()
        found = _TOKEN.match(self._text, self._at)
        if found is None or found["name"] is None:
            if self._text[self._at : self._at + 1] in {"'", '"'}:
                raise UnitError("a unit in quotes has no meaning that can be converted")
            raise self._error()
        self._at = found.end()
        name = found["name"]
        if self._accept("("):
            inner = self._in_parentheses()
            if name != "sqrt":
                raise UnitError(f"'{name}(...)' of a unit cannot be converted")
            return _added((), inner, Fraction(1, 2))
        _symbol(name)
        return ((name, self._exponent()),) if self._accept("**") else ((name, Fraction(1)),)

    def _in_parentheses(self) -> _Powers:
        self._depth += 1
        if self._depth > 10:
            raise UnitError("too many parentheses")
        symbols = self._complete()
        if not self._accept(")"):
            raise self._error()
        self._depth -= 1
        return _added((), symbols, self._exponent()) if self._accept("**") else symbols

    def _exponent(self) -> Fraction:
        found = _EXPONENT.match(self._text, self._at)
        if found is None:
            raise self._error()
        self._at = found.end()
        return Fraction(found["whole"] or found["inner"])

    def _accept(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _error(self) -> UnitError:
        rest = self._text[self._at :]
        return UnitError(f"'{self._text}' is no unit of VOUnits: it breaks off before '{rest}'")


def _scale(found: re.Match[str]) -> Fraction:
    if found["power"] is None:
        return Fraction(found["number"])
    return Fraction(10) ** int(found["power"].strip("()"))


@lru_cache(maxsize=512)
def parse_unit(text: str, *, loose: bool = False) -> Unit:
    """Read a unit.

    Parameters
    ----------
    text
        In VOUnits; empty for a number without unit.
    loose
        Whether the spellings of FITS and CDS are understood too.

    Raises
    ------
    UnitError
        If it is none that has a meaning here.
    """
    if len(text) > MAX_UNIT:
        raise UnitError(f"a unit has at most {MAX_UNIT} characters")
    if not text:
        return Unit(_ONE, ())
    if not loose:
        return _Parser(text).whole()
    try:
        return _Parser(text).whole()
    except UnitError:
        respelled = text.strip()
        for pattern, written in _LOOSE:
            respelled = pattern.sub(written, respelled)
        first, *others = respelled.split("/")
        if len(others) > 1 and "(" not in respelled:
            respelled = f"{first}/({'.'.join(others)})"
        return _Parser(respelled).whole()


def factor(unit: Unit, to: Unit) -> float:
    """Give the number by which a value in one unit is multiplied for another.

    Raises
    ------
    UnitError
        If they measure different things.
    """
    if unit.meaning.dimensions != to.meaning.dimensions:
        raise UnitError(f"'{unit}' and '{to}' measure different things")
    try:
        exact = float(unit.meaning.exact / to.meaning.exact)
        ratio = exact * (unit.meaning.inexact / to.meaning.inexact)
    except (OverflowError, ZeroDivisionError):
        ratio = math.inf
    if not (math.isfinite(ratio) and ratio > 0.0):
        raise UnitError(f"the factor from '{unit}' to '{to}' is out of range")
    return ratio


def product(one: str | None, two: str | None, exponent: int = 1) -> str | None:
    """Give the unit of a value times a power of another; None where it is not certain.

    Parameters
    ----------
    one, two
        As columns have them; a number without unit makes the result uncertain.
    exponent
        Of the second: -1 to divide.
    """
    if not one or not two:
        return None
    try:
        left, right = parse_unit(one, loose=True), parse_unit(two, loose=True)
    except UnitError:
        return None
    if left.scale or right.scale:
        return None
    symbols = _added(left.symbols, right.symbols, Fraction(exponent))
    return str(Unit(_ONE, symbols)) or None


def power(unit: str | None, exponent: Fraction) -> str | None:
    """Give the unit of a power of a value; None where it is not certain."""
    if not unit or abs(exponent) > _MAX_POWER:
        return None
    try:
        known = parse_unit(unit, loose=True)
    except UnitError:
        return None
    if known.scale:
        return None
    return str(Unit(_ONE, _added((), known.symbols, exponent))) or None

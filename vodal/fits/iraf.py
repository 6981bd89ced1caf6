"""IRAF's TNX and ZPX, rewritten as TAN and ZPN with SIP polynomials.

Both are a plain projection with a polynomial correction of the intermediate world coordinates
(xi, eta) in degrees. The surfaces ``lngcor`` and ``latcor`` are written over WAT cards as eight
numbers (type, orders in xi and eta, kind of cross terms, the ranges of xi and eta) and the
coefficients (NOAO's notes on TNX and ZPX). As (xi, eta) depend linearly on the pixels, a surface
is a polynomial of the pixels too, and so can be written as SIP, which astropy applies to any
projection.

wcslib has a reader of WAT cards of its own. Cards of uneven length, as IRAF writes them, make it
fail and write past its memory (seen in astropy 8.0.2), so it is never shown any.
"""

from __future__ import annotations

import math
import re

import numpy as np
from astropy.io import fits
from numpy.polynomial import chebyshev, legendre
from numpy.typing import NDArray

from vodal.errors import DataError

__all__ = ["without_iraf"]

Floats = NDArray[np.float64]

_CHEBYSHEV, _LEGENDRE, _POLYNOMIAL = 1, 2, 3
_MAX_ORDER = 10
_SIP_DEGREE = 9
_WAT_CARD = re.compile(r"WAT\d+_\d{3}$")


def without_iraf(header: fits.Header) -> tuple[fits.Header, tuple[Floats, Floats] | None]:
    """Take the WAT cards out of a header and give TNX and ZPX as projections with SIP.

    Parameters
    ----------
    header
        Of an image; it is not changed.

    Returns
    -------
    tuple
        A header without WAT cards whose CTYPE has TAN or ZPN in place of TNX or ZPX; and the SIP
        coefficients A and B, square arrays indexed by the powers of the pixel offsets u and v, or
        None where there is no TNX or ZPX.

    Raises
    ------
    DataError
        If the correction is missing, broken or cannot be rewritten, so that positions would be
        off.
    """
    if not any(keyword.startswith("WAT") for keyword in header) and not _kinds(header):
        return header, None
    plain = header.copy()
    for keyword in {key for key in plain if _WAT_CARD.match(key)}:
        plain.remove(keyword, remove_all=True)
    kinds = _kinds(header)
    if not kinds:
        return plain, None
    if len(set(kinds.values())) > 1 or set(kinds) != {1, 2}:
        raise DataError("TNX and ZPX are understood as axes 1 and 2 of one kind only")
    attributes = {axis: _attributes(header, axis) for axis in kinds}
    first = str(header["CTYPE1"]).strip().upper()
    longitude = 1 if first.startswith(("RA", "GLON", "ELON", "SLON")) else 2
    for axis, kind in kinds.items():
        ctype = str(header[f"CTYPE{axis}"]).strip()
        plain[f"CTYPE{axis}"] = ctype[:-3] + {"TNX": "TAN", "ZPX": "ZPN"}[kind]
    if kinds[1] == "ZPX":
        _set_radial(plain, attributes, 3 - longitude)
    return plain, _sip(attributes, _matrix(header), longitude)


def _kinds(header: fits.Header) -> dict[int, str]:
    """Give the axes that are TNX or ZPX."""
    ctypes = {axis: str(header.get(f"CTYPE{axis}", "")).strip().upper() for axis in range(1, 10)}
    return {axis: name[-3:] for axis, name in ctypes.items() if name.endswith(("-TNX", "-ZPX"))}


def _sip(
    attributes: dict[int, dict[str, str]], matrix: Floats, longitude: int
) -> tuple[Floats, Floats]:
    """Give SIP's A and B for the surfaces of the two axes."""
    # Surfaces are functions of (xi, eta): the longitude's coordinate first, whatever the axes.
    rows = matrix[[longitude - 1, 2 - longitude]]
    corrections = {}
    for axis, name in ((longitude, "lngcor"), (3 - longitude, "latcor")):
        text = attributes[axis].get(name)
        surface = np.zeros((1, 1)) if text is None else _surface(text)
        corrections[axis] = _in_pixels(surface, rows)
    size = max(3, *(len(correction) for correction in corrections.values()))
    if size > _SIP_DEGREE + 1:
        raise DataError(f"the TNX or ZPX correction is of a degree over {_SIP_DEGREE}")
    stacked = np.zeros((2, size, size))
    for axis, correction in corrections.items():
        stacked[axis - 1, : len(correction), : len(correction)] = correction
    a, b = np.einsum("ij,jkl->ikl", np.linalg.inv(matrix), stacked)
    return a, b


def _attributes(header: fits.Header, axis: int) -> dict[str, str]:
    """Join the WAT cards of an axis and take its attributes apart."""
    parts = []
    for number in range(1, 1000):
        keyword = f"WAT{axis}_{number:03d}"
        if keyword not in header:
            break
        # Each card but the last holds 68 characters; the trailing blanks that FITS drops count.
        parts.append(str(header[keyword]).ljust(68))
    if not parts:
        raise DataError(
            f"the distortion of {header[f'CTYPE{axis}']} is missing: no WAT{axis} cards"
        )
    text = "".join(parts)
    found = re.findall(r"(\w+)\s*=\s*(?:\"([^\"]*)\"|(\S+))", text)
    return {name.lower(): quoted or plain for name, quoted, plain in found}


def _set_radial(header: fits.Header, attributes: dict[int, dict[str, str]], latitude: int) -> None:
    """Set the PV cards of ZPN from ZPX's ``projp`` attributes, where there are any."""
    found: dict[int, float] = {}
    for attribute in attributes.values():
        for name, text in attribute.items():
            match = re.match(r"projp(\d{1,2})$", name)
            if match is not None:
                found[int(match.group(1))] = _float(text)
    for power, value in found.items():
        header[f"PV{latitude}_{power}"] = value


def _float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"a WAT card of the TNX or ZPX correction holds '{text[:40]}'")
    return value


def _matrix(header: fits.Header) -> Floats:
    """Give the 2 x 2 matrix from pixel offsets to degrees."""
    if any(f"CD{i}_{j}" in header for i in (1, 2) for j in (1, 2)):
        matrix = [[float(header.get(f"CD{i}_{j}", 0.0)) for j in (1, 2)] for i in (1, 2)]
        result = np.array(matrix)
    else:
        scale = np.diag([float(header.get(f"CDELT{i}", 1.0)) for i in (1, 2)])
        turn = [[float(header.get(f"PC{i}_{j}", i == j)) for j in (1, 2)] for i in (1, 2)]
        result = scale @ np.array(turn)
    if abs(np.linalg.det(result)) == 0.0:
        raise DataError("the world coordinates are broken: the CD or PC matrix is singular")
    return result


def _surface(text: str) -> Floats:
    """Read a surface as coefficients of the powers of xi and eta in degrees."""
    numbers = [_float(word) for word in text.split()]
    if len(numbers) < 8:
        raise DataError("a WAT card of the TNX or ZPX correction is cut")
    kind, x_order, y_order, cross = (int(number) for number in numbers[:4])
    x_min, x_max, y_min, y_max = numbers[4:8]
    sound = 1 <= x_order <= _MAX_ORDER and 1 <= y_order <= _MAX_ORDER and x_min < x_max
    if not sound or kind not in {1, 2, 3} or cross not in {0, 1, 2} or y_min >= y_max:
        raise DataError("the TNX or ZPX correction is of an unknown form")
    terms = _terms(x_order, y_order, cross)
    if len(numbers) - 8 < len(terms):
        raise DataError("a WAT card of the TNX or ZPX correction is cut")
    total = np.zeros((1, 1))
    for coefficient, (m, n) in zip(numbers[8:], terms, strict=False):
        x_part = _basis(kind, m, x_min, x_max)
        y_part = _basis(kind, n, y_min, y_max)
        total = _plus(total, coefficient * np.outer(x_part, y_part))
    return total


def _terms(x_order: int, y_order: int, cross: int) -> list[tuple[int, int]]:
    """Give the powers of the coefficients in their order: xi runs fastest."""
    highest = max(x_order, y_order) - 1
    terms = []
    for n in range(y_order):
        for m in range(x_order):
            allowed = (m == 0 or n == 0) if cross == 0 else cross == 1 or m + n <= highest
            if allowed:
                terms.append((m, n))
    return terms


def _basis(kind: int, degree: int, low: float, high: float) -> Floats:
    """Give one basis function as coefficients of powers, the range normalised to [-1, 1]."""
    unit = np.zeros(degree + 1)
    unit[degree] = 1.0
    if kind == _POLYNOMIAL:
        return unit
    powers = chebyshev.cheb2poly(unit) if kind == _CHEBYSHEV else legendre.leg2poly(unit)
    line = np.polynomial.Polynomial([-(high + low) / (high - low), 2.0 / (high - low)])
    return np.asarray(np.polynomial.Polynomial(powers)(line).coef, np.float64)


def _in_pixels(surface: Floats, rows: Floats) -> Floats:
    """Substitute xi and eta by their linear forms in the pixel offsets u and v."""
    xi = np.array([[0.0, rows[0, 1]], [rows[0, 0], 0.0]])
    eta = np.array([[0.0, rows[1, 1]], [rows[1, 0], 0.0]])
    total = np.zeros((1, 1))
    xi_power = np.ones((1, 1))
    for m in range(surface.shape[0]):
        power = xi_power
        for n in range(surface.shape[1]):
            if surface[m, n]:
                total = _plus(total, surface[m, n] * power)
            power = _times(power, eta)
        xi_power = _times(xi_power, xi)
    return _square(total)


def _square(a: Floats) -> Floats:
    """Drop rows and columns beyond the total degree, which are zeros."""
    i, j = np.nonzero(a)
    degree = int((i + j).max(initial=0))
    square = np.zeros((degree + 1, degree + 1))
    rows, columns = min(a.shape[0], degree + 1), min(a.shape[1], degree + 1)
    square[:rows, :columns] = a[:rows, :columns]
    return square


def _plus(a: Floats, b: Floats) -> Floats:
    total = np.zeros(np.maximum(a.shape, b.shape))
    total[: a.shape[0], : a.shape[1]] += a
    total[: b.shape[0], : b.shape[1]] += b
    return total


def _times(a: Floats, b: Floats) -> Floats:
    product = np.zeros((a.shape[0] + b.shape[0] - 1, a.shape[1] + b.shape[1] - 1))
    for i in range(b.shape[0]):
        for j in range(b.shape[1]):
            if b[i, j]:
                product[i : i + a.shape[0], j : j + a.shape[1]] += b[i, j] * a
    return product

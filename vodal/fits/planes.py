"""Which HDUs of a file make up one product: an image with the planes that belong to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from vodal.fits.index import FileIndex, HduIndex
from vodal.fits.values import HeaderValues
from vodal.fits.wcs import claims_sky

__all__ = ["PlaneGroup", "Role", "group_planes", "plane_role"]

Role = Literal["image", "mask", "variance", "error", "quality", "weight", "other"]

_ROLES: Mapping[Role, frozenset[str]] = {
    "image": frozenset(
        ["IMAGE", "SCI", "SCIENCE", "DATA", "SIGNAL", "INTENSITY", "FLUX", "PRIMARY"]
    ),
    "mask": frozenset(["MASK", "MSK", "BPM", "BADPIX", "BADPIXEL"]),
    "variance": frozenset(["VARIANCE", "VAR", "STAT", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT"]),
    "error": frozenset(
        [
            "ERR",
            "ERROR",
            "ERRORS",
            "SIGMA",
            "RMS",
            "STDDEV",
            "STD",
            "UNC",
            "UNCERT",
            "UNCERTAINTY",
            "NOISE",
        ]
    ),
    "quality": frozenset(
        ["DQ", "QUALITY", "FLAG", "FLAGS", "DATAQUALITY", "PIXELDQ", "GROUPDQ", "QUAL"]
    ),
    "weight": frozenset(
        [
            "WHT",
            "WEIGHT",
            "WGT",
            "IVAR",
            "INVVAR",
            "COVERAGE",
            "EXPMAP",
            "EXPOSURE",
            "EXP",
            "WMAP",
            "NEXP",
            "CON",
        ]
    ),
}
_ORDER = tuple(_ROLES)
_NO_IMAGE = frozenset(["D2IMARR", "WCSDVARR", "WCSCORR", "THUMBNAIL", "THUMB", "PREVIEW"])
"""EXTNAMEs of pixels that are no picture of the sky."""

_CTYPES = tuple(f"CTYPE{k}" for k in range(1, 100))
_SKY = re.compile(r"(RA|DEC|[GES]L(ON|AT))-", re.IGNORECASE)


@dataclass(frozen=True)
class PlaneGroup:
    """One product of a file."""

    hdus: tuple[int, ...]
    """Numbers of the HDUs, the image first, then in the order of the file."""
    roles: dict[int, Role]
    """By HDU number."""
    label: str
    """What tells it from the file's others: ``EXTNAME,EXTVER``, or the HDU's number."""


@dataclass
class _Candidate:
    """An image HDU and what its header says of its grid."""

    hdu: HduIndex
    role: Role | None
    shape: tuple[int, ...]
    """Of the two celestial axes; of the last two axes where there are none."""
    axes: list[int]
    """The FITS axes of the sky; empty where it has no celestial coordinates."""

    @cached_property
    def grid(self) -> tuple[str, ...]:
        """The cards of its celestial coordinates."""
        return _grid(self.hdu.image_values, self.axes)

    @cached_property
    def grid_cards(self) -> tuple[str | None, ...]:
        """These cards as they are: grids of the same ones are the same."""
        header = self.hdu.image_values
        return tuple(header.card(keyword) for keyword in _grid_keywords(tuple(self.axes)))


def group_planes(index: FileIndex) -> tuple[PlaneGroup, ...]:
    """Find the products of a file.

    Images on the same celestial grid (the same size and the same coordinates) are one product.
    A plane without coordinates of its own (a mask, a variance ...) belongs to the image of its
    size and EXTVER, or else to the last image of its size before it. An image without
    coordinates is a product only where no image of the file has any, so that the file can be
    refused with that reason.

    Parameters
    ----------
    index
        Of the file.

    Returns
    -------
    tuple of PlaneGroup
        In the order of the file; empty if there is no image.
    """
    candidates = [_candidate(hdu) for hdu in index.hdus if _is_image(hdu)]
    some_have_sky = any(candidate.axes for candidate in candidates)
    groups: list[list[_Candidate]] = []
    orphans: list[_Candidate] = []
    for candidate in candidates:
        if some_have_sky and not candidate.axes:
            orphans.append(candidate)
            continue
        group = _find(groups, candidate)
        if group is not None:
            group.append(candidate)
        else:
            groups.append([candidate])
    for orphan in orphans:
        home = _home(orphan, groups)
        if home is not None:
            home.append(orphan)
    return _named([_group(group) for group in groups], index)


def _is_image(hdu: HduIndex) -> bool:
    picture = hdu.kind in {"image", "compressed"} and len(hdu.shape) >= 2
    return picture and hdu.name not in _NO_IMAGE


def _candidate(hdu: HduIndex) -> _Candidate:
    header = hdu.image_values
    axes = _sky_axes(header) if claims_sky(header) else []
    if len(axes) == 2 and max(axes) <= len(hdu.shape):
        shape = tuple(hdu.shape[len(hdu.shape) - axis] for axis in axes)
    else:
        shape = hdu.shape[:-3:-1]
    return _Candidate(hdu, plane_role(hdu), shape, axes)


def _sky_axes(header: HeaderValues) -> list[int]:
    """Give the FITS axes (1-based) whose CTYPE is one of the sky."""
    keywords = header.keywords
    return [
        k for k, name in enumerate(_CTYPES, 1) if name in keywords and _SKY.match(str(header[name]))
    ]


def _grid(header: HeaderValues, axes: list[int]) -> tuple[str, ...]:
    """Give the celestial coordinates as text, equal for equal grids.

    Numbers are rounded to ten digits, as planes of one image are at times written with less.
    """
    values = []
    for keyword in _grid_keywords(tuple(axes)):
        value = header.get(keyword, "")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        values.append(f"{float(value):.10g}" if number else str(value).strip())
    return tuple(values)


@lru_cache(maxsize=256)
def _grid_keywords(axes: tuple[int, ...]) -> tuple[str, ...]:
    """Give the keywords of the celestial coordinates that make a grid."""
    keywords: list[str] = []
    for k in axes:
        keywords += [f"{name}{k}" for name in ("CTYPE", "CRVAL", "CRPIX", "CDELT", "CROTA")]
        keywords += [f"{name}{k}_{j}" for name in ("CD", "PC") for j in axes]
    return tuple(keywords)


def plane_role(hdu: HduIndex) -> Role | None:
    """Give the role that EXTNAME or EXTTYPE names, as a whole or by its last or first word."""
    return _role_named(hdu.name, str(hdu.image_values.get("EXTTYPE", "")).strip().upper())


@lru_cache(maxsize=1024)
def _role_named(*texts: str) -> Role | None:
    for text in texts:
        words = [word for word in re.split(r"[^A-Z0-9]+|_", text) if word]
        for name in (text, *words[-1:], *words[:1]):
            for role in _ORDER:
                if name in _ROLES[role]:
                    return role
    return None


def _find(groups: list[list[_Candidate]], one: _Candidate) -> list[_Candidate] | None:
    """Find the group on whose grid an image lies.

    Planes of one EXTVER may have coordinates of an earlier state of the reduction (HST's ERR and
    DQ keep those that SCI had before it was aligned): for them, nearly the same is the same.
    """
    fitting = [group for group in groups if group[0].shape == one.shape]
    for group in fitting:
        if group[0].axes == one.axes and group[0].grid_cards == one.grid_cards:
            return group
        if group[0].grid == one.grid:
            return group
    if one.role in {None, "image"}:
        return None
    for group in fitting:
        image = group[0]
        if image.role == "image" and image.hdu.extver == one.hdu.extver and _near(image, one):
            return group
    return None


def _near(image: _Candidate, other: _Candidate) -> bool:
    """Tell whether two grids have the same axes and reference positions within 0.05 degrees."""
    one, two = image.hdu.image_values, other.hdu.image_values
    for k in _sky_axes(one):
        types = (str(header.get(f"CTYPE{k}", "")).strip() for header in (one, two))
        if len({ctype.removesuffix("-SIP") for ctype in types}) != 1:
            return False
        values = (one.get(f"CRVAL{k}"), two.get(f"CRVAL{k}"))
        if not all(isinstance(value, int | float) for value in values):
            return False
        if abs(float(values[0]) - float(values[1])) > 0.05:
            return False
    return True


def _home(orphan: _Candidate, groups: list[list[_Candidate]]) -> list[_Candidate] | None:
    """Find the image that a plane without coordinates belongs to."""
    if orphan.role in {None, "image"}:
        return None
    # Whole arrays too, as the celestial axes of the image need not be its first two.
    fitting = [
        group
        for group in groups
        if group[0].shape == orphan.shape or group[0].hdu.shape == orphan.hdu.shape
    ]
    # Where EXTVER numbers the images it tells; where all have the same one the order does.
    fitting = [g for g in fitting if g[0].hdu.extver == orphan.hdu.extver] or fitting
    before = [group for group in fitting if group[0].hdu.number < orphan.hdu.number]
    if before:
        return before[-1]
    return fitting[0] if fitting else None


def _group(members: list[_Candidate]) -> PlaneGroup:
    named = [member for member in members if member.role == "image"]
    unnamed = [member for member in members if member.role is None]
    first = (named or unnamed or members)[0]
    rest = sorted((m for m in members if m is not first), key=lambda member: member.hdu.number)
    roles: dict[int, Role] = {first.hdu.number: first.role or "image"}
    roles |= {member.hdu.number: member.role or "other" for member in rest}
    hdus = (first.hdu.number, *(member.hdu.number for member in rest))
    return PlaneGroup(hdus, roles, "")


def _named(groups: list[PlaneGroup], index: FileIndex) -> tuple[PlaneGroup, ...]:
    """Give each group its label; a name that several have is replaced by the HDU's number."""
    labels = []
    for group in groups:
        hdu = index.hdus[group.hdus[0]]
        labels.append(f"{hdu.name},{hdu.extver}" if hdu.name else str(hdu.number))
    return tuple(
        PlaneGroup(
            group.hdus,
            group.roles,
            label if labels.count(label) == 1 else str(group.hdus[0]),
        )
        for group, label in zip(groups, labels, strict=True)
    )

"""Differences of overlapping images, and the corrections that make them vanish.

Least squares as of Montage's mBgModel (Berriman et al. 2003), whose planes are found image by
image in turn; here all are found at once, from the sparse normal equations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hips.background.kept import Plane
from vodal.errors import UsageError

__all__ = ["Difference", "difference", "fit"]

Floats = NDArray[np.float64]

_LEAST_CELLS: Final = 5
"""That two images must have in common to be compared."""
_CLIPPED: Final = 3.0
"""Standard deviations beyond which a cell or an overlap does not count as measured."""
_ROUNDS: Final = 8
_ADDED_UP: Final = 1.5
"""Slopes of more than so many times their usual size add up errors."""
_TIED: Final = 1e-9
"""Weight of corrections of zero beside the mean weight of the differences."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What two images differ by: sums over the cells that they have in common.

    A cell's difference is a product of its row, (1, u, v) of the first image and the same of the
    second negated, and the six numbers of both planes.
    """

    first: int
    second: int
    count: int
    noise: float
    """Standard deviation of a cell's difference."""
    products: Floats
    """Of the rows with each other, (6, 6)."""
    values: Floats
    """Of the rows with the differences, (6,)."""
    slopes: Floats
    """Of the differences along u and v of the first image; NaN if they cannot be told."""
    slope_variances: Floats


def difference(
    images: tuple[int, int], samples: tuple[Any, Any], known: tuple[Plane | None, Plane | None]
) -> Difference | None:
    """Compare two images.

    Parameters
    ----------
    images
        Their numbers.
    samples
        Arrays of `hips.background.samples.SAMPLE`.
    known
        The corrections that they have, applied before.

    Returns
    -------
    Difference or None
        None if they have too few cells in common.
    """
    first, second = samples
    _, a, b = np.intersect1d(first["cell"], second["cell"], assume_unique=True, return_indices=True)
    if a.size < _LEAST_CELLS:
        return None
    parts = [_terms(first[a]), _terms(second[b])]
    off = first["value"][a] - second["value"][b]
    for sign, part, plane in zip((1.0, -1.0), parts, known, strict=True):
        if plane is not None:
            off = off - sign * (part @ (plane.offset, plane.slope_x, plane.slope_y))
    local = parts[0]
    if a.size < 4 * _LEAST_CELLS or np.linalg.cond(local) > 100.0:
        local = local[:, :1]
    good, noise = _unclipped(local, off)
    rows = np.concatenate([parts[0], -parts[1]], axis=1)[good]
    slopes, variances = np.full(2, np.nan), np.full(2, np.nan)
    if local.shape[1] > 1:
        inverse = np.linalg.pinv(local[good].T @ local[good])
        slopes = (inverse @ local[good].T @ off[good])[1:]
        variances = noise**2 * np.diag(inverse)[1:]
    return Difference(
        *images, int(good.sum()), noise, rows.T @ rows, rows.T @ off[good], slopes, variances
    )


def _terms(samples: Any) -> Floats:
    ones = np.ones(len(samples))
    return np.stack([ones, samples["u"].astype(float), samples["v"].astype(float)], axis=1)


def _unclipped(rows: Floats, values: Floats) -> tuple[NDArray[np.bool_], float]:
    """Tell which values a robust fit goes by, and the noise of these."""
    residual = values - np.median(values)
    good = np.ones(values.shape, np.bool_)
    for _ in range(_ROUNDS):
        noise = 1.4826 * float(np.median(np.abs(residual[good])))
        kept = np.abs(residual) <= _CLIPPED * noise
        if kept.sum() < max(_LEAST_CELLS, values.size // 4):
            break
        solution = np.linalg.lstsq(rows[kept], values[kept], rcond=None)[0]
        residual = values - rows @ solution
        if (kept == good).all():
            break
        good = kept
    return good, 1.4826 * float(np.median(np.abs(residual[good])))


def fit(
    differences: Sequence[Difference], unknown: Sequence[int], usual: float | None = None
) -> dict[int, Plane]:
    """Find corrections of images.

    Offsets; and slopes with them, if the differences show more of these than noise. Slopes
    are held by their own usual size: where overlaps do not tell them they are none, rather than
    any. (If some images had none at all, all others would have to bend towards them.) Where all
    images are curved alike, slopes would add up from image to image: if they come out larger than
    the differences are, there are none. Overlaps that stay off by much more than the others count
    less.

    Parameters
    ----------
    differences
        Of pairs of which one image at least is unknown.
    unknown
        Numbers of the images whose corrections are to be found; those of the others are applied.
    usual
        Root mean square of the slopes of these others, which new ones are held to; None if there
        are no others.

    Returns
    -------
    dict of Plane
        By image. The mean of images that hang together is what it was, unless they overlap others
        whose corrections are known.

    Raises
    ------
    UsageError
        If SciPy is not installed.
    """
    place = {number: k for k, number in enumerate(unknown)}
    if not differences:
        return {number: Plane(0.0) for number in unknown}
    system = _System(differences, place)
    found, spread = system.solve(0.0), system.slopes()
    if usual is not None:
        spread = min(spread, usual)
    if spread > 0.0:
        sloped = system.solve(spread)
        if np.sqrt(np.mean(sloped[:, 1:] ** 2)) <= _ADDED_UP * spread:
            found = sloped
    return {number: Plane(*map(float, found[k])) for number, k in place.items()}


class _System:
    """The normal equations."""

    def __init__(self, differences: Sequence[Difference], place: Mapping[int, int]) -> None:
        self._count = len(place)
        self._sides = np.array(
            [[place.get(one.first, -1), place.get(one.second, -1)] for one in differences]
        )
        noise = np.array([one.noise for one in differences])
        middle = float(np.median(noise))
        noise = np.clip(noise, 0.2 * middle, None) if middle > 0.0 else np.ones(len(noise))
        self._weights = 1.0 / noise**2
        self._cells = np.array([one.count for one in differences])
        self._products = np.stack([one.products for one in differences])
        self._values = np.stack([one.values for one in differences])
        self._differences = differences

    def slopes(self) -> float:
        """Give the standard deviation of the images' slopes; 0 if it is not above the noise."""
        slopes = np.stack([one.slopes for one in self._differences])
        variances = np.stack([one.slope_variances for one in self._differences])
        sides = np.repeat((self._sides >= 0).sum(axis=1)[:, None], 2, axis=1)
        good = np.isfinite(slopes) & (variances > 0.0)
        excess = slopes[good] ** 2 / variances[good]
        if not excess.size or excess.sum() < excess.size + 3.0 * np.sqrt(2.0 * excess.size):
            return 0.0
        ratio = (slopes[good] ** 2 - variances[good]) / sides[good]
        return float(np.sqrt(max(0.0, np.average(ratio, weights=1.0 / variances[good]))))

    def solve(self, spread: float) -> Floats:
        """Give the planes, (image, 3).

        Parameters
        ----------
        spread
            Standard deviation of slopes; 0 for offsets alone.
        """
        wanted = np.tile([True, spread > 0.0, spread > 0.0], self._count)
        trust = np.ones(len(self._sides))
        found = np.zeros((self._count, 3))
        for _ in range(_ROUNDS):
            found = self._solved(wanted, self._weights * trust, spread)
            off = np.abs(self._residuals(found))
            usual = 1.4826 * float(np.median(off))
            # Of as many overlaps as corrections nothing is left to judge by.
            if len(off) <= self._count or not usual > 0.0:
                break
            before, trust = trust, np.minimum(1.0, _CLIPPED * usual / np.maximum(off, usual))
            if np.allclose(before, trust, rtol=1e-3):
                break
        return found

    def _residuals(self, found: Floats) -> Floats:
        """Give the mean difference that is left of each overlap."""
        both = np.where((self._sides >= 0)[:, :, None], found[self._sides], 0.0).reshape(-1, 6)
        left = self._values[:, 0] - np.einsum("pk,pk->p", self._products[:, 0], both)
        mean: Floats = left / self._cells
        return mean

    def _solved(self, wanted: NDArray[np.bool_], weights: Floats, spread: float) -> Floats:
        try:
            from scipy import sparse  # noqa: PLC0415 - an extra
            from scipy.sparse.linalg import splu  # noqa: PLC0415
        except ImportError:
            raise UsageError(
                "hips.background = 'match' needs SciPy; run: pip install \"skylane[match]\""
            ) from None
        unknowns = np.where(
            (self._sides >= 0)[:, :, None], 3 * self._sides[:, :, None] + np.arange(3), -1
        ).reshape(-1, 6)
        rows = np.repeat(unknowns[:, :, None], 6, axis=2)
        columns = np.repeat(unknowns[:, None, :], 6, axis=1)
        used = (rows >= 0) & (columns >= 0)
        size = 3 * self._count
        products = self._products * weights[:, None, None]
        matrix = sparse.coo_matrix(
            (products[used], (rows[used], columns[used])), shape=(size, size)
        ).tocsc()
        target = np.zeros(size)
        np.add.at(target, unknowns[unknowns >= 0], (self._values * weights[:, None])[unknowns >= 0])
        offsets = matrix.diagonal()[::3]
        ties = np.empty((self._count, 3))
        ties[:, 0] = _TIED * offsets[offsets > 0.0].mean()
        ties[:, 1:] = spread**-2 if spread > 0.0 else 1.0
        matrix = (matrix + sparse.diags(ties.ravel())).tocsc()[:, wanted][wanted]
        found = np.zeros(size)
        found[wanted] = splu(
            matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
        ).solve(target[wanted])
        return self._centred(found.reshape(-1, 3))

    def _centred(self, found: Floats) -> Floats:
        """Take the mean of offsets from images that hang together and on no known ones."""
        from scipy import sparse  # noqa: PLC0415

        both = (self._sides >= 0).all(axis=1)
        first, second = self._sides[both].T
        links = sparse.coo_matrix(
            (np.ones(len(first)), (first, second)), shape=(self._count, self._count)
        )
        count, group = sparse.csgraph.connected_components(links, directed=False)
        tied = np.zeros(count, np.bool_)
        tied[group[self._sides[~both].max(axis=1)]] = True
        mean = np.bincount(group, found[:, 0], count) / np.bincount(group, minlength=count)
        found[:, 0] -= np.where(tied, 0.0, mean)[group]
        return found

"""Which images overlap, as far as can be told from the tiles that they reach."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Final

__all__ = ["pairs_of", "shared_parts"]

_ALL: Final = 16
"""Images of a tile up to which each is compared with each."""

Reach = Mapping[int, Sequence[tuple[int, int]]]
"""By tile number, the images that reach it: number and touched parts (bits)."""


def pairs_of(tiles: Reach, settled: Container[int]) -> list[tuple[int, int]]:
    """Give pairs of images that may overlap, the lower number first, neighbours near each other.

    Of a tile with many images each is compared with those that are 1, 2, 4, 8 ... places further
    on in the order of their numbers: their cost is not that of all pairs, and they hang together.

    Parameters
    ----------
    tiles
        Which images reach which tile.
    settled
        Images that need not be compared with each other.
    """
    found: dict[tuple[int, int], None] = {}
    for npix in sorted(tiles):
        images = sorted(tiles[npix])
        for near, far in _compared(len(images)):
            (a, some), (b, others) = images[near], images[far]
            if some & others and not (a in settled and b in settled):
                found[a, b] = None
    return list(found)


def _compared(count: int) -> Iterator[tuple[int, int]]:
    steps = range(1, count) if count <= _ALL else [1 << k for k in range((count - 1).bit_length())]
    return ((near, near + step) for step in steps for near in range(count - step))


def shared_parts(tiles: Reach) -> dict[int, list[tuple[int, int]]]:
    """Give, by image, the tiles that it shares with others: number and shared parts (bits)."""
    shared: dict[int, list[tuple[int, int]]] = {}
    for npix, images in tiles.items():
        once = twice = 0
        for _, bits in images:
            twice |= once & bits
            once |= bits
        for number, bits in images:
            if bits & twice:
                shared.setdefault(number, []).append((npix, bits & twice))
    return shared

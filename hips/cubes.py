"""The HiPS of cubes: one for each channel and polarization state, as of an image, or of means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hips.channels import ChannelList
from hips.choice import ChannelChoice
from hips.images import Planes
from hips.publish import plane_name
from hips.settings import HipsSettings
from hips.summary import Skipped
from vodal.errors import DataError, SkylaneError
from vodal.fits.cubes import WAVELENGTH, CubePlanes, planes_of
from vodal.fits.index import FileIndex
from vodal.fits.opened import OpenImage
from vodal.products import Product

__all__ = ["CubeHips", "PlaneHips", "is_cube"]


def is_cube(product: Product, open_index: Callable[[Product], FileIndex]) -> bool:
    """Tell whether the image of a product has several planes, as its row says."""
    if product.obscore.get("dataproduct_type") != "cube":
        return False
    try:
        shape = _shape(open_index(product), product)
    except SkylaneError:
        return False
    return sum(size > 1 for size in shape) > 2


def _shape(index: FileIndex, product: Product) -> tuple[int, ...]:
    for hdu in index.hdus:
        if hdu.number == product.hdus[0]:
            return hdu.shape
    raise DataError(f"the file has no HDU {product.hdus[0]}")


@dataclass(frozen=True, slots=True)
class PlaneHips:
    """What one HiPS of cubes is made of."""

    name: str
    title: str
    products: Sequence[Product]
    """The cubes that have the plane, each with what its row would say of the plane alone."""
    planes: Mapping[str, Planes]
    """By identifier, as `hips.build.build` takes them."""


@dataclass(frozen=True, slots=True)
class _Cube:
    product: Product
    planes: CubePlanes
    numbers: tuple[int, ...]
    """Of its channels; a single 0 if it has none."""

    def places(self, state: str, numbers: Sequence[int]) -> Planes:
        """Give the planes of a state and channels, as far as it has them."""
        if state not in self.planes.states:
            return ()
        at = self.planes.states.index(state)
        wanted = set(numbers)
        return tuple(
            self.planes.place(at, k) for k, number in enumerate(self.numbers) if number in wanted
        )

    def row(self, state: str, numbers: Sequence[int]) -> Product:
        """Give the product as if it had these channels alone."""
        told: dict[str, object] = {"pol_states": f"/{state}/", "pol_xel": 1}
        channels, wanted = self.planes.channels, set(numbers)
        if channels is not None:
            at = [k for k, number in enumerate(self.numbers) if number in wanted]
            told["em_xel"] = len(at)
            if channels.kind == WAVELENGTH:
                told["em_min"] = float(channels.low[at].min())
                told["em_max"] = float(channels.high[at].max())
        return replace(self.product, obscore={**self.product.obscore, **told})


class CubeHips:
    """Decides which HiPS are made of cubes.

    Parameters
    ----------
    cubes
        The products.
    open_index
        Gives the byte index of a product's file.
    output
        The folder that holds the HiPS; the numbers of channels are kept there.
    settings
        How many channels there may be.
    collection
        Of the cubes.
    name, title
        Of an image HiPS of the cubes' band; what tells the plane is put behind.
    fresh
        Number the channels anew.
    """

    def __init__(
        self,
        cubes: Sequence[Product],
        open_index: Callable[[Product], FileIndex],
        output: Path,
        settings: HipsSettings,
        *,
        collection: str,
        name: str,
        title: str,
        fresh: bool = False,
    ) -> None:
        self._name, self._title, self._collection = name, title, collection
        self._settings = settings
        self.skipped: list[Skipped] = []
        """Cubes that cannot be used."""
        self.notes: list[str] = []
        path = output / f".{name}.channels.json"
        kept = None if fresh else ChannelList.load(path)
        self._channels = kept or ChannelList()
        self._cubes = [
            cube
            for product in sorted(cubes, key=lambda one: one.did)
            if (cube := self._look(product, open_index)) is not None
        ]
        states = {state for cube in self._cubes for state in cube.planes.states}
        if kept is None and len(states) == 1:
            (self._channels.plain,) = states
        if self._cubes:
            self._channels.save(path)

    def _look(self, product: Product, open_index: Callable[[Product], FileIndex]) -> _Cube | None:
        try:
            index = open_index(product)
            first = (0,) * (len(_shape(index, product)) - 2)
            image = OpenImage(product.uri, index, product.hdus, planes=(first,))
            try:
                planes = planes_of(image)
            finally:
                image.close()
            numbers = [0] if planes.channels is None else self._channels.number(planes.channels)
        except SkylaneError as error:
            self.skipped.append(Skipped(product.did, product.file_name, error.message))
            return None
        return _Cube(product, planes, tuple(numbers))

    def hips(self) -> Iterator[PlaneHips]:
        """Give the HiPS that are to be made, by state and channel."""
        wanted = self._wanted()
        groups: list[tuple[int, ...]] = [(number,) for number in wanted]
        if self._settings.cubes == "mean" and any(wanted):
            groups = [tuple(wanted)]
        for state in sorted({state for cube in self._cubes for state in cube.planes.states}):
            for numbers in groups:
                found = {
                    cube.product.did: (cube, places)
                    for cube in self._cubes
                    if (places := cube.places(state, numbers))
                }
                if found:
                    yield PlaneHips(
                        *self._names(state, numbers),
                        [cube.row(state, numbers) for cube, _ in found.values()],
                        {did: places for did, (_, places) in found.items()},
                    )

    def _names(self, state: str, numbers: tuple[int, ...]) -> tuple[str, str]:
        named = state if state != self._channels.plain else ""
        words = [self._title, *([f"Stokes {state}"] if named else [])]
        if self._settings.cubes == "mean" and any(numbers):
            words.append(f"mean of {len(numbers)} channels")
            return plane_name(self._name, named, mean=True), ", ".join(words)
        (number,) = numbers
        if number:
            words.append(self._channels.words(number))
        return plane_name(self._name, named, number), ", ".join(words)

    def _wanted(self) -> list[int]:
        """Choose channels; notes why some are not."""
        there = sorted({number for cube in self._cubes for number in cube.numbers})
        planes = {(s, n) for cube in self._cubes for s in cube.planes.states for n in cube.numbers}
        asked = self._settings.channels.get(self._collection)
        if asked is not None:
            choice = ChannelChoice.parse(asked)
            wanted = [number for number in there if number in choice or not number]
            if there and not wanted and choice.ranges != ():
                self.notes.append(
                    f"of the {len(self._channels)} channels of the cubes of "
                    f"'{self._collection}' none is among {asked}"
                )
            return wanted if choice.ranges != () else []
        limit = self._settings.max_channels
        if len(planes) > limit and self._settings.cubes == "channels":
            self.notes.append(
                f"no HiPS of the cubes of '{self._collection}' was made: they have {len(planes)} "
                f"planes, more than hips.max_channels ({limit}) is; choose channels, as with "
                "--channels 10:20 (or all), or have their mean with hips.cubes"
            )
            return []
        return there

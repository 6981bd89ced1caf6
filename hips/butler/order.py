"""What is to be made, as it travels from the planning task to the others."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from hips.build import build
from hips.butler.carton import member, pack, unpack
from hips.butler.images import ButlerImage
from hips.crew import Crew
from hips.part import Share, no_shards
from hips.publish import staging
from hips.settings import HipsSettings
from hips.summary import BuildSummary
from hips.tiles.packed import LAYOUT_FILE, PACKS
from vodal.errors import DataError
from vodal.fits.index import FileIndex
from vodal.products import Product

__all__ = ["BuildOrder"]

_ORDER: Final = "order"
_PLAN: Final = (".build/*",)
_TILES: Final = (
    "Norder*/Dir*/Npix*", f"{PACKS}/Norder*/Dir*/Npix*", LAYOUT_FILE, ".build/records/*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BuildOrder:
    """All that `hips.build.build` is told, but who works and which share is made."""

    images: tuple[ButlerImage, ...]
    settings: HipsSettings
    output: Path
    """The folder of the HiPS."""
    name: str
    title: str
    creator_did: str
    description: str
    band: str

    def plan(self, folder: Path, cores: int) -> Any:
        """Decide what is to be done, in an empty folder; gives it packed, with the order."""
        self._see_published(folder)
        self._build(folder, cores, no_shards)
        with staging(folder / self.name, partly=True) as made:
            return pack(made, _PLAN, {_ORDER: pickle.dumps(self)})

    @classmethod
    def of(cls, plan: Any) -> Self:
        """Read the order that a packed plan carries.

        Raises
        ------
        DataError
            If it carries none, or one of another version.
        """
        data = member(plan, _ORDER)
        try:
            # Written by the planning task of this same pipeline, never by a stranger.
            order = pickle.loads(data)  # noqa: S301
        except (ValueError, TypeError, AttributeError, ImportError, pickle.PickleError):
            order = None
        if not isinstance(order, cls):
            raise DataError("the plan of the HiPS is one of another version; make it anew")
        return order

    def render(self, plan: Any, share: Share, folder: Path) -> Any:
        """Make the tiles of a share in an empty folder; gives them packed, None if none is new."""
        self._see_published(folder)
        with staging(folder / self.name, partly=True) as made:
            unpack(plan, made, _PLAN)
        if not self._build(folder, 1, share).rendered:
            return None
        with staging(folder / self.name, partly=True) as made:
            return pack(made, _TILES)

    def finish(self, plan: Any, shards: Iterable[Callable[[], Any]], cores: int) -> BuildSummary:
        """Make the rest where the HiPS belongs, and publish it.

        Parameters
        ----------
        plan
            Packed.
        shards
            Give packed tiles, one after another.
        cores
            Processes that work.
        """
        with staging(self.output / self.name, anew=True, partly=True) as made:
            unpack(plan, made, _PLAN)
            for shard in shards:
                unpack(shard(), made, _TILES)
        return self._build(self.output, cores, None)

    def _see_published(self, folder: Path) -> None:
        """Have the HiPS as it is served in sight of builders in another folder.

        They keep its recipe and take over tiles whose images are the same. Where its folder
        cannot be seen they make all tiles.
        """
        target = self.output / self.name
        if target.is_dir():
            (folder / self.name).symlink_to(target.resolve())

    def _build(self, output: Path, cores: int, part: Share | None) -> BuildSummary:
        by_did = {image.product.did: image.index for image in self.images}

        def index_of(product: Product) -> FileIndex:
            return FileIndex.from_bytes(by_did[product.did])

        with Crew(cores) as crew:
            return build(
                [image.product for image in self.images], index_of, output, self.settings,
                name=self.name, title=self.title, creator_did=self.creator_did,
                description=self.description, band=self.band or None, part=part, crew=crew,
            )  # fmt: skip

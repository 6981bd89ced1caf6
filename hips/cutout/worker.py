"""The task of a worker process; what computes is loaded there and not in the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hips.cutout.request import CutoutRequest

if TYPE_CHECKING:
    from hips.cutout.answer import CutoutAnswer

__all__ = ["make_cutout"]


def make_cutout(folder: Path, asked: CutoutRequest) -> CutoutAnswer:
    """Make a cutout of the HiPS in a folder, as `hips.cutout.answer.cut_hips`."""
    from hips.cutout.answer import cut_hips  # noqa: PLC0415 - only where cutouts are made

    return cut_hips(folder, asked)

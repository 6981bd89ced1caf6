"""What is subtracted from each image so that overlapping images agree; kept beside the recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from hips.names import BUILD_FOLDER

__all__ = ["Backgrounds", "Plane"]

_FILE: Final = "backgrounds.json"


@dataclass(frozen=True, slots=True)
class Plane:
    """A background that is linear in the image's pixels, in the common scale."""

    offset: float
    """In the middle of the image."""
    slope_x: float = 0.0
    """From there to its right edge."""
    slope_y: float = 0.0
    """From there to its upper edge."""


@dataclass(frozen=True, slots=True)
class Backgrounds:
    """The corrections of a HiPS's images, and the sky that they have in common."""

    level: float | None = None
    """Median of the images' sky levels after correction; None if no two of them overlapped."""
    planes: Mapping[str, tuple[str, Plane]] = field(default_factory=dict)
    """Version of the file and correction of each image, by identifier."""

    def of(self, did: str, version: str) -> Plane | None:
        """Give the correction of an image; None if none was chosen for this version of its file."""
        known = self.planes.get(did)
        return known[1] if known is not None and known[0] == version else None

    def save(self, folder: Path) -> None:
        """Keep them in the HiPS's folder."""
        path = folder / BUILD_FOLDER / _FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        images = {did: [v, *astuple(plane)] for did, (v, plane) in sorted(self.planes.items())}
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps({"level": self.level, "images": images}) + "\n", "utf-8")
        partial.replace(path)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read those of a HiPS; None if there are none that can be read."""
        try:
            told: dict[str, Any] = json.loads((folder / BUILD_FOLDER / _FILE).read_text("utf-8"))
            level = None if told["level"] is None else float(told["level"])
            planes = {
                str(did): (str(version), Plane(*map(float, numbers)))
                for did, (version, *numbers) in told["images"].items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        numbers = [number for _, plane in planes.values() for number in astuple(plane)]
        return cls(level, planes) if all(map(math.isfinite, [*numbers, level or 0.0])) else None

"""What the site's worker processes have ready: cutouts and tiles are made by the same ones."""

from __future__ import annotations

import hips.live.worker
import soda.worker

__all__ = ["PRELOAD", "warm_up"]

PRELOAD = (*soda.worker.PRELOAD, *hips.live.worker.PRELOAD)


def warm_up() -> None:
    """Load what is loaded only with a first request."""
    soda.worker.warm_up()
    hips.live.worker.warm_up()

"""What is counted of cutouts, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

__all__ = ["CUT_OUTCOMES", "RESAMPLED_STEPS", "STEPS", "CutoutMetrics", "Mode"]

Mode = Literal["sync", "multi", "async", "stitched"]
"""Whether a cutout is an answer, one of several in an answer (MULTI), one of a job, or a stitched
one that is an answer."""

CUT_OUTCOMES = ("ok", "empty", "refused", "busy", "deadline", "gone", "failed")
"""How a cutout can end: given; nothing there; wrong or too large; sent away because too many
waited; out of time; its client went away; the archive's fault."""

STEPS = ("find", "queue", "index", "read", "decode", "encode")
"""The dataset is looked up; a worker is waited for and told; the pixels are found; bytes are read;
tiles are decoded; what was read becomes FITS. The same as in the header Server-Timing."""

RESAMPLED_STEPS = (*STEPS[:-1], "resample", STEPS[-1])
"""Those of pictures and stitched cutouts: pixels are averaged and brought to another grid, and
become a picture or FITS."""

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_BYTES = tuple(float(1 << power) for power in range(14, 33, 2))


class CutoutMetrics:
    """Counts cutouts.

    Parameters
    ----------
    registry
        Where the metrics are asked for.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        cutouts = Counter(
            "skylane_soda_cutouts", "Cutouts that ended", ["mode", "outcome"], registry=registry
        )
        seconds = Histogram(
            "skylane_soda_step_seconds",
            "Time of the steps of a cutout",
            ["mode", "step"],
            buckets=_SECONDS,
            registry=registry,
        )
        size = Histogram(
            "skylane_soda_cutout_bytes",
            "Sizes of cutouts",
            ["mode"],
            buckets=_BYTES,
            registry=registry,
        )
        modes = get_args(Mode)
        self._cutouts = {
            (mode, name): cutouts.labels(mode, name) for mode in modes for name in CUT_OUTCOMES
        }
        self._seconds = {
            (mode, step): seconds.labels(mode, step) for mode in modes for step in RESAMPLED_STEPS
        }
        self._size = {mode: size.labels(mode) for mode in modes}
        self._read = Counter("skylane_soda_read_bytes", "Read for cutouts", registry=registry)
        self._needed = Counter(
            "skylane_soda_needed_bytes",
            "Of these, bytes of pixels and of tiles that were cut",
            registry=registry,
        )

    def ended(self, outcome: str, mode: Mode = "sync") -> None:
        """Count a cutout that has ended, one of `CUT_OUTCOMES`."""
        self._cutouts[mode, outcome].inc()

    def made(
        self,
        seconds: Mapping[str, float],
        size_bytes: int,
        read_bytes: int,
        needed_bytes: int,
        mode: Mode = "sync",
    ) -> None:
        """Count what a cutout took, by `RESAMPLED_STEPS`, its size, what was read and needed.

        Of the cutouts of a job the steps of the worker alone are known.
        """
        for step, spent in seconds.items():
            self._seconds[mode, step].observe(spent)
        self._size[mode].observe(size_bytes)
        self._read.inc(read_bytes)
        self._needed.inc(needed_bytes)

"""What the steps of one cutout take."""

from __future__ import annotations

import time

from vodal.fits.pixels import Tally

__all__ = ["Stopwatch"]


class Stopwatch:
    """Adds up the time of steps, from when it is made."""

    def __init__(self) -> None:
        self.tally = Tally()
        """Of what is read meanwhile; its decoding is taken out of the reading."""
        self._last = time.perf_counter()
        self._spent = dict.fromkeys(("index", "read", "resample", "encode"), 0.0)

    def lap(self, step: str) -> None:
        """Count the time since the last call for a step: index, read, resample or encode."""
        now = time.perf_counter()
        self._spent[step] += now - self._last
        self._last = now

    @property
    def seconds(self) -> dict[str, float]:
        """What was counted, by step."""
        decode = self.tally.decode_s
        read = max(0.0, self._spent["read"] - decode)
        return {
            "index": self._spent["index"],
            "read": read,
            "decode": decode,
            "resample": self._spent["resample"],
            "encode": self._spent["encode"],
        }

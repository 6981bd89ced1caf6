"""Which live HiPS in colour there are, and of which bands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from hips.color.bands import bands_of_color, colors_of, middle_wavelength
from hips.color.scale import COLOR_FILE, Mix, kept_scale
from hips.color.settings import ColorSettings
from hips.live.selection import Color, Selection, Selections, of_band
from hips.publish import band_of
from hips.settings import HipsSettings
from vodal.access.rules import EVERYTHING, Reach, Rights
from vodal.products import CollectionSummary

__all__ = ["Palette", "changed_ns"]

_REST = 10.0
"""What was found out is used for so many times the time that it took; two seconds at least."""


class Palette:
    """Knows those that a site has: by the names of built ones. Safe to use from several threads.

    Parameters
    ----------
    selections
        Where images come from.
    settings
        Of HiPS.
    root
        Holds the built HiPS: where settings name no bands, one of the same name tells them.
    """

    def __init__(self, selections: Selections, settings: HipsSettings, root: Path) -> None:
        self._selections, self._colors, self._root = selections, settings.color, root
        self._known: dict[str, tuple[float, tuple[object, ...], Mix | None]] = {}

    def find(self, name: str, rights: Rights = EVERYTHING) -> Selection | None:
        """Give the one of a name.

        Parameters
        ----------
        name
            The name.
        rights
            Of who asks.

        Returns
        -------
        Selection or None
            None if there is none of which who asks may know, or the name stands for something else.

        Raises
        ------
        AuthorizationError
            If who asks may have nothing of it.
        """
        for summary in self._selections.collections():
            colors = colors_of(summary.name, self._colors)
            if name in colors:
                found = self._made(name, summary, colors[name])
                return None if found is None else self._selections.allowed(found, rights)
        return None

    def named(self, rights: Rights = EVERYTHING) -> Iterator[Selection]:
        """Give all there are, but those of collections of which who asks may have nothing."""
        for summary in self._selections.collections():
            if rights.had(summary.name) is Reach.NONE:
                continue
            for name, asked in colors_of(summary.name, self._colors).items():
                found = self._made(name, summary, asked)
                seen = None if found is None else self._selections.allowed(found, rights)
                if seen is not None:
                    yield seen

    def _made(
        self, name: str, summary: CollectionSummary, asked: ColorSettings | None
    ) -> Selection | None:
        if self._selections.get(name) is not None:
            return None
        mix = Mix.of(asked) if asked else None
        if mix is not None and not set(mix.bands) <= set(summary.bands):
            return None
        mix = mix or self._automatic(name, summary, asked)
        if mix is None:
            return None
        title = f"{summary.name} colour ({', '.join(mix.bands)})"
        bands = tuple(of_band(summary.name, band) for band in mix.bands)
        return Selection(
            name, title, summary.name, color=Color(bands, mix, asked.mark if asked else "", asked)
        )

    def _automatic(
        self, name: str, summary: CollectionSummary, asked: ColorSettings | None
    ) -> Mix | None:
        if len([band for band in summary.bands if band]) < 3:
            return None
        stamp = changed_ns(self._root / name / COLOR_FILE), summary.products, summary.bands
        until, kept, known = self._known.get(name, (0.0, (), None))
        if kept == stamp and time.monotonic() < until:
            return known
        began = time.monotonic()
        scale = kept_scale(self._root / name, None, asked.mark if asked else "")
        if scale is not None and scale.mix.plain and set(scale.bands) <= set(summary.bands):
            known = scale.mix
        else:
            known = self._chosen(summary)
        now = time.monotonic()
        self._known[name] = now + max(2.0, _REST * (now - began)), stamp, known
        return known

    def _chosen(self, summary: CollectionSummary) -> Mix | None:
        """Choose as a build does; of three bands only the wavelengths are looked for."""
        images: dict[str, int] = {}
        waves: dict[str, float] = {}
        for product in self._selections.matching(Selection("", "", summary.name)):
            band = band_of(product)
            images[band] = images.get(band, 0) + 1
            waves[band] = waves.get(band) or middle_wavelength([product])
            if len(summary.bands) == 3 and len(images) == 3 and all(waves.values()):
                break
        chosen, _ = bands_of_color(images, waves, "", None)
        return Mix(chosen) if chosen else None


def changed_ns(path: Path) -> int:
    """Give when a file was last written, 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0

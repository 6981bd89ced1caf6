"""Makers of links that a site has written itself."""

from __future__ import annotations

from collections.abc import Sequence

from datalink.makers.timed import TimedMaker
from datalink.settings import MakerSettings
from vodal.errors import SettingsError
from vodal.extensions import make_extension
from vodal.links import BatchLinkMaker, LinkMaker

__all__ = ["own_makers"]


def own_makers(settings: Sequence[MakerSettings]) -> tuple[TimedMaker, ...]:
    """Make the makers that the settings name.

    Their classes are called with the options by their names.

    Raises
    ------
    SettingsError
        If there is no such class, it does not take the options or makes no links; names the key.
    """
    return tuple(
        TimedMaker(_made(one, f"datalink.makers[{number}]"), one.seconds)
        for number, one in enumerate(settings)
    )


def _made(settings: MakerSettings, key: str) -> LinkMaker | BatchLinkMaker:
    maker: LinkMaker | BatchLinkMaker = make_extension(key, settings.class_, settings.options)
    if not callable(getattr(maker, "links", None)) and not isinstance(maker, BatchLinkMaker):
        raise SettingsError(f"{key}.class: '{settings.class_}' has neither links nor links_of")
    return maker

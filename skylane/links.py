"""The makers of links of a site, in the order of their rows."""

from __future__ import annotations

from pathlib import Path

from datalink.makers.file import FileLinkMaker
from datalink.makers.own import own_makers
from datalink.makers.preview import PreviewLinkMaker
from hips.links import HipsLinks
from skylane.settings import SiteSettings
from soda.links import SodaLinkMaker
from vodal.links import BatchLinkMaker, LinkMaker

__all__ = ["create_makers"]


def create_makers(hips: Path, settings: SiteSettings) -> tuple[LinkMaker | BatchLinkMaker, ...]:
    """Give them.

    Parameters
    ----------
    hips
        Holds one folder a HiPS.
    settings
        Of the site.

    Raises
    ------
    SettingsError
        If they name a maker that cannot be made.
    """
    return (
        FileLinkMaker(),
        PreviewLinkMaker(),
        SodaLinkMaker(),
        HipsLinks(hips, settings.hips.color),
        *own_makers(settings.datalink.makers),
    )

"""The makers of links of a site, in the order of their rows."""

from __future__ import annotations

from pathlib import Path

from datalink.makers.declared import DeclaredLinkMaker
from datalink.makers.file import FileLinkMaker
from datalink.makers.own import own_makers
from datalink.makers.plane import PlaneLinkMaker
from datalink.makers.preview import PreviewLinkMaker
from datalink.makers.related import RelatedLinkMaker, counterparts
from datalink.makers.rules import LinkRule
from datalink.makers.template import Template
from datalink.makers.timed import TimedMaker
from datalink.settings import DatalinkSettings
from hips.allowed import Allowed
from hips.links import HipsLinks
from hips.shown import ShownHips
from obscore.columns import COLUMNS
from skylane.settings import SiteSettings
from soda.links import SodaLinkMaker
from vodal.errors import SettingsError
from vodal.links import BatchLinkMaker, LinkMaker
from vodal.products import Catalogue, Resolver

__all__ = ["create_makers"]


def create_makers(
    hips: Path, settings: SiteSettings, resolver: Resolver, catalogue: Catalogue
) -> tuple[LinkMaker | BatchLinkMaker, ...]:
    """Give them.

    Parameters
    ----------
    hips
        Holds one folder a HiPS.
    settings
        Of the site.
    resolver, catalogue
        Of all products.

    Raises
    ------
    SettingsError
        If they name a maker that cannot be made, or a column that is not there.
    """
    return (
        FileLinkMaker(),
        PreviewLinkMaker(),
        PlaneLinkMaker(),
        SodaLinkMaker(),
        *_related(settings.datalink, catalogue),
        *_declared(settings.datalink),
        HipsLinks(ShownHips(hips), settings.hips.color, Allowed(resolver)),
        *own_makers(settings.datalink.makers),
    )


def _related(settings: DatalinkSettings, catalogue: Catalogue) -> list[RelatedLinkMaker]:
    rules = [*([counterparts(settings.counterparts)] if settings.counterparts else []),
             *settings.related]  # fmt: skip
    return [RelatedLinkMaker(catalogue, rules)] if rules else []


def _declared(settings: DatalinkSettings) -> list[TimedMaker]:
    for number, rule in enumerate(settings.links):
        _check_columns(rule, number)
    if not settings.links:
        return []
    # Disks and file servers may not answer.
    return [TimedMaker(DeclaredLinkMaker(settings.links), settings.files_seconds)]


def _check_columns(rule: LinkRule, number: int) -> None:
    known = {one.name for one in COLUMNS} - {"access_url"}
    for text in rule.templates:
        for name in Template.parse(text).columns:
            if name not in known:
                raise SettingsError(
                    f"datalink.links[{number}]: '{{{name}}}' is no column of ObsCore"
                )

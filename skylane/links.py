"""The makers of links of a site, in the order of their rows."""

from __future__ import annotations

from pathlib import Path

from datalink.makers.declared import DeclaredLinkMaker
from datalink.makers.file import FileLinkMaker
from datalink.makers.own import own_makers
from datalink.makers.plane import PlaneLinkMaker
from datalink.makers.preview import PreviewLinkMaker
from datalink.makers.related import RelatedLinkMaker, counterparts
from datalink.makers.rules import LinkRule, columns_of
from datalink.makers.template import AddedValues
from datalink.makers.timed import TimedMaker
from datalink.settings import DatalinkSettings
from hips.allowed import Allowed
from hips.links import HipsLinks
from hips.shown import ShownHips
from obscore.assembly.extra import declared_columns
from obscore.columns import COLUMNS
from obscore.settings import ObsCoreSettings
from skylane.settings import SiteSettings
from soda.links import SodaLinkMaker
from vodal.errors import SettingsError
from vodal.links import BatchLinkMaker, LinkMaker
from vodal.products import Catalogue, Resolver

__all__ = ["create_makers"]


def create_makers(
    hips: Path,
    settings: SiteSettings,
    resolver: Resolver,
    catalogue: Catalogue,
    added: AddedValues | None = None,
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
    added
        Gives values of columns that the site adds.

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
        *_declared(settings, added),
        HipsLinks(ShownHips(hips), settings.hips.color, Allowed(resolver)),
        *own_makers(settings.datalink.makers),
    )


def _related(settings: DatalinkSettings, catalogue: Catalogue) -> list[RelatedLinkMaker]:
    rules = [*([counterparts(settings.counterparts)] if settings.counterparts else []),
             *settings.related]  # fmt: skip
    return [RelatedLinkMaker(catalogue, rules)] if rules else []


def _declared(settings: SiteSettings, added: AddedValues | None) -> list[TimedMaker]:
    own = settings.datalink
    for number, rule in enumerate(own.links):
        _check_columns(rule, number, settings.obscore)
    if not own.links:
        return []
    # Disks and file servers may not answer.
    return [TimedMaker(DeclaredLinkMaker(own.links, added), own.files_seconds)]


def _check_columns(rule: LinkRule, number: int, settings: ObsCoreSettings) -> None:
    known = ({one.name for one in COLUMNS} | set(settings.columns)) - {"access_url"}
    unknown = [name for name in columns_of([rule]) if name not in known]
    if not unknown:
        return
    # A Butler's configuration declares columns too, and may be out of reach.
    declared = declared_columns(settings)
    there = {column.name for column in declared.columns}
    for name in unknown:
        if name not in there and not declared.faults:
            raise SettingsError(
                f"datalink.links[{number}]: '{{{name}}}' is no column of ObsCore, nor one that the"
                " site adds"
            )

"""Settings of the records for the VO Registry."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from vodal.settings import Settings

__all__ = ["CollectionRecordSettings", "OrganisationSettings", "RegistrySettings"]

_NEEDED: Final = ("publisher", "contact_name", "contact_email", "description", "subjects")
"""Without these there is no valid or useful record."""


def _check_url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^\s<>\"]+", text):
        raise ValueError("a URL starts with https:// or http:// and has no blanks")
    return text


def _check_email(text: str) -> str:
    # As OAI-PMH's schema has it, but with one name of a host.
    if text and not re.fullmatch(r"[^\s@<>]+@([^\s@<>.]+\.)+[^\s@<>.]+", text):
        raise ValueError("an address of mail is like registry@example.org")
    return text


def _check_subjects(subjects: tuple[str, ...]) -> tuple[str, ...]:
    for one in subjects:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one):
            raise ValueError(
                f"'{one[:60]}' is no identifier of the Unified Astronomy Thesaurus as IVOA writes"
                " them (http://www.ivoa.net/rdf/uat): lower case with hyphens, such as"
                " 'surveys' or 'galaxy-evolution'"
            )
    return subjects


def _check_ivoid(text: str) -> str:
    name = r"[A-Za-z0-9\-_.!~*'()+=]+"
    if text and not re.fullmatch(
        rf"ivo://[A-Za-z0-9][A-Za-z0-9\-_.!~*'()+=]{{2,}}(/{name})*", text
    ):
        raise ValueError("an IVOID is like ivo://example.org/organisation")
    return text


Url = Annotated[str, AfterValidator(_check_url)]
Subjects = Annotated[tuple[str, ...], AfterValidator(_check_subjects)]


class OrganisationSettings(Settings):
    """A record of the organisation that publishes, if no other registry has one."""

    title: str = ""
    """Its name; without one there is no such record."""
    description: str = ""
    """What it does."""
    reference_url: Url = ""
    """Its page."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = [bool(self.title), bool(self.description), bool(self.reference_url)]
        if any(given) and not all(given):
            raise ValueError("its record needs title, description and reference_url")
        return self


class CollectionRecordSettings(Settings):
    """What the record of a collection tells; by default as the site's other records."""

    publish: bool = True
    """Whether there is a record. Collections of which the public may not know have none anyway."""
    title: str = ""
    """By default the collection's name."""
    short_name: str = Field("", max_length=16)
    """For narrow columns of lists of resources."""
    description: str = ""
    """What it is, in some sentences."""
    reference_url: Url = ""
    """Its page; by default the site's."""
    subjects: Subjects = ()
    """As `registry.subjects`, which are the default."""
    creators: tuple[str, ...] = ()
    """Who made it: persons (``Doe, J.``) or groups."""
    type: str = "Survey"
    """As in http://www.ivoa.net/rdf/voresource/content_type: Survey, Archive, Simulation ..."""
    source: str = ""
    """Bibcode of the article that is to be cited."""
    rights: str = ""
    """Conditions of use, in words; by default `registry.rights`."""
    rights_uri: Url = ""
    """URL of the licence (``https://spdx.org/licenses/CC-BY-4.0.html``)."""


class RegistrySettings(Settings):
    """Records for the VO Registry: none without this section, see docs/howto/registry.md.

    Needs publisher, contact_name, contact_email, description and subjects, and beside them
    `server.public_url` and an `obscore.authority` of one's own.
    """

    publisher: str = ""
    """Name of the organisation that publishes."""
    publisher_id: Annotated[str, AfterValidator(_check_ivoid)] = ""
    """Its IVOID, if a registry has a record of it."""
    organisation: OrganisationSettings = OrganisationSettings()
    contact_name: str = ""
    """Whom to ask: a group rather than a person."""
    contact_email: Annotated[str, AfterValidator(_check_email)] = ""
    """Address of mail, seen by everybody."""
    contact_address: str = ""
    """Address on paper."""
    contact_telephone: str = ""
    """Number, with the country's."""
    title: str = ""
    """Of the site, to which the titles of services are added; by default the publisher's name."""
    description: str = ""
    """What the site holds, in some sentences."""
    reference_url: Url = ""
    """Page about the site; by default the site itself."""
    subjects: Subjects = ()
    """Identifiers of the Unified Astronomy Thesaurus (http://www.ivoa.net/rdf/uat), such as
    ``["surveys", "optical-astronomy"]``."""
    creators: tuple[str, ...] = ()
    """Who made the site's data; by default the publisher."""
    rights: str = ""
    """Conditions of use, in words."""
    rights_uri: Url = ""
    """URL of the licence."""
    page_records: int = Field(100, ge=1, le=10_000)
    """Records in one answer; harvesters ask for the rest by a token."""
    collections: dict[str, CollectionRecordSettings] = Field(default_factory=dict)
    """By name, as in `obs_collection`."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [name for name in _NEEDED if not getattr(self, name)]
        if missing and self != type(self).model_construct():
            raise ValueError(f"a registry needs {', '.join(missing)} too")
        return self

    @property
    def configured(self) -> bool:
        """Whether the site has a registry."""
        return bool(self.publisher)

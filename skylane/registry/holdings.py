"""The records of a site, made of its settings, its services and its catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote
from xml.etree.ElementTree import Element

from datalink.capabilities import links_capabilities
from hips.capabilities import hips_capabilities
from obscore.coverage.extents import Extent, united
from obscore.coverage.maps import CollectionMaps
from obscore.coverage.ranges import NOTHING, Ranges
from obscore.sia.description import sia_capabilities
from obscore.store.engine import QueryEngine
from obscore.tap.capabilities import tap_capabilities
from obscore.tap.metadata import tableset
from obscore.tap.visible import listed
from skylane.registry.coverage import coverage_element
from skylane.registry.identifiers import collection_keys, site_ivoid
from skylane.registry.resource import Curation, Named, Relationship, Resource
from skylane.registry.settings import CollectionRecordSettings, RegistrySettings
from skylane.settings import SiteSettings
from soda.capabilities import soda_capabilities
from vodal.access.rules import Rights
from vodal.errors import NotFoundError, SettingsError
from vodal.vosi.capabilities import (
    Capability,
    Interface,
    capability,
    capability_elements,
    vosi_capabilities,
)
from vodal.vosi.tableset import TableSchema, schema_elements
from vodal.web.auth.challenge import security_methods

__all__ = ["Holdings", "check_registry", "registry_capabilities"]

_NO_AUTHORITY: Final = "skylane.example"
"""Of who has set none."""

_OBSCORE: Final = "ivoa.obscore"


def check_registry(settings: SiteSettings) -> None:
    """See that the settings of other sections that a registry needs are there.

    Raises
    ------
    SettingsError
        If not; names them.
    """
    if not settings.server.public_url:
        raise SettingsError(
            "registry: server.public_url is needed, the address of the site that records tell"
        )
    if settings.obscore.authority == _NO_AUTHORITY:
        raise SettingsError(
            "registry: obscore.authority is needed, the IVOA authority of your own that all"
            f" identifiers begin with; '{_NO_AUTHORITY}' is none"
        )


def registry_capabilities(service_url: str, page_records: int) -> tuple[Capability, ...]:
    """Make the capabilities of the registry itself (Registry Interfaces 1.1 section 2.2).

    Parameters
    ----------
    service_url
        Where it is mounted, without a trailing slash.
    page_records
        Records in one answer.
    """
    most = Element("maxRecords")
    most.text = str(page_records)
    interface = Interface(f"{service_url}/oai", use="base", version="1.0", xsi_type="vg:OAIHTTP")
    harvest = Capability(
        "ivo://ivoa.net/std/Registry", (interface,), xsi_type="vg:Harvest", details=(most,)
    )
    return (harvest, *vosi_capabilities(service_url))


@dataclass(frozen=True)
class Holdings:
    """Makes the records of this moment. Safe to use from several threads."""

    settings: SiteSettings
    """Of the site; see `check_registry`."""
    maps: CollectionMaps
    """What collections cover."""
    engine: QueryEngine
    """Knows the published tables."""
    public: Rights
    """What everybody may know of; nothing else is told."""

    def resources(self) -> list[Resource]:
        """Give all records.

        Raises
        ------
        ServiceUnavailable
            If coverage maps take longer to make than a request waits.
        SkylaneError
            If the store does not answer.
        """
        extents = self.maps.extents(self.public)
        keys = {name: self._ivoid(key) for name, key in collection_keys(extents).items()}
        made = [self.registry(), self._authority_record(), *self._organisation()]
        made += self._services(united(extents.values()))
        obscore = _tables(
            tuple(
                replace(schema, tables=found)
                for schema in tableset()
                if (found := tuple(one for one in schema.tables if one.name == _OBSCORE))
            )
        )
        for name, extent in extents.items():
            own = self._own.collections.get(name, CollectionRecordSettings())
            if own.publish:
                made.append(self._collection(name, keys[name], extent, own, obscore))
        return made

    # What all records have

    @property
    def _own(self) -> RegistrySettings:
        return self.settings.registry

    @property
    def _url(self) -> str:
        return (self.settings.server.public_url or "").rstrip("/")

    @property
    def _title(self) -> str:
        return self._own.title or self._own.publisher

    def _ivoid(self, key: str) -> str:
        return f"ivo://{self.settings.obscore.authority}/{key}"

    def _site_ivoid(self, name: str) -> str:
        return site_ivoid(self.settings.obscore.authority, name)

    def _publisher(self) -> Named:
        own = self._own
        ivoid = self._site_ivoid("organisation") if own.organisation.title else own.publisher_id
        return Named(own.publisher, ivoid or None)

    def _base(
        self, identifier: str, xsi_type: str, title: str, description: str, kind: str
    ) -> Resource:
        """Make a record with what all have in common."""
        own = self._own
        curation = Curation(
            self._publisher(),
            own.creators or (own.publisher,),
            own.contact_name,
            own.contact_email,
            own.contact_address,
            own.contact_telephone,
        )
        return Resource(
            identifier=identifier,
            xsi_type=xsi_type,
            title=title,
            description=description,
            reference_url=own.reference_url or f"{self._url}/",
            subjects=own.subjects,
            curation=curation,
            content_type=kind,
            rights=own.rights,
            rights_uri=own.rights_uri,
        )

    def _capabilities(self, capabilities: Sequence[Capability]) -> tuple[Element, ...]:
        """Make the elements as the services give them at ``/capabilities``."""
        return tuple(capability_elements(capabilities, security_methods(self.settings.access)))

    # The records

    def registry(self) -> Resource:
        """Give the record of the registry itself."""
        made = registry_capabilities(f"{self._url}/registry", self._own.page_records)
        base = self._base(
            self._site_ivoid("registry"),
            "vg:Registry",
            f"{self._title}: publishing registry",
            f"Records of the services and collections of {self._title}, for harvesters.",
            "Registry",
        )
        authority = _text("managedAuthority", self.settings.obscore.authority)
        details = (*self._capabilities(made), _text("full", "false"), authority)
        return replace(base, details=details, rights="", rights_uri="")

    def _authority_record(self) -> Resource:
        authority = self.settings.obscore.authority
        base = self._base(
            f"ivo://{authority}",
            "vg:Authority",
            f"{self._title}: naming authority {authority}",
            f"The identifiers of {self._title} begin with ivo://{authority}.",
            "Other",
        )
        managing = _text("managingOrg", self._own.publisher)
        ivoid = self._publisher().ivoid
        if ivoid is not None:
            managing.set("ivo-id", ivoid)
        return replace(base, details=(managing,), rights="", rights_uri="")

    def _organisation(self) -> list[Resource]:
        told = self._own.organisation
        if not told.title:
            return []
        base = self._base(
            self._site_ivoid("organisation"), "vr:Organisation", told.title, told.description,
            "Organisation",
        )  # fmt: skip
        return [replace(base, reference_url=told.reference_url, rights="", rights_uri="")]

    def _services(self, whole: Extent) -> list[Resource]:
        """Give the records of the services; those of all images tell what these cover."""
        url, moc_url = self._url, f"{self._url}/moc"
        settings = self.settings
        tables = tableset(listed(self.engine.published().beside, self.public))
        coverage = _origin_and_coverage(self._ranges(None), whole, f"{moc_url}/")
        tap = tap_capabilities(f"{url}/tap", settings.tap, settings.jobs, moc_url)
        cutouts = soda_capabilities(f"{url}/soda", has_jobs=True, has_catalogue=True)
        return [
            self._service(
                "tap", "vs:CatalogService", "TAP service",
                "Queries in ADQL on the table of images (ObsCore) and on the site's other tables.",
                tap, (*coverage, _tables(tables)),
            ),
            self._service(
                "sia2", "vs:CatalogService", "image search",
                "Images by place, time and band (Simple Image Access 2).",
                sia_capabilities(f"{url}/sia2", moc_url), coverage,
            ),
            self._service(
                "datalink", "vs:DataService", "links",
                "Files, cutouts, previews and HiPS of an image (DataLink).",
                links_capabilities(f"{url}/datalink", f"{url}/files"),
            ),
            self._service(
                "soda", "vs:DataService", "cutouts",
                "Parts of images by place, band, time and polarization (SODA).", cutouts,
            ),
            self._service(
                "hips", "vs:DataService", "HiPS server",
                "Images as tiles of the whole sky (HiPS).", hips_capabilities(f"{url}/hips"),
            ),
        ]  # fmt: skip

    def _service(
        self, name: str, xsi_type: str, title: str, described: str,
        capabilities: Sequence[Capability], more: Sequence[Element] = (),
    ) -> Resource:  # fmt: skip
        base = self._base(
            self._site_ivoid(name), xsi_type, f"{self._title}: {title}",
            f"{described} {self._own.description}", "Archive",
        )  # fmt: skip
        return replace(base, details=(*self._capabilities(capabilities), *more))

    def _collection(
        self,
        name: str,
        ivoid: str,
        extent: Extent,
        own: CollectionRecordSettings,
        tables: Element,
    ) -> Resource:
        url, title = self._url, own.title or name
        described = own.description or (
            f"Images of the collection '{name}' of {self._title}. {self._own.description}"
        )
        base = self._base(ivoid, "vs:CatalogResource", title, described, own.type)
        served = tuple(
            Named(f"{self._title}: {what}", self._site_ivoid(service))
            for service, what in (("tap", "TAP service"), ("sia2", "image search"))
        )
        moc_url = f"{url}/moc/{quote(name)}"
        told: dict[str, Any] = {
            "reference_url": own.reference_url,
            "subjects": own.subjects,
            "rights": own.rights,
            "rights_uri": own.rights_uri,
        }
        curation = replace(base.curation, creators=own.creators or base.curation.creators)
        return replace(
            base,
            **{key: value for key, value in told.items() if value},
            curation=curation,
            short_name=own.short_name,
            source=own.source,
            relationships=(Relationship("IsServedBy", served),),
            details=(
                *self._capabilities(_auxiliary(url)),
                *_origin_and_coverage(self._ranges(name), extent, moc_url),
                tables,
            ),
        )

    def _ranges(self, collection: str | None) -> Ranges:
        try:
            return self.maps.find(collection, self.public)
        except NotFoundError:
            # Without footprints.
            return NOTHING


def _auxiliary(url: str) -> tuple[Capability, ...]:
    """Tell of the services by which a collection is queried (Discovering Data Collections 1.1)."""
    return (
        capability("ivo://ivoa.net/std/TAP#aux", f"{url}/tap", use="base", version="1.1"),
        capability(
            "ivo://ivoa.net/std/SIA#query-aux-2.0", f"{url}/sia2/query", use="base", version="2.0"
        ),
    )


def _origin_and_coverage(ranges: Ranges, extent: Extent, moc_url: str) -> tuple[Element, ...]:
    origin = [_text("facility", one) for one in extent.facilities]
    origin += [_text("instrument", one) for one in extent.instruments]
    coverage = coverage_element(ranges, extent, moc_url)
    return tuple(origin if coverage is None else [*origin, coverage])


def _tables(schemas: Sequence[TableSchema]) -> Element:
    element = Element("tableset")
    element.extend(schema_elements(schemas))
    return element


def _text(tag: str, text: str) -> Element:
    element = Element(tag)
    element.text = text
    return element

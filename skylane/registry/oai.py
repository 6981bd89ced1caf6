"""Answers of OAI-PMH 2.0, as a publishing registry gives them (Registry Interfaces 1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from skylane.registry.dates import utc_text
from skylane.registry.records import FORMATS, Record, Records
from skylane.registry.request import (
    Asked,
    OaiError,
    Selection,
    read_asked,
    read_selection,
)
from skylane.registry.settings import RegistrySettings
from vodal.xmltext import clean

__all__ = ["MANAGED", "OaiAnswers"]

MANAGED: Final = "ivo_managed"
"""The set of the records that a registry has from nobody else; here of all."""

_NAMESPACES: Final = {
    "xmlns:oai": "http://www.openarchives.org/OAI/2.0/",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsi:schemaLocation": (
        "http://www.openarchives.org/OAI/2.0/ http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd"
    ),
}


class OaiAnswers:
    """Answers requests. Safe to use from several threads.

    Parameters
    ----------
    records
        Gives the records.
    settings
        Of the registry.
    base_url
        Where requests are sent to.
    """

    def __init__(self, records: Records, settings: RegistrySettings, base_url: str) -> None:
        self._records, self._settings, self._base_url = records, settings, base_url

    def answer(self, pairs: Sequence[tuple[str, str]]) -> bytes:
        """Give the document for the parameters of a request.

        Raises
        ------
        SkylaneError
            If the records cannot be made; what is wrong with a request is in the document.
        """
        root = Element("oai:OAI-PMH", _NAMESPACES)
        # Before the records are looked at: who asks for what is new since then misses nothing.
        _add(root, "responseDate", utc_text())
        request = _add(root, "request", self._base_url)
        try:
            asked = read_asked(pairs)
            request.set("verb", asked.verb)
            for name, value in asked.arguments.items():
                request.set(name, clean(value))
            root.append(self._made(asked))
        except OaiError as error:
            if error.code in {"badVerb", "badArgument"}:
                request.attrib.clear()
            _add(root, "error", str(error)).set("code", error.code)
        document: bytes = tostring(root, encoding="UTF-8", xml_declaration=True)
        return document

    def _made(self, asked: Asked) -> Element:
        element = Element(f"oai:{asked.verb}")
        match asked.verb:
            case "Identify":
                self._identify(element)
            case "ListMetadataFormats":
                self._formats(element, asked.arguments.get("identifier"))
            case "ListSets":
                if "resumptionToken" in asked.arguments:
                    raise OaiError("badResumptionToken", "the list of sets is given at once")
                found = SubElement(element, "oai:set")
                _add(found, "setSpec", MANAGED)
                _add(found, "setName", "All records that originate from this registry")
            case "GetRecord":
                self._one(element, asked.arguments["identifier"], asked.arguments["metadataPrefix"])
            case _:
                self._list(element, read_selection(asked.arguments), asked.verb == "ListRecords")
        return element

    def _identify(self, element: Element) -> None:
        records = self._records.current()
        _add(element, "repositoryName", self._records.holdings.registry().title)
        _add(element, "baseURL", self._base_url)
        _add(element, "protocolVersion", "2.0")
        _add(element, "adminEmail", self._settings.contact_email)
        _add(element, "earliestDatestamp", min(one.stamp.changed for one in records))
        # What is gone is known as long as the file with the dates is.
        _add(element, "deletedRecord", "transient")
        _add(element, "granularity", "YYYY-MM-DDThh:mm:ssZ")
        own = self._records.holdings.registry().identifier
        described = SubElement(element, "oai:description")
        described.append(_found(records, own).element("ivo_vor"))

    def _formats(self, element: Element, identifier: str | None) -> None:
        if identifier is not None:
            _found(self._records.current(), identifier)
        for form in FORMATS:
            told = SubElement(element, "oai:metadataFormat")
            _add(told, "metadataPrefix", form.prefix)
            _add(told, "schema", form.schema)
            _add(told, "metadataNamespace", form.namespace)

    def _one(self, element: Element, identifier: str, prefix: str) -> None:
        found = _found(self._records.current(), identifier)
        _check_prefix(prefix)
        element.append(_record_element(found, prefix))

    def _list(self, element: Element, selection: Selection, whole: bool) -> None:  # noqa: FBT001
        """Write a page of a list, of whole records or of their headers."""
        _check_prefix(selection.prefix)
        every = [one for one in self._records.current() if _fits(one, selection)]
        if not every:
            raise OaiError("noRecordsMatch", "there is no such record")
        after = selection.after
        rest = [one for one in every if after is None or one.identifier > after]
        page = rest[: self._settings.page_records]
        for one in page:
            element.append(
                _record_element(one, selection.prefix) if whole else _header_element(one)
            )
        if len(rest) > len(page) or after is not None:
            token = selection.token(page[-1].identifier) if len(rest) > len(page) else ""
            told = _add(element, "resumptionToken", token)
            told.set("completeListSize", str(len(every)))
            told.set("cursor", str(len(every) - len(rest)))


def _fits(record: Record, selection: Selection) -> bool:
    changed = record.stamp.changed
    return (
        (selection.since is None or selection.since <= changed)
        and (selection.until is None or changed <= selection.until)
        and selection.set_spec in {None, MANAGED}
    )


def _found(records: Sequence[Record], identifier: str) -> Record:
    """Find a record; IVOIDs compare without case (IVOA Identifiers 2.0 section 2.6)."""
    for one in records:
        if one.identifier.lower() == identifier.lower():
            return one
    raise OaiError("idDoesNotExist", f"there is no record of '{identifier[:200]}'")


def _check_prefix(prefix: str) -> None:
    known = [form.prefix for form in FORMATS]
    if prefix not in known:
        raise OaiError(
            "cannotDisseminateFormat",
            f"metadataPrefix is {' or '.join(known)}, not '{prefix[:40]}'",
        )


def _header_element(record: Record) -> Element:
    element = Element("oai:header")
    if record.stamp.deleted:
        element.set("status", "deleted")
    _add(element, "identifier", record.identifier)
    _add(element, "datestamp", record.stamp.changed)
    _add(element, "setSpec", MANAGED)
    return element


def _record_element(record: Record, prefix: str) -> Element:
    element = Element("oai:record")
    element.append(_header_element(record))
    if record.resource is not None:
        SubElement(element, "oai:metadata").append(record.element(prefix))
    return element


def _add(parent: Element, tag: str, text: str) -> Element:
    element = SubElement(parent, f"oai:{tag}")
    element.text = clean(text)
    return element

"""The publishing registry: every request and every error of OAI-PMH 2.0, by GET and POST."""

from __future__ import annotations

import base64
import json
import pickle
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import registry_schemas as schemas

from obscore.testing import make_file, make_observation
from skylane.registry.dates import Datestamps, Stamp
from skylane.registry.request import VERBS, OaiError, read_asked, read_selection
from vodal.errors import SettingsError
from vodal.regions import Circle

O = "{http://www.openarchives.org/OAI/2.0/}"  # noqa: E741 - short, as prefixes are
URL = "https://archive.example.org/sky/registry/oai"
PREFIX = {"metadataPrefix": "ivo_vor"}


def identifiers(document: bytes) -> list[str]:
    return [one.findtext(f"{O}identifier") for one in ET.fromstring(document).iter(f"{O}header")]


def fault(document: bytes) -> tuple[str, str]:
    error = schemas.check(document).find(f"{O}error")
    return error.get("code"), error.text


def test_identify_tells_the_registry_itself(registry):
    root = schemas.check(registry.ask(verb="Identify"))
    told = root.find(f"{O}Identify")
    assert told.findtext(f"{O}repositoryName") == "Sky of Example: publishing registry"
    assert told.findtext(f"{O}baseURL") == URL
    assert told.findtext(f"{O}adminEmail") == "archive@example.org"
    assert told.findtext(f"{O}granularity") == "YYYY-MM-DDThh:mm:ssZ"
    assert told[-1][0].findtext("identifier") == "ivo://example.org/site/registry"
    assert root.find(f"{O}request").attrib == {"verb": "Identify"}


def test_sets_and_formats(registry):
    sets = schemas.check(registry.ask(verb="ListSets"))
    assert sets.findtext(f".//{O}setSpec") == "ivo_managed"
    named = registry.ask(verb="ListMetadataFormats", identifier="ivo://EXAMPLE.org/Synthetic")
    for document in (registry.ask(verb="ListMetadataFormats"), named):
        prefixes = [one.text for one in schemas.check(document).iter(f"{O}metadataPrefix")]
        assert prefixes == ["ivo_vor", "oai_dc"]


def test_a_record_in_both_forms(registry):
    name = "ivo://example.org/synthetic"
    whole = schemas.check(registry.ask(verb="GetRecord", identifier=name, **PREFIX))
    (resource,) = whole.find(f".//{O}metadata")
    stamp = whole.findtext(f".//{O}datestamp")
    assert resource.get("updated") == stamp
    core = schemas.check(registry.ask(verb="GetRecord", identifier=name, metadataPrefix="oai_dc"))
    texts = {one.tag.rpartition("}")[2]: one.text for one in core.find(f".//{O}metadata")[0]}
    assert texts["title"] == "A made-up survey"
    assert texts["date"] == stamp
    every = schemas.check(registry.ask(verb="ListRecords", metadataPrefix="oai_dc"))
    assert len(every.findall(f".//{O}metadata")) == 11


def test_a_request_by_post_is_answered_as_by_get(registry):
    arguments = {"verb": "ListIdentifiers", "set": "ivo_managed", **PREFIX}
    posted = registry.client.post("/registry/oai", data=arguments)
    assert identifiers(posted.content) == identifiers(registry.ask(**arguments))
    assert registry.client.get("/registry/").headers["location"] == f"{URL}?verb=Identify"


FAULTS = {
    "verb=Nothing": "badVerb",
    "": "badVerb",
    "verb=Identify&verb=Identify": "badVerb",
    "VERB=Identify": "badVerb",
    "verb=Identify&set=x": "badArgument",
    "verb=ListRecords": "badArgument",
    "verb=GetRecord&metadataPrefix=ivo_vor": "badArgument",
    "verb=ListRecords&metadataPrefix=ivo_vor&metadataPrefix=ivo_vor": "badArgument",
    "verb=ListRecords&metadataPrefix=ivo_vor&resumptionToken=x": "badArgument",
    "verb=ListRecords&metadataPrefix=ivo_vor&from=yesterday": "badArgument",
    "verb=ListRecords&metadataPrefix=ivo_vor&from=2026-02-31": "badArgument",
    "verb=ListRecords&metadataPrefix=ivo_vor&until=2026-01-01T00:00:00": "badArgument",
    "verb=ListRecords&metadataPrefix=ivo_vor&from=2026-01-01&until=2026-01-02T00:00:00Z":
        "badArgument",
    "verb=ListRecords&metadataPrefix=ivo_vor&from=2026-01-02&until=2026-01-01": "badArgument",
    "verb=ListRecords&metadataPrefix=marc": "cannotDisseminateFormat",
    "verb=GetRecord&metadataPrefix=marc&identifier=ivo://example.org": "cannotDisseminateFormat",
    "verb=GetRecord&metadataPrefix=ivo_vor&identifier=ivo://example.org/secret": "idDoesNotExist",
    "verb=ListMetadataFormats&identifier=x": "idDoesNotExist",
    "verb=ListRecords&metadataPrefix=ivo_vor&until=1999-12-31": "noRecordsMatch",
    "verb=ListRecords&metadataPrefix=ivo_vor&set=others": "noRecordsMatch",
    "verb=ListRecords&resumptionToken=x": "badResumptionToken",
    "verb=ListSets&resumptionToken=x": "badResumptionToken",
}  # fmt: skip


def test_every_error_has_its_code_and_a_sentence(registry):
    for query, code in FAULTS.items():
        found, told = fault(registry.client.get(f"/registry/oai?{query}").content)
        assert (found, len(told) > 10) == (code, True), query


def test_long_lists_come_in_pages(registry, make_registry):
    paged = make_registry(registry.backend, registry__page_records=4)
    seen, arguments = [], {"verb": "ListRecords", **PREFIX}
    for cursor in (0, 4, 8):
        document = paged.ask(**arguments)
        seen += identifiers(document)
        token = schemas.check(document).find(f".//{O}resumptionToken")
        assert (token.get("completeListSize"), token.get("cursor")) == ("11", str(cursor))
        arguments = {"verb": "ListRecords", "resumptionToken": token.text or ""}
    assert not token.text
    assert seen == identifiers(registry.ask(verb="ListRecords", **PREFIX))
    assert len(seen) == 11


def test_dates_follow_changes_and_gone_records_stay_as_deleted(
    make_backend, make_registry, files, monkeypatch
):
    backend = make_backend("sqlite", files)
    at = iter(f"2026-01-01T00:00:{second:02}Z" for second in range(60))
    monkeypatch.setattr("skylane.registry.dates.utc_text", lambda: next(at))
    registry = make_registry(backend)
    every = identifiers(registry.ask(verb="ListIdentifiers", **PREFIX))
    again = make_registry(backend, registry.dates)
    later = {"verb": "ListIdentifiers", **PREFIX, "from": "2026-01-01T00:00:01Z"}
    assert fault(again.ask(**later))[0] == "noRecordsMatch"
    store = backend.writer()
    store.remove(["file:///c.fits"])
    moved = make_observation("ivo://x/y?far", Circle(77.0, -33.0, 0.5))
    store.write([make_file("file:///far.fits", moved)])
    store.close()
    document = again.ask(**later)
    schemas.check(document)
    assert identifiers(document) == [
        f"ivo://example.org/{name}" for name in ("radio", "site/sia2", "site/tap", "synthetic")
    ]
    headers = {one.findtext(f"{O}identifier"): one.get("status")
               for one in ET.fromstring(document).iter(f"{O}header")}  # fmt: skip
    assert headers["ivo://example.org/radio"] == "deleted"
    assert headers["ivo://example.org/synthetic"] is None
    gone = schemas.check(
        again.ask(verb="GetRecord", identifier="ivo://example.org/radio", **PREFIX)
    )
    assert gone.find(f".//{O}metadata") is None
    until = {**later, "from": "2026-01-01", "until": "2026-01-01"}
    assert identifiers(again.ask(**until)) == every


def test_a_site_without_a_registry_says_so(registry, make_registry):
    closed = make_registry(registry.backend, registry={})
    answer = closed.client.get("/registry/oai?verb=Identify")
    assert (answer.status_code, "[registry]" in answer.text) == (404, True)
    for path, value in (("server__public_url", None), ("obscore__authority", "skylane.example")):
        with pytest.raises(SettingsError, match=path.replace("__", ".")):
            make_registry(registry.backend, **{path: value})


def test_stamps_are_kept_by_all_processes(tmp_path):
    one, other = (Datestamps(tmp_path / "registry.db") for _ in range(2))
    first = one.stamped({"a": "1", "b": "1"})
    assert other.stamped({"a": "1", "b": "1"}) == first
    gone = other.stamped({"b": "1"})["a"]
    assert gone == Stamp(first["a"].created, gone.changed, deleted=True)
    assert one.stamped({"a": "1", "b": "1"})["a"].deleted is False


texts = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.sampled_from(["verb", "from", "until", "set", "resumptionToken", "metadataPrefix"])


def outcome(read):
    """Give what reading gives, or the code of what is wrong."""
    try:
        return read()
    except OaiError as error:
        return pickle.loads(pickle.dumps(error)).code


@given(st.lists(st.tuples(names | texts, st.sampled_from([*VERBS]) | texts), max_size=5))
def test_no_request_breaks_the_reading(pairs):
    found = outcome(lambda: read_asked(pairs))
    if isinstance(found, str):
        assert found in {"badVerb", "badArgument"}
    elif found.verb == "ListRecords":
        found = outcome(lambda: read_selection(found.arguments))
        assert not isinstance(found, str) or found.startswith("bad")


@given(st.recursive(st.none() | st.booleans() | texts, lambda inner: st.lists(inner, max_size=6)))
def test_no_token_breaks_the_reading(value):
    token = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    found = outcome(lambda: read_selection({"resumptionToken": token}))
    assert found == "badResumptionToken" or found.token(found.after) == token

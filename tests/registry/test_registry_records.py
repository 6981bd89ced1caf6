"""The records of a site: valid by their schemas, true to its catalogue, and no more than public."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy import constants
from astropy import units as u
from lxml import etree
from mocpy import MOC

sys.path.insert(0, str(Path(__file__).parent))
import registry_schemas as schemas

from obscore.coverage.app import make_maps
from obscore.coverage.extents import Extent
from obscore.coverage.settings import CoverageSettings
from obscore.sia.description import sia_capabilities
from obscore.tap.capabilities import tap_capabilities
from skylane.registry.coverage import energies, spatial_text, wavebands
from skylane.registry.identifiers import collection_keys
from vodal.access.rules import EVERYTHING
from vodal.vosi.capabilities import capabilities_document

RI = "{http://www.ivoa.net/xml/RegistryInterface/v1.0}Resource"
XSI = "{http://www.w3.org/2001/XMLSchema-instance}type"
URL = "https://archive.example.org/sky"


def records(registry) -> dict[str, etree._Element]:
    root = schemas.check(registry.ask(verb="ListRecords", metadataPrefix="ivo_vor"))
    return {one.findtext("identifier"): one for one in root.iter(RI)}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_all_records_are_valid_and_of_what_everybody_may_know(
    kind, make_backend, make_registry, files
):
    found = records(make_registry(make_backend(kind, files)))
    types = {name.removeprefix("ivo://example.org"): one.get(XSI) for name, one in found.items()}
    odd = "/deep~20field~2F~C3~A9~20~26~20~3Cx~3E~3F~23~1B"
    assert types == {
        "": "vg:Authority",
        "/site/registry": "vg:Registry",
        "/site/organisation": "vr:Organisation",
        "/site/tap": "vs:CatalogService",
        "/site/sia2": "vs:CatalogService",
        "/site/datalink": "vs:DataService",
        "/site/soda": "vs:DataService",
        "/site/hips": "vs:DataService",
        "/synthetic": "vs:CatalogResource",
        "/radio": "vs:CatalogResource",
        odd: "vs:CatalogResource",
    }
    survey = found["ivo://example.org/synthetic"]
    moc = MOC.from_string(survey.findtext("coverage/spatial"))
    for file in files:
        for one in file.observations:
            if one.row["obs_collection"] == "synthetic":
                place = one.row["s_ra"] * u.deg, one.row["s_dec"] * u.deg
                assert moc.contains_lonlat(*place).all()
    whole = MOC.from_string(found["ivo://example.org/site/tap"].findtext("coverage/spatial"))
    secret = 200.0 * u.deg, -60.0 * u.deg
    assert not whole.contains_lonlat(*secret).any()
    assert survey.findtext("coverage/footprint") == f"{URL}/moc/synthetic"
    assert [one.text for one in survey.findall("coverage/waveband")] == ["Optical"]
    assert found["ivo://example.org/radio"].find("coverage/spatial") is None
    assert found["ivo://example.org/radio"].findtext("coverage/waveband") == "Radio"
    served = survey.findall("content/relationship[relationshipType='IsServedBy']/relatedResource")
    assert {one.get("ivo-id") for one in served} <= found.keys()


def test_a_record_says_what_the_settings_say(registry):
    found = records(registry)
    survey = found["ivo://example.org/synthetic"]
    told = {
        "title": "A made-up survey",
        "shortName": "made-up",
        "curation/publisher": "Example Observatory & Friends",
        "curation/creator/name": "Doe, J.",
        "curation/contact/email": "archive@example.org",
        "content/subject": "wide-field-surveys",
        "content/source": "2026A&A...700A...1X",
        "content/referenceURL": f"{URL}/",
        "content/type": "Survey",
        "rights": "CC BY 4.0",
        "facility": "Skylane",
        "instrument": "Synthcam",
        "tableset/schema/table/name": "ivoa.obscore",
    }
    assert {path: survey.findtext(path) for path in told} == told
    tap = found["ivo://example.org/site/tap"]
    assert "Images < of > the sky." in tap.findtext("content/description")
    assert tap.findtext("capability/dataModel") == "ObsCore-1.1"
    publisher = tap.find("curation/publisher").get("ivo-id")
    assert found[publisher].findtext("content/referenceURL") == "https://example.org/"
    assert found["ivo://example.org"].find("managingOrg").get("ivo-id") == publisher
    own = found["ivo://example.org/site/registry"]
    assert own.findtext("managedAuthority") == "example.org"
    assert own.findtext("capability/interface/accessURL") == f"{URL}/registry/oai"


def test_capabilities_are_those_that_the_services_give(registry):
    found = records(registry)
    settings = registry.settings
    served = {
        "tap": tap_capabilities(f"{URL}/tap", settings.tap, settings.jobs, f"{URL}/moc"),
        "sia2": sia_capabilities(f"{URL}/sia2", f"{URL}/moc"),
    }
    for name, capabilities in served.items():
        whole = etree.fromstring(capabilities_document(capabilities))
        told = found[f"ivo://example.org/site/{name}"].findall("capability")
        assert [_plain(one) for one in told] == [_plain(one) for one in whole]
    document = registry.client.get("/registry/capabilities").content
    told = found["ivo://example.org/site/registry"].findall("capability")
    assert [_plain(one) for one in told] == [_plain(one) for one in etree.fromstring(document)]


def _plain(element) -> str:
    return etree.tostring(element, method="c14n", exclusive=True).decode().strip()


def test_security_methods_are_told_where_users_can_be_known(make_registry, registry):
    oidc = {"issuer": "https://login.example.org", "audience": ["skylane"]}
    found = records(make_registry(registry.backend, access__oidc=oidc))
    methods = found["ivo://example.org/site/sia2"].findall("capability/interface/securityMethod")
    assert {one.get("standardID") for one in methods} == {None, "ivo://ivoa.net/sso#OAuth"}


def test_a_collection_can_be_left_out(make_registry, registry):
    left_out = {"radio": {"publish": False}}
    found = records(make_registry(registry.backend, registry__collections=left_out))
    assert "ivo://example.org/radio" not in found
    assert "ivo://example.org/synthetic" in found


@pytest.mark.stilts
def test_stilts_finds_the_records_valid(registry, tmp_path):
    schemas.schema()
    locations = [
        f"schemaloc={space}={schemas.HERE / name}"
        for space, name in schemas.OURS.items()
        if name not in {"dc.xsd", "oai_dc.xsd", "stc.xsd"}
    ]
    running = []
    for verb, prefix in (("ListRecords", "ivo_vor"), ("Identify", None)):
        path = tmp_path / f"{verb}.xml"
        arguments = {"metadataPrefix": prefix} if prefix else {}
        path.write_bytes(registry.ask(verb=verb, **arguments))
        command = ["stilts", "xsdvalidate", "uselocals=true", "verbose=true", f"doc={path}"]
        running.append(subprocess.Popen(
            [*command, *locations], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ))  # fmt: skip
    for process in running:
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
        assert "Validation OK" in output, output


def test_intervals_of_energy_hold_those_of_wavelength():
    bands = ((1e-12, 2e-11), (4e-7, 5.5e-7), (0.21, 0.22))
    found = energies(Extent(wavelengths_m=bands))
    for (low, high), (energy_low, energy_high) in zip(bands, reversed(found), strict=True):
        ends = np.array([high, low]) * u.m
        least, most = (constants.h * constants.c / ends).to_value("J")
        assert float(f"{energy_low:.5g}") <= least <= most <= float(f"{energy_high:.5g}")
        assert math.isclose(energy_low, least, rel_tol=1e-3)
    # The example of VODataService 1.2: Johnson V.
    (johnson,) = energies(Extent(wavelengths_m=((480e-9, 730e-9),)))
    assert np.allclose(johnson, (2.72e-19, 4.14e-19), rtol=2e-3)
    assert wavebands(Extent(wavelengths_m=bands)) == ["Radio", "Optical", "X-ray", "Gamma-ray"]


def test_maps_as_text_are_short_and_hold_everything(make_backend, tmp_path, files):
    maps = make_maps(
        make_backend("sqlite", files), CoverageSettings(order=12, wait_limit_s=300.0), {}, tmp_path
    )
    ranges = maps.find(None, EVERYTHING)
    text = spatial_text(ranges)
    maps.close()
    told, true = MOC.from_string(text), MOC.from_depth29_ranges(12, ranges)
    assert len(text) <= 32768
    assert told.max_order <= 9
    assert true.difference(told).empty()


def test_keys_of_collections_are_valid_and_differ_whatever_their_case():
    keys = collection_keys(["Team", "team", "a b", "a~20b", "x.y-z_1", "Only", "\ud800"])
    assert keys["team"] == "team"
    assert keys["Only"] == "Only"
    assert keys["Team"].startswith("Team~")
    assert keys["x.y-z_1"] == "x.y-z_1"
    assert len({key.lower() for key in keys.values()}) == len(keys)

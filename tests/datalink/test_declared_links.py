"""Rows by the rules of a site: templates, files beside images, products by name and by pairs."""

from __future__ import annotations

import io
import shutil

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.routing import Mount

from datalink.app import create_files_app
from datalink.beside import BesideFiles
from datalink.collect import collect
from datalink.makers.declared import DeclaredLinkMaker
from datalink.makers.plane import PlaneLinkMaker
from datalink.makers.rules import LinkRule
from datalink.makers.template import Facts, Template
from datalink.names import encode_segment
from datalink.settings import DatalinkSettings
from vodal.testing.asgi import AppClient

BASE = "http://testserver"
DID = "ivo://example.org/survey?night 1/a&b.fits"


@pytest.fixture
def night(tmp_path, survey, resolver):
    """An image with files beside it, and its header that names others."""
    folder = tmp_path / "night [1]"
    folder.mkdir()
    plain = next(one for one in survey.exposures if one.path.suffix == ".fits")
    image = folder / "a&b.fits"
    shutil.copy(plain.path, image)
    fits.setval(image, "FLATFIL", value="/calib/2026/flat_r.fits[1]")
    for number, name in enumerate(["raw$x1.fits[sci]", "x2.fits", "x2.fits"], 1):
        fits.setval(image, f"IMCMB{number:03d}", value=name)
    (folder / "a&b.weight.fits").write_bytes(b"weight")
    (folder / "logs").mkdir()
    for name in ("a&b.2.log", "a&b.1.log", "other.log"):
        (folder / "logs" / name).write_text(f"log {name}")
    (tmp_path / "secret.log").write_text("secret")
    resolver.add_fits(DID, image, obscore={"dataproduct_type": "image", "obs_id": "a/b?"})
    return resolver


def made(resolver, *rules, did=DID):
    maker = DeclaredLinkMaker([LinkRule.model_validate(rule) for rule in rules])
    (links,) = collect([did], resolver, [maker], BASE)
    return links


def test_an_address_is_filled_in_and_encoded(night):
    (link,) = made(
        night,
        {"semantics": "#documentation", "url": "https://x.org/{obs_id}/{file:stem}?q={obs_id}",
         "description": "The log of {obs_id}", "public": True, "label": "log"},
    )  # fmt: skip
    assert link.access_url == "https://x.org/a%2Fb%3F/a%26b?q=a%2Fb%3F"
    assert (link.description, link.label, link.open_to_all) == ("The log of a/b?", "log", True)
    assert link.content_type == "text/html"
    # What is not known of a product leaves the row out, and so does another collection.
    for rule in (
        {"semantics": "#documentation", "url": "https://x.org/{target_name}"},
        {"semantics": "#documentation", "url": "https://x.org/", "collections": ["other"]},
    ):
        (none,) = made(night, rule)
        assert none.error_message.startswith("NotFoundFault")


def test_columns_that_a_site_adds_are_asked_for_at_once(night, survey):
    other = "ivo://example.org/survey?other.fits"
    night.add(other, survey.exposures[0].path)
    asked = []

    def values(dids, names):
        asked.append((tuple(dids), tuple(names)))
        return {DID: {"seeing": 1.25, "night": None}}

    rules = [
        {"semantics": "#documentation", "url": "https://x.org/{seeing}/{obs_id}"},
        {"semantics": "#documentation", "url": "https://x.org/{night}"},
    ]
    maker = DeclaredLinkMaker([LinkRule.model_validate(rule) for rule in rules], values)
    (link,), (none,) = collect([DID, other], night, [maker], BASE)
    assert link.access_url == "https://x.org/1.25/a%2Fb%3F"
    assert none.error_message.startswith("NotFoundFault")
    assert asked == [((DID, other), ("seeing", "obs_id", "night"))]
    # Where all that is asked for is ObsCore's own, nothing is looked up.
    plain = DeclaredLinkMaker([LinkRule.model_validate(
        {"semantics": "#documentation", "url": "https://x.org/{obs_id}"})], values)  # fmt: skip
    collect([DID], night, [plain], BASE)
    assert len(asked) == 1


BESIDE = (
    {"semantics": "#weight", "file": "{file:stem}.weight.fits"},
    {"semantics": "#auxiliary", "file": "logs/{file:stem}.*.log", "description": "Log",
     "content_type": "text/x-log"},
    {"semantics": "#auxiliary", "file": "{file:stem}.mask.fits"},
)  # fmt: skip


def test_files_beside_an_image_are_rows_and_can_be_had(night, tmp_path):
    weight, *logs = made(night, *BESIDE)
    assert (weight.semantics, weight.content_type, weight.content_length) == (
        "#weight", "image/fits", 6,
    )  # fmt: skip
    assert [log.description for log in logs] == ["Log", "Log"]
    assert (weight.link_auth, weight.link_authorized) == ("false", True)
    rules = tuple(LinkRule.model_validate(rule) for rule in BESIDE)
    files = create_files_app(night, DatalinkSettings(links=rules), cache=tmp_path)
    client = AppClient(Starlette(routes=[Mount("/files", files)]))
    answer = client.get(weight.access_url)
    assert (answer.status_code, answer.content) == (200, b"weight")
    assert 'filename="a&b.weight.fits"' in answer.headers["content-disposition"]
    assert client.get(weight.access_url, headers={"Range": "bytes=1-2"}).content == b"ei"
    contents = [client.get(log.access_url) for log in logs]
    assert [one.text for one in contents] == ["log a&b.1.log", "log a&b.2.log"]
    assert contents[0].headers["content-type"].startswith("text/x-log")
    name = encode_segment(DID)
    for path in ("logs/other.log", "../secret.log", "a&b.fits", "logs/../a&b.weight.fits", "x"):
        answer = client.get(f"{BASE}/files/beside/{name}/{encode_segment(path)}")
        assert answer.status_code == 404, path
    other = encode_segment("ivo://x/unknown")
    assert client.get(f"{BASE}/files/beside/{other}/x").status_code == 404


@given(st.text(st.sampled_from("./\\ab*?[]\0"), max_size=12))
def test_no_value_of_a_header_leads_out_of_the_path_that_a_rule_gives(value):
    class Known:
        def values(self, _name):
            return [value]

    rule = LinkRule(semantics="#auxiliary", file="logs/{obs_id}.log")
    product = _Remote()
    for one in BesideFiles([rule]).found(product, Known()):
        assert one.path == f"logs/{value}.log"
        assert "/" not in value


class _Remote:
    uri = "https://files.org/night/a.fits"
    collection = "survey"


def test_beside_files_on_servers_are_told_without_asking():
    product = _Remote()
    rules = [
        LinkRule(semantics="#weight", file="{file:stem} w.fits"),
        LinkRule(semantics="#auxiliary", file="*.log"),
        LinkRule(semantics="#auxiliary", file="../up.log"),
    ]
    product.file_name = "a.fits"
    (one,) = BesideFiles(rules).found(product, Facts(product, None))
    assert (one.uri, one.size_bytes) == ("https://files.org/night/a%20w.fits", None)


def test_products_named_by_cards(night, survey):
    for name in ("x1", "flat_r"):
        night.add(f"ivo://example.org/raw?{name}.fits", survey.exposures[0].path)
    links = made(
        night,
        {"semantics": "#progenitor", "product": "ivo://example.org/raw?{card:IMCMB*}"},
        {"semantics": "#flat", "product": "ivo://example.org/raw?{card:FLATFIL}"},
        {"semantics": "#bias", "product": "ivo://example.org/raw?{card:BIASFIL}"},
    )
    # x2 is not in the catalogue.
    assert [(one.semantics, one.leads_to.rpartition("?")[2]) for one in links] == [
        ("#progenitor", "x1.fits"), ("#flat", "flat_r.fits"),
    ]  # fmt: skip
    assert links[0].access_url.startswith(f"{BASE}/files/")
    # Of a file that was not opened yet no header is known.
    night.add(DID, survey.exposures[0].path, hdus=())
    (none,) = made(night, {"semantics": "#flat", "product": "ivo://x?{card:FLATFIL}"})
    assert none.error_message


def test_pairs_are_read_again_when_they_change(night, survey, tmp_path):
    coadd, other = "ivo://example.org/coadds?1", "ivo://example.org/coadds?2"
    for did in (coadd, other):
        night.add(did, survey.exposures[0].path)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text(f'{coadd},"{DID}"\n')
    rule = {"semantics": "#progenitor", "inverse": "#derivation", "pairs": str(pairs)}
    maker = DeclaredLinkMaker([LinkRule.model_validate(rule)])
    (one,), (back,) = collect([coadd, DID], night, [maker], BASE)
    assert (one.semantics, one.leads_to) == ("#progenitor", DID)
    assert (back.semantics, back.leads_to) == ("#derivation", coadd)
    pairs.write_text(f'{coadd},"{DID}"\n{other},"{DID}"\n')
    (links,) = collect([DID], night, [maker], BASE)
    assert [link.leads_to for link in links] == [coadd, other]
    pairs.unlink()
    (links,) = collect([DID], night, [maker], BASE)
    assert links[0].error_message.startswith("TransientFault: the list of pairs")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"semantics": "#nothing", "url": "https://x"}, "a term of DataLink's vocabulary"),
        ({"semantics": "#cutout", "url": "https://x"}, "has one row for each product"),
        ({"semantics": "#proc"}, "one of url, file, product, pairs, not none"),
        ({"semantics": "#proc", "url": "https://x", "file": "x"}, "not url and file"),
        ({"semantics": "#proc", "url": "ftp://x"}, "url begins with https://"),
        ({"semantics": "#proc", "file": "/etc/{file:stem}"}, "without a leading '/'"),
        ({"semantics": "#proc", "url": "https://x/{}"}, "is none of a column of ObsCore"),
        ({"semantics": "#proc", "url": "https://x/{card:toolongname}"}, "is none of a column"),
        ({"semantics": "#proc", "url": "https://x/{obs_id"}, "without the other"),
        ({"semantics": "#proc", "url": "https://x", "inverse": "#this"}, "one row for each"),
        ({"semantics": "#proc", "url": "https://x", "inverse": "#proc"}, "inverse goes with"),
        ({"semantics": "#proc", "product": "x", "public": True}, "public goes with url"),
    ],
)
def test_a_wrong_rule_is_refused_with_what_is_accepted(rule, told):
    with pytest.raises(ValidationError) as error:
        LinkRule.model_validate(rule)
    assert told in str(error.value)


def test_a_template_gives_one_text_for_each_value():
    class Known:
        def values(self, name):
            return {"obs_id": ["x"], "card:A*": ["1", "2"]}.get(name, [])

    assert Template.parse("a{obs_id}-{card:A*}.").filled(Known()) == ["ax-1.", "ax-2."]
    assert Template.parse("{target_name}").filled(Known()) == []
    assert Template.parse("plain").filled(Known()) == ["plain"]


def test_planes_of_an_image_are_rows_that_lead_to_single_hdus(survey_resolver, tmp_path):
    did = next(iter(survey_resolver.products))
    (links,) = collect([did], survey_resolver, [PlaneLinkMaker()], BASE)
    told = {link.label: (link.semantics, link.local_semantics) for link in links}
    assert told == {"MASK": ("#auxiliary", "mask"), "VARIANCE": ("#error", "variance")}
    files = create_files_app(survey_resolver, DatalinkSettings(), cache=tmp_path)
    client = AppClient(Starlette(routes=[Mount("/files", files)]))
    for link in links:
        answer = client.get(link.access_url)
        assert answer.headers["content-type"] == link.content_type == "image/fits"
        with fits.open(io.BytesIO(answer.content)) as hdus:
            assert [hdu.name for hdu in hdus[1:]] == [link.label]
    survey_resolver.add(did, survey_resolver.path_of(did), hdus=())
    (links,) = collect([did], survey_resolver, [PlaneLinkMaker()], BASE)
    assert links[0].error_message.startswith("NotFoundFault: there are no links")

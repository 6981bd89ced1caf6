"""The {links} service: through ASGI for its rules, over the wire for pyvo, on disk for STILTS."""

from __future__ import annotations

import io
import warnings
import xml.etree.ElementTree as ET
from urllib.parse import quote

import httpx
import lxml.html
import pyarrow as pa
import pytest
from astropy.io import votable
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from pyvo.dal.adhoc import DatalinkResults
from pyvo.dal.tap import TAPResults
from starlette.applications import Starlette
from starlette.routing import Mount

from datalink.app import create_files_app, create_links_app
from datalink.descriptors import DatalinkAnnotator
from datalink.document import COLUMNS, STANDARD_ID
from datalink.makers.file import FileLinkMaker
from datalink.makers.preview import PreviewLinkMaker
from datalink.semantics import CORE_TERMS, is_semantics
from datalink.settings import DatalinkSettings
from datalink.testing import links_faults
from vodal.errors import AuthorizationError, DataError, ServiceUnavailable
from vodal.links import InputParam, Link, ServiceDescriptor
from vodal.products import Resolver
from vodal.tables.columns import Column, ResultStream
from vodal.tables.votable import write_votable
from vodal.testing.asgi import AppClient
from vodal.testing.server import serve

UNKNOWN = "ivo://example.org/survey?nothing"
SEMANTICS = ["#this", "#preview", "#preview-image", "#thumbnail", "#cutout"]


class CutoutMaker:
    """Makes one #cutout row with a descriptor for each product."""

    def links(self, product, base_url):
        service = ServiceDescriptor(
            "soda-sync",
            "cutout",
            f"{base_url}/soda/sync",
            "ivo://ivoa.net/std/SODA#sync-1.0",
            (
                InputParam("ID", value=product.did, ucd="meta.id;meta.dataset"),
                InputParam("CIRCLE", "double", "3", unit="deg", ucd="pos.outline;obs"),
            ),
            content_type="image/fits",
        )
        yield Link(product.did, "#cutout", service=service, content_type="image/fits")


class BrokenMaker:
    """Fails, after one row."""

    def __init__(self, error=None):
        self.error = error or RuntimeError("secret")

    def links(self, product, _base_url):
        yield Link(product.did, "#this", access_url="http://half.done")
        raise self.error


MAKERS = (FileLinkMaker(), PreviewLinkMaker(), CutoutMaker())


def client_of(resolver, makers=MAKERS, **limits):
    app = create_links_app(resolver, makers, DatalinkSettings(**limits))
    return AppClient(Starlette(routes=[Mount("/datalink", app)]))


@pytest.fixture
def client(survey_resolver):
    return client_of(survey_resolver)


@pytest.fixture
def dids(survey_resolver):
    return list(survey_resolver.products)


def ids_of(dids):
    return "&".join(f"ID={quote(did, safe='')}" for did in dids)


def get(client, dids, more=""):
    return client.get(f"/datalink/links?{ids_of(dids)}{more}")


def read(answer):
    assert answer.status_code == 200, answer.text
    return votable.parse(io.BytesIO(answer.content), verify="exception").get_first_table()


def rows(answer):
    return read(answer).array


def overflowed(answer):
    return b'<INFO name="QUERY_STATUS" value="OVERFLOW">' in answer.content


def test_a_product_has_its_file_pictures_and_one_cutout(client, dids, survey_resolver):
    product = survey_resolver.products[dids[0]]
    table = rows(get(client, dids[:1]))
    assert list(table["semantics"]) == SEMANTICS
    assert set(table["ID"]) == {product.did}
    this, preview, larger, thumbnail, cutout = table
    assert this["access_url"].startswith("http://testserver/files/")
    assert this["content_type"] == "image/fits"
    assert this["content_length"] == product.size_bytes
    assert this["content_qualifier"] == "#image"
    assert preview["access_url"].startswith("http://testserver/files/preview/")
    assert larger["access_url"].startswith("http://testserver/files/preview-image/")
    assert thumbnail["access_url"].startswith("http://testserver/files/thumbnail/")
    for picture in (preview, larger, thumbnail):
        assert picture["content_type"] == "image/png"
    assert cutout["service_def"] == "soda-sync"


def test_the_table_has_the_columns_and_ucds_of_the_standard(client, dids):
    answer = get(client, dids[:1])
    fields = {field.name: field for field in read(answer).fields}
    assert list(fields) == [column.name for column in COLUMNS]
    assert fields["ID"].ucd == "meta.id;meta.main"
    assert fields["content_length"].datatype == "long"
    assert str(fields["content_length"].unit) == "byte"
    assert fields["link_authorized"].datatype == "boolean"
    assert b"<TABLEDATA>" in answer.content
    assert f'name="standardID" value="{STANDARD_ID}"'.encode() in answer.content


def test_media_type_is_to_the_letter_what_pyvo_compares_with(client, dids):
    expected = "application/x-votable+xml;content=datalink"
    for more in ("", "&RESPONSEFORMAT=votable", "&RESPONSEFORMAT=application/x-votable%2Bxml",
                 f"&RESPONSEFORMAT={quote(expected)}"):  # fmt: skip
        answer = get(client, dids[:1], more)
        assert answer.headers["content-type"] == expected
        assert b"<TABLEDATA>" in answer.content
    answer = get(client, dids[:1], "&RESPONSEFORMAT=text/xml")
    assert answer.headers["content-type"].startswith("text/xml")
    assert get(client, dids[:1], "&RESPONSEFORMAT=csv").text.startswith("ID,access_url,")


def test_a_browser_gets_links_that_can_be_followed(client, dids):
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = client.get("/datalink/links", params={"ID": dids[0]}, headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["vary"] == "Accept"
    page = lxml.html.fromstring(answer.content)
    followed = [link.get("href") for link in page.iterfind(".//td//a")]
    table = client.get("/datalink/links", params={"ID": dids[0]}, headers={"Accept": "text/html"})
    assert table.headers["content-type"] == "application/x-votable+xml;content=datalink"
    assert followed
    for url in followed:
        assert url.replace("&", "&amp;") in table.text


def test_no_id_gives_an_empty_table(client):
    answer = client.get("/datalink/links")
    assert len(rows(answer)) == 0
    assert not overflowed(answer)


def test_rows_of_many_ids_come_together_in_the_order_asked(client, dids):
    asked = [dids[2], UNKNOWN, dids[0], dids[2]]
    for answer in (get(client, asked), client.post("/datalink/links", data={"ID": asked})):
        got = [row["ID"] for row in rows(answer)]
        assert got == [dids[2]] * 5 + [UNKNOWN] + [dids[0]] * 5


def test_an_unknown_id_is_a_row_not_an_error(client):
    (row,) = rows(get(client, [UNKNOWN]))
    assert row["error_message"].startswith("NotFoundFault: ")
    assert row["semantics"] == "#this"
    assert row["access_url"] == ""


@pytest.mark.parametrize("did", ["nonsense", "a b", "12:34", "<script>"])
def test_a_malformed_id_is_a_row_that_says_so(client, did):
    (row,) = rows(get(client, [did]))
    assert row["ID"] == did
    assert row["error_message"].startswith("UsageFault: ")


def test_more_ids_than_the_limit_overflow_between_ids(survey_resolver, dids):
    client = client_of(survey_resolver, max_ids=3)
    answer = get(client, dids[:5])
    assert overflowed(answer)
    assert list(dict.fromkeys(row["ID"] for row in rows(answer))) == dids[:3]
    assert not overflowed(get(client, dids[:3]))


@pytest.mark.parametrize(("maxrec", "ids"), [(0, 0), (1, 0), (5, 1), (9, 1), (10, 2), (99, 2)])
def test_maxrec_never_cuts_inside_an_id(client, dids, maxrec, ids):
    answer = get(client, dids[:2], f"&MAXREC={maxrec}")
    assert len(rows(answer)) == 5 * ids
    assert overflowed(answer) == (ids < 2)


@pytest.mark.parametrize("more", ["&MAXREC=x", "&MAXREC=-1", "&RESPONSEFORMAT=pdf"])
def test_a_wrong_request_is_a_votable_error(client, dids, more):
    answer = get(client, dids[:1], more)
    assert answer.status_code == 400
    (info,) = etree.fromstring(answer.content).iter("{*}INFO")
    assert info.get("value") == "ERROR"
    assert info.text.startswith("UsageFault: ")


def test_a_browser_is_told_what_is_wrong_on_a_page(client):
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path, status in (("/datalink/links?MAXREC=x", 400), ("/datalink/", 404)):
        answer = client.get(path, headers=accept)
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html")
        assert "Fault: " in answer.text


@pytest.mark.parametrize(
    ("error", "label"),
    [
        (ServiceUnavailable("storage sleeps"), "TransientFault: storage sleeps"),
        (DataError("the index is damaged"), "FatalFault: the index is damaged"),
        (AuthorizationError("not yours"), "DefaultFault: not yours"),
        (RuntimeError("secret"), "FatalFault: some links"),
    ],
)
def test_a_maker_that_fails_costs_only_its_own_rows(survey_resolver, dids, error, label):
    client = client_of(survey_resolver, (FileLinkMaker(), BrokenMaker(error), CutoutMaker()))
    answer = get(client, dids[:2])
    assert [row["semantics"] for row in rows(answer)] == ["#this", "#this", "#cutout"] * 2
    assert rows(answer)[1]["error_message"].startswith(label)
    assert "secret" not in answer.text
    assert "half.done" not in answer.text


@pytest.mark.parametrize(
    "link",
    [
        Link("x", "#this"),
        Link("x", "#this", access_url="http://a", error_message="FatalFault: b"),
        Link("x", "#nonsense", access_url="http://a"),
    ],
)
def test_a_row_against_the_standard_never_gets_out(survey_resolver, dids, link):
    class Maker:
        def links(self, _product, _base_url):
            return [link]

    (row,) = rows(get(client_of(survey_resolver, (Maker(),)), dids[:1]))
    assert row["error_message"].startswith("FatalFault: ")


def test_exactly_one_target_in_every_row(client, dids):
    for row in rows(get(client, [*dids[:2], UNKNOWN])):
        targets = [row[name] for name in ("access_url", "service_def", "error_message")]
        assert sum(bool(target) for target in targets) == 1


def test_each_product_points_to_its_own_descriptor(client, dids):
    answer = get(client, dids[:3])
    named = [row["service_def"] for row in rows(answer) if row["service_def"]]
    assert len(set(named)) == 3
    tree = etree.fromstring(answer.content)
    for did, name in zip(dids[:3], named, strict=True):
        (resource,) = tree.xpath(f"//*[local-name()='RESOURCE'][@ID='{name}']")
        (param,) = resource.xpath(".//*[local-name()='PARAM'][@name='ID']")
        assert param.get("value") == did


def test_equal_descriptors_are_written_once(survey_resolver, dids):
    shared = ServiceDescriptor("ID", "shared", "http://a/s", "", ())

    class Maker:
        def links(self, product, _base_url):
            return [Link(product.did, "#proc", service=shared)]

    answer = get(client_of(survey_resolver, (Maker(),)), dids[:3])
    (name,) = {row["service_def"] for row in rows(answer)}
    # "ID" is the ID of a FIELD already.
    assert name == "ID-2"
    assert answer.text.count("adhoc:service") == 1


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(
            lambda text: f"ivo://x/{text.strip()}"
        ),
        min_size=1,
        max_size=3,
        unique=True,
    )
)
@settings(deadline=None, max_examples=40)
def test_ids_come_back_as_they_were_sent(nasty):
    class Nothing(Resolver):
        def resolve(self, _dids):
            return {}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = [row["ID"] for row in rows(get(client_of(Nothing()), nasty))]
    valid = [did.replace("\ufffe", "?").replace("\uffff", "?") for did in nasty]
    assert got == valid


def test_core_terms_are_known():
    assert {"#this", "#cutout", "#preview", "#counterpart", "#calibration"} <= CORE_TERMS
    assert is_semantics("http://www.ivoa.net/rdf/datalink/core#this")
    assert not is_semantics("this")
    assert not is_semantics("javascript:#this")


def test_capabilities_declare_links_in_the_case_clients_compare_with(client):
    text = client.get("/datalink/capabilities").text
    assert f'standardID="{STANDARD_ID}"' in text
    assert "http://testserver/datalink/links</accessURL>" in text
    assert "<queryType>GET</queryType><queryType>POST</queryType>" in text
    assert client.get("/datalink/availability").status_code == 200


def test_capabilities_tell_of_lists_of_files_under_no_standard(client):
    root = ET.fromstring(client.get("/datalink/capabilities").content)
    (lists,) = (one for one in root if "standardID" not in one.attrib)
    interface = lists.find("interface")
    assert interface.findtext("accessURL") == "http://testserver/files/bulk"
    assert [one.text for one in interface.iterfind("param/name")] == ["ID", "MULTI"]
    # None that a client looks for by the role of a standard.
    assert "role" not in interface.attrib


PUBLISHER_DID = Column(
    "obs_publisher_did", "char", "*", utype="obscore:Curation.publisherDID", ucd="meta.ref.ivoid"
)


@pytest.mark.parametrize("name", ["obs_publisher_did", "did", "my id", "ID", "datalink_links"])
def test_a_table_of_products_points_to_their_links_under_any_alias(name, survey_resolver, dids):
    column = Column(name, "char", "*", utype=PUBLISHER_DID.utype)
    columns = (Column("did", "int"), column)
    found = DatalinkAnnotator().descriptors(columns, "http://a.b/sky")
    (descriptor,) = found
    assert descriptor.standard_id == "ivo://ivoa.net/std/DataLink#links-1.1"
    batch = pa.RecordBatch.from_arrays(
        [pa.array([1], pa.int32()), pa.array(dids[:1])], names=["did", name]
    )
    data = b"".join(write_votable(ResultStream(columns, iter([batch])), resources=found))
    tree = etree.fromstring(data)
    (ref,) = tree.xpath("//*[local-name()='PARAM'][@name='ID']/@ref")
    (field,) = tree.xpath(f"//*[local-name()='FIELD'][@ID='{ref}']")
    assert field.get("name") == name
    assert field.get("utype") == PUBLISHER_DID.utype
    (url,) = tree.xpath("//*[local-name()='PARAM'][@name='accessURL']/@value")
    assert url == "http://a.b/sky/datalink/links"


def test_a_table_without_products_points_nowhere():
    assert DatalinkAnnotator().descriptors((Column("n", "int"),), "http://a") == ()


@pytest.fixture
def server(survey_resolver, tmp_path):
    links = create_links_app(survey_resolver, MAKERS, DatalinkSettings(max_ids=4))
    files = create_files_app(survey_resolver, DatalinkSettings(), cache=tmp_path)
    with serve(Starlette(routes=[Mount("/datalink", links), Mount("/files", files)])) as running:
        yield running.url


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.usefixtures("pyvo_sockets")
def test_pyvo_follows_links_to_the_file(server, dids, survey_resolver):
    results = DatalinkResults.from_result_url(f"{server}/datalink/links?{ids_of(dids[:1])}")
    assert [row.semantics for row in results] == SEMANTICS
    (this,) = results.bysemantics("#this", include_narrower=False)
    assert this.content_type == "image/fits"
    assert this.getdataset().read() == httpx.get(this.access_url).content
    procs = list(results.iter_procs())
    assert [proc.service_def for proc in procs] == ["soda-sync"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.usefixtures("pyvo_sockets")
def test_pyvo_asks_in_batches_until_it_has_all(server, dids):
    descriptors = DatalinkAnnotator().descriptors((PUBLISHER_DID,), server)
    batch = pa.RecordBatch.from_arrays([pa.array(dids)], names=["obs_publisher_did"])
    stream = ResultStream((PUBLISHER_DID,), iter([batch]))
    data = b"".join(write_votable(stream, resources=descriptors))
    results = TAPResults(votable.parse(io.BytesIO(data)), url="http://x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the overflow that tells the size of a batch
        found = [link["ID"] for links in results.iter_datalinks() for link in links]
    # pyvo sorts each batch by identifier.
    assert sorted(found) == sorted(did for did in dids for _ in range(5))


@pytest.mark.stilts
def test_stilts_finds_no_fault(server, dids, survey_resolver):
    far = "ivo://example.org/far?x y.fits"
    survey_resolver.add(
        far, survey_resolver.path_of(dids[0]), uri="https://files.example.org/x.fits", hdus=(),
        size_bytes=None,
    )  # fmt: skip
    for query in (ids_of([*dids[:2], UNKNOWN, "nonsense"]), "", ids_of([*dids[:2], far])):
        assert links_faults(f"{server}/datalink/links?{query}") == []

"""Who may see what: each endpoint, each kind of caller, each right, through one real server."""

from __future__ import annotations

import csv
import io
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table

sys.path.insert(0, str(Path(__file__).parent))
from access_site import (
    BAD,
    CALLERS,
    FREE,
    IMAGES,
    MEMBERS,
    PLACE,
    UNKNOWN,
    Archive,
    live_tile,
    submit,
)

from datalink.names import encode_segment

pytestmark = pytest.mark.xdist_group("access")

# Data -----------------------------------------------------------------------------------------


def circle(right: str) -> str:
    ra, dec = PLACE[right]
    return f"{ra} {dec} 0.2"


Ask = Callable[[Archive, str, str], httpx.Response]


def _file(archive: Archive, caller: str, right: str) -> httpx.Response:
    return archive.get(caller, f"/files/{encode_segment(archive.dids[right])}")


def _extension(archive: Archive, caller: str, right: str) -> httpx.Response:
    path = f"/files/{encode_segment(archive.dids[right])}"
    return archive.get(caller, path, HDU="0", COMPRESSION="none")


def _bulk(archive: Archive, caller: str, right: str) -> httpx.Response:
    led = archive.get(caller, "/files/bulk", ID=archive.dids[right])
    if led.status_code != 303:
        return led
    return archive.get(caller, urlsplit(led.headers["location"]).path)


def _preview(archive: Archive, caller: str, right: str) -> httpx.Response:
    return archive.get(caller, f"/files/preview/{encode_segment(archive.dids[right])}")


def _cutout(**more: str) -> Ask:
    def ask(archive: Archive, caller: str, right: str) -> httpx.Response:
        params = {"ID": archive.dids[right], "CIRCLE": circle(right), **more}
        return archive.get(caller, "/soda/sync", **params)

    return ask


def _stitched(archive: Archive, caller: str, right: str) -> httpx.Response:
    params = {"ID": archive.dids[right], "CIRCLE": circle(right)}
    return archive.get(caller, "/soda/stitched", **params)


DATA: dict[str, Ask] = {
    "file": _file,
    "extension": _extension,
    "bulk": _bulk,
    "preview": _preview,
    "cutout": _cutout(),
    "header": _cutout(KIND="HEADER"),
    "picture": _cutout(RESPONSEFORMAT="image/png"),
    "tar": _cutout(MULTI="tar"),
    "mef": _cutout(MULTI="mef"),
    "stitched": _stitched,
}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("endpoint", DATA)
def test_data_is_for_who_may_have_it(archive, endpoint, caller):
    for right, did in archive.dids.items():
        # What was found for another a moment ago is known to the service.
        DATA[endpoint](archive, "member", right)
        answer = DATA[endpoint](archive, caller, right)
        if caller in BAD:
            wanted = 401
        elif caller in MEMBERS or right in FREE:
            wanted = 200
        elif right in UNKNOWN:
            wanted = 404
        else:
            wanted = 403 if caller == "stranger" else 401
        assert answer.status_code == wanted, (right, answer.text[:300])
        assert bool(answer.headers.get_list("www-authenticate")) == (wanted == 401)
        if wanted == 404:
            # Told as what is not there at all, to the letter.
            absent = DATA[endpoint](replace(archive, dids={right: f"{did}x"}), caller, right)
            assert absent.status_code == 404
            assert absent.text.replace(f"{did}x", did) == answer.text


def test_answers_that_depend_on_the_caller_are_private_and_those_of_the_public_are_not(archive):
    public, group = (_file(archive, "member", right) for right in ("public", "group"))
    assert public.headers["cache-control"] == "no-cache, no-transform"
    assert "authorization" not in public.headers.get("vary", "").lower()
    assert group.headers["cache-control"] == "private, no-cache, no-transform"
    assert "Authorization" in group.headers["vary"]
    picture = _preview(archive, "member", "group")
    assert picture.headers["cache-control"] == "private, max-age=3600"
    rows = archive.get("anonymous", "/tap/sync", LANG="ADQL", QUERY="SELECT * FROM ivoa.obscore")
    assert "private" in rows.headers["cache-control"]
    assert "Authorization" in rows.headers["vary"]


# Links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("caller", CALLERS)
def test_links_say_who_must_be_known_and_who_is_authorized(archive, caller):
    answer = archive.get(caller, "/datalink/links")
    pairs = [("ID", did) for did in archive.dids.values()]
    answer = archive.get(caller, f"/datalink/links?{urlencode(pairs)}")
    if caller in BAD:
        assert answer.status_code == 401
        assert b"VOTABLE" in answer.content
        return
    table = parse_single_table(io.BytesIO(answer.content)).to_table()
    for right, did in archive.dids.items():
        rows = table[table["ID"] == did]
        if right in UNKNOWN and caller not in MEMBERS:
            assert len(rows) == 1
            assert str(rows["error_message"][0]).startswith("NotFoundFault: there is no product")
            continue
        assert {"#this", "#preview", "#cutout"} <= set(rows["semantics"])
        is_public = right in FREE
        told = rows[rows["semantics"] == "#this"]
        assert told["link_auth"][0] == ("false" if is_public else "true")
        assert set(rows["link_auth"][rows["semantics"] != "#derivation"]) == set(told["link_auth"])
        if not is_public:
            assert set(rows["link_auth"]) == {"true"}
        allowed = is_public or caller in MEMBERS
        assert set(rows["link_authorized"][rows["link_auth"] == told["link_auth"][0]]) == {allowed}


# Rows -----------------------------------------------------------------------------------------

COUNTS = {
    "rows": "SELECT COUNT(*) AS n FROM ivoa.obscore",
    "alias": "SELECT COUNT(*) AS n FROM ivoa.obscore AS o",
    "sub-query": "SELECT COUNT(*) AS n FROM (SELECT * FROM ivoa.obscore) AS o",
    "with": "WITH o AS (SELECT obs_id FROM ivoa.obscore) SELECT COUNT(*) AS n FROM o",
    "join": "SELECT COUNT(*) AS n FROM ivoa.obscore AS a JOIN ivoa.obscore AS b"
    " ON a.obs_publisher_did = b.obs_publisher_did",
    "left join": "SELECT COUNT(b.obs_id) AS n FROM ivoa.obscore AS a LEFT JOIN ivoa.obscore AS b"
    " ON a.obs_publisher_did = b.obs_publisher_did",
    "exists": "SELECT COUNT(*) AS n FROM ivoa.obscore AS a WHERE EXISTS"
    " (SELECT * FROM ivoa.obscore AS b WHERE a.obs_publisher_did = b.obs_publisher_did)",
    "in": "SELECT COUNT(*) AS n FROM ivoa.obscore WHERE obs_publisher_did IN"
    " (SELECT obs_publisher_did FROM ivoa.obscore)",
    "cone": "SELECT COUNT(*) AS n FROM ivoa.obscore"
    " WHERE 1 = INTERSECTS(s_region, CIRCLE(18, 5, 40))",
    "point": "SELECT COUNT(*) AS n FROM ivoa.obscore"
    " WHERE 1 = CONTAINS(POINT(s_ra, s_dec), CIRCLE(18, 5, 40))",
    "union": "SELECT COUNT(*) AS n FROM (SELECT obs_publisher_did FROM ivoa.obscore"
    " UNION SELECT obs_publisher_did FROM ivoa.obscore) AS u",
    "facets": "SELECT SUM(c) AS n FROM (SELECT obs_collection, COUNT(*) AS c FROM ivoa.obscore"
    " GROUP BY obs_collection) AS g",
    "distinct": "SELECT COUNT(DISTINCT obs_publisher_did) AS n FROM ivoa.obscore",
    "extremes": "SELECT COUNT(*) AS n, MIN(t_min) AS a, MAX(t_max) AS b FROM ivoa.obscore",
    "having": "SELECT COUNT(*) AS n FROM ivoa.obscore HAVING COUNT(*) > 0",
    "whatever": "SELECT COUNT(*) AS n FROM ivoa.obscore WHERE 1 = 1 OR obs_collection = 'secret'",
}


def visible(caller: str) -> set[str]:
    return set(IMAGES) if caller in MEMBERS else set(IMAGES) - UNKNOWN


@pytest.mark.parametrize("caller", CALLERS)
def test_rows_are_those_that_one_may_know_of_however_they_are_asked_for(archive, caller):
    if caller in BAD:
        answer = archive.post(caller, "/tap/sync", data={"LANG": "ADQL", "QUERY": COUNTS["rows"]})
        assert answer.status_code == 401
        assert b"VOTABLE" in answer.content
        assert archive.get(caller, "/sia2/query").status_code == 401
        return
    seen = visible(caller)
    dids = {archive.dids[right] for right in seen}
    rows = archive.rows(caller, "SELECT obs_publisher_did, obs_collection FROM ivoa.obscore")
    sia = archive.get(caller, "/sia2/query", RESPONSEFORMAT="csv")
    assert {row["obs_publisher_did"] for row in csv.DictReader(sia.text.splitlines())} == dids
    assert {row["obs_publisher_did"] for row in rows} == dids
    for name, query in COUNTS.items():
        (row,) = archive.rows(caller, query)
        assert int(float(row["n"])) == len(seen), name
    names = archive.rows(caller, "SELECT DISTINCT obs_collection FROM ivoa.obscore")
    collections = {IMAGES[right][0] for right in seen}
    assert {row["obs_collection"] for row in names} == collections
    groups = "SELECT obs_collection, COUNT(*) AS n FROM ivoa.obscore GROUP BY obs_collection"
    counts = {row["obs_collection"]: int(row["n"]) for row in archive.rows(caller, groups)}
    for collection in collections:
        assert counts[collection] == sum(IMAGES[right][0] == collection for right in seen)
    (farthest,) = archive.rows(caller, "SELECT MAX(s_ra) AS ra, MIN(s_ra) AS low FROM ivoa.obscore")
    assert float(farthest["ra"]) == pytest.approx(max(PLACE[right][0] for right in seen), abs=0.05)


@pytest.mark.parametrize("caller", ["anonymous", "member", "stranger"])
def test_a_table_that_is_uploaded_meets_no_hidden_rows(archive, caller):
    mine = "did\n" + "\n".join(archive.dids.values()) + "\n"
    query = (
        "SELECT m.did FROM TAP_UPLOAD.mine AS m JOIN ivoa.obscore AS o"
        " ON m.did = o.obs_publisher_did"
    )
    rows = archive.rows(caller, query, mine=("mine.csv", mine, "text/csv"))
    assert {row["did"] for row in rows} == {archive.dids[right] for right in visible(caller)}


@pytest.mark.parametrize("caller", ["anonymous", "member", "stranger"])
def test_explanations_are_for_who_may_know_of_all(archive, caller):
    asked = {"LANG": "ADQL", "QUERY": COUNTS["rows"], "EXPLAIN": "1", "RESPONSEFORMAT": "json"}
    answer = archive.get(caller, "/tap/sync", **asked)
    plain = archive.get(
        caller, "/tap/sync", **{**asked, "QUERY": "SELECT 1 AS x FROM ivoa.obscore"}
    )
    wanted = {"anonymous": 401, "stranger": 403, "member": 200}[caller]
    assert (answer.status_code, plain.status_code) == (wanted, wanted), answer.text


def test_examples_show_what_is_public(archive):
    for path in ("/tap/examples", "/tap/", "/soda/examples"):
        for caller in ("anonymous", "member"):
            page = archive.get(caller, path)
            assert page.status_code == 200
            assert "secret" not in page.text
            assert "unshown" not in page.text
    assert "team" not in archive.get("member", "/soda/examples").text


# Jobs -----------------------------------------------------------------------------------------


def finished(archive: Archive, caller: str, job: str) -> str:
    end = time.monotonic() + 60
    while (phase := archive.get(caller, f"{job}/phase").text) not in {"COMPLETED", "ERROR"}:
        assert time.monotonic() < end, phase
        time.sleep(0.05)
    return phase


@pytest.mark.parametrize("caller", ["anonymous", "member", "stranger"])
def test_queries_of_jobs_see_what_their_owner_may(archive, caller):
    job = submit(
        archive, caller, "/tap/async", LANG="ADQL", QUERY=COUNTS["rows"], RESPONSEFORMAT="csv"
    )
    assert finished(archive, caller, job) == "COMPLETED"
    assert archive.get(caller, f"{job}/results/result").text.split() == [
        "n", str(len(visible(caller))),
    ]  # fmt: skip


@pytest.mark.parametrize("caller", ["anonymous", "member", "stranger"])
def test_cutouts_of_jobs_are_those_that_their_owner_may_have(archive, caller):
    rights = list(IMAGES)
    job = submit(
        archive, caller, "/soda/async", MULTI="tar", CIRCLE=[circle(right) for right in rights],
        ID=[archive.dids[right] for right in rights],
    )  # fmt: skip
    assert finished(archive, caller, job) == "COMPLETED"
    results = archive.get(caller, f"{job}/results/cutouts")
    with tarfile.open(fileobj=io.BytesIO(results.content)) as tar:
        made = {name for name in tar.getnames() if name.endswith(".fits")}
    allowed = set(rights) if caller in MEMBERS else FREE
    assert {right for right in rights if any(f"{right}" in name for name in made)} >= allowed
    assert len(made) == len(allowed)


@pytest.mark.parametrize("caller", ["anonymous", "member", "stranger"])
def test_tables_of_positions_meet_only_images_that_one_may_have(archive, caller):
    lines = "\n".join(f"{ra},{dec},0.1" for ra, dec in PLACE.values())
    answer = archive.post(
        caller, "/soda/async",
        data={"PHASE": "RUN", "UPLOAD": "t,param:t", "MULTI": "tar"},
        files={"t": ("t.csv", f"ra,dec,radius\n{lines}\n", "text/csv")},
    )  # fmt: skip
    assert answer.status_code == 303, answer.text
    job = answer.headers["location"].removeprefix(archive.url)
    assert finished(archive, caller, job) == "COMPLETED"
    table = archive.get(caller, f"{job}/cutouts", RESPONSEFORMAT="csv").text
    rows = list(csv.DictReader(table.splitlines()))
    statuses = [row["status"] for row in rows]
    allowed = set(IMAGES) if caller in MEMBERS else FREE
    assert statuses.count("ok") == len(allowed), table
    for right in set(IMAGES) - allowed:
        assert archive.dids[right] not in table


def test_jobs_are_their_owners(archive):
    job = submit(archive, "member", "/tap/async", LANG="ADQL", QUERY=COUNTS["rows"])
    assert finished(archive, "member", job) == "COMPLETED"
    number = job.rsplit("/", 1)[-1]
    for child in ("", "/phase", "/results", "/results/result", "/parameters", "/owner"):
        assert archive.get("anonymous", job + child).status_code == 401
        assert archive.get("stranger", job + child).status_code == 403
        assert archive.get("expired", job + child).status_code == 401
        assert archive.get("signed", job + child).status_code == 200
    for caller in ("anonymous", "stranger"):
        assert number not in archive.get(caller, "/tap/async").text
        changed = archive.post(caller, f"{job}/destruction", data={"DESTRUCTION": "2999-01-01"})
        assert changed.status_code in {401, 403}
        gone = httpx.delete(archive.url + job, headers=archive.headers(caller))
        assert gone.status_code in {401, 403}
    assert number in archive.get("member", "/tap/async").text
    assert "ada" in archive.get("member", job).text
    deleted = httpx.delete(archive.url + job, headers=archive.headers("member"))
    assert deleted.status_code == 303
    assert archive.get("member", job).status_code == 404


# Stitched images, HiPS and live HiPS ----------------------------------------------------------


@pytest.mark.parametrize("caller", ["anonymous", "member", "stranger", "signed"])
def test_images_stitched_by_collection_are_those_that_one_may_have(archive, caller):
    for right, (collection, _) in IMAGES.items():
        answer = archive.get(caller, "/soda/stitched", COLLECTION=collection, CIRCLE=circle(right))
        if caller in MEMBERS or right in FREE:
            wanted = {200}
        elif collection in {"later", "shy"}:
            wanted = {204}
        else:
            wanted = {404}
        assert answer.status_code in wanted, (right, answer.text)


HIPS = {"open": True, "later": False, "shy": False, "team": False, "secret": False}
"""Built ones, and whether all of their images are free."""


@pytest.mark.parametrize("caller", CALLERS)
def test_a_hips_is_for_who_may_have_all_of_its_images(archive, caller):
    listed = archive.get(caller, "/hips/list")
    for name, is_free in HIPS.items():
        tiles = sorted((archive.folder / "hips" / name).glob("Norder3/*/*.png"))
        tile = tiles[0].relative_to(archive.folder / "hips" / name)
        right = next(right for right, (of, _) in IMAGES.items() if of == name)
        ra, dec = PLACE[right]
        asked = {
            "ra": ra, "dec": dec, "fov": 0.5, "width": 20, "height": 20, "projection": "TAN",
        }  # fmt: skip
        answers = [
            archive.get(caller, f"/hips/{name}/properties"),
            archive.get(caller, f"/hips/{name}/{tile}"),
            archive.get(caller, f"/hips/{name}/Moc.fits"),
            archive.get(caller, f"/hips/{name}/cutout", **asked),
            archive.get(caller, f"/hips/{name}/progenitors", RA=ra, DEC=dec),
        ]
        if caller in BAD:
            wanted = 401
        elif caller in MEMBERS or is_free:
            wanted = 200
        elif name in {"shy", "secret"}:
            wanted = 404
        else:
            wanted = 403 if caller == "stranger" else 401
        assert [answer.status_code for answer in answers] == [wanted] * 5, name
        if caller in BAD:
            assert listed.status_code == 401
            continue
        assert (f"/hips/{name}\n" in listed.text) == (wanted == 200)
        if wanted == 200:
            cached = answers[1].headers["cache-control"]
            assert ("private" in cached) != is_free


@pytest.mark.parametrize("caller", ["anonymous", "member", "stranger", "signed"])
@pytest.mark.parametrize("name", ["all", "2019-05-05", ""])
def test_live_tiles_are_made_of_images_that_one_may_have(archive, caller, name):
    for right, (collection, _) in IMAGES.items():
        # A member's tile is kept before others ask.
        assert live_tile(archive, "member", name or collection, right).status_code == 200
        answer = live_tile(archive, caller, name or collection, right)
        if caller in MEMBERS or right in FREE:
            wanted = 200
        elif name or collection in {"later", "shy", "secret"}:
            wanted = 404
        else:
            wanted = 403 if caller == "stranger" else 401
        assert answer.status_code == wanted, (right, answer.text[:200])
        if wanted == 200:
            assert "private" in answer.headers["cache-control"]
    ra, dec = PLACE["hidden"]
    found = archive.get(caller, "/hips/live/all/progenitors", RA=ra, DEC=dec).json()["images"]
    assert len(found) == (1 if caller in MEMBERS else 0)


@pytest.mark.parametrize("caller", ["anonymous", "member", "stranger"])
def test_what_a_live_hips_tells_is_of_images_that_one_may_have(archive, caller):
    page = archive.get(caller, "/hips/live/all/properties").text
    count = len(IMAGES) if caller in MEMBERS else len(FREE)
    assert f"{count} images of" in page
    assert ("secret" in page) == (caller in MEMBERS)
    listed = archive.get(caller, "/hips/live/list").text
    assert ("/live/secret\n" in listed) == (caller in MEMBERS)
    assert ("/live/team\n" in listed) == (caller in MEMBERS)
    assert "/live/later\n" in listed


@pytest.mark.parametrize("caller", ["anonymous", "stranger"])
def test_pictures_and_tables_of_a_live_hips_are_of_images_that_one_may_have(archive, caller):
    refused = 403 if caller == "stranger" else 401
    for file in ("Norder3/Allsky.png", "preview.jpg", "metadata.xml", "Moc.fits", "properties"):
        # A member's are kept before others ask.
        whole = archive.get("member", f"/hips/live/all/{file}")
        part = archive.get(caller, f"/hips/live/all/{file}")
        assert (whole.status_code, part.status_code) == (200, 200), file
        assert whole.content != part.content, file
        assert whole.headers.get("etag", "1") != part.headers.get("etag", "2")
        assert archive.get("member", f"/hips/live/team/{file}").status_code == 200
        assert archive.get(caller, f"/hips/live/team/{file}").status_code == refused
        assert archive.get(caller, f"/hips/live/secret/{file}").status_code == 404
    images = archive.get(caller, "/hips/live/all/metadata.xml").text
    named = {right for right, did in archive.dids.items() if f"{right}.fits" in images}
    assert named == FREE


# How to be known ------------------------------------------------------------------------------


def test_capabilities_say_how_one_can_be_known(archive):
    for service in ("tap", "soda", "datalink"):
        answer = archive.get("anonymous", f"/{service}/capabilities")
        assert answer.status_code == 200
        assert len(answer.headers.get_list("www-authenticate")) == 2
        assert '<securityMethod standardID="ivo://ivoa.net/sso#OAuth"' in answer.text
        known = archive.get("member", f"/{service}/capabilities")
        assert known.headers["x-vo-authenticated"] == "ada"
        assert "www-authenticate" not in known.headers


def test_pyvo_works_anonymously_and_with_a_token(archive, pyvo_sockets):
    import pyvo
    import requests

    for caller in ("anonymous", "member"):
        session = requests.Session()
        session.headers.update(archive.headers(caller))
        service = pyvo.dal.TAPService(f"{archive.url}/tap", session=session)
        found = service.run_async(COUNTS["rows"])
        assert found["n"][0] == len(visible(caller))
        session.close()


def test_pyvo_has_links_and_cutouts_with_a_token(archive, pyvo_sockets):
    import pyvo
    import requests

    with requests.Session() as session:
        session.headers.update(archive.headers("member"))
        service = pyvo.dal.TAPService(f"{archive.url}/tap", session=session)
        (row,) = service.search("SELECT * FROM ivoa.obscore WHERE obs_collection = 'secret'")
        assert all(link["link_authorized"] for link in row.getdatalink())
        # pyvo 1.9 takes its session along to links, and to cutouts only if it is told to.
        cutout = row.processed(circle=(*PLACE["hidden"], 0.1), session=session)
        assert fits.open(io.BytesIO(cutout.read()))[0].header["NAXIS"] == 2


def test_a_proxy_on_the_same_machine_names_users_and_forwards_their_addresses(archive):
    url = f"{archive.url}/files/{encode_segment(archive.dids['group'])}"
    named = {"X-User": "eve", "X-Groups": "guests, staff", "X-Forwarded-For": "203.0.113.9"}
    assert httpx.get(url, headers=named).status_code == 200
    assert httpx.get(url, headers={**named, "X-Groups": "guests"}).status_code == 403
    assert httpx.get(url, headers={"X-Groups": "staff"}).status_code == 401


def test_pipelines_have_a_token_of_their_own(archive):
    own = {"Authorization": "Bearer a-token-of-pipelines,which-is-no-JWT"}
    names = ["/nowhere/a.fits"]
    answer = httpx.post(f"{archive.url}/ingest", json=names, headers=own)
    assert answer.status_code == 400
    assert "none of the files is taken" in answer.text
    member = httpx.post(f"{archive.url}/ingest", json=names, headers=archive.headers("member"))
    assert member.status_code == 401
    assert "site's token" in member.text
    assert archive.get("anonymous", "/ingests").status_code == 404
    assert httpx.get(f"{archive.url}/tap/sync", headers=own).status_code == 401


def test_the_server_says_nothing_of_keys_tokens_and_signatures(archive):
    key = (archive.folder / "signing.key").read_text()
    _file(archive, "signed", "group")
    log = (archive.folder / "server.log").read_text()
    assert key not in log
    assert "SIGNATURE=" not in log
    assert archive.tokens["member"] not in log


def test_rules_for_no_collection_are_warned_of(archive):
    log = (archive.folder / "server.log").read_text()
    assert log.count("access: there is a rule for 'Team', and no such collection") == 1
    assert "'team'" not in log

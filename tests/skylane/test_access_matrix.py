"""Who gets what: each endpoint, each kind of caller, each right, as one table."""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from access_site import BAD_LINKS, BAD_TOKENS, MEMBERS, PLACE, Archive, live_tile, submit

from datalink.names import encode_segment

pytestmark = pytest.mark.xdist_group("access")

CALLERS = ["anonymous", "stranger", "member", "admin", "signed", *sorted(BAD_TOKENS | BAD_LINKS)]
MAY = MEMBERS | {"admin"}

DATA, KNOWN, WHOLE, CLOSED, OWN, OPEN = "data", "known", "whole", "closed", "own", "open"
UNSEEN, MADE, PIPELINE = "unseen", "made", "pipeline"
"""What an endpoint gives: pixels of an image; what is known of one; what is for who may know of
all; a closed table; a job of the member's; what everybody gets; a table that is hidden; what is
made of the images of a collection that one may have; what the token of pipelines alone opens."""


@dataclass(frozen=True)
class Endpoint:
    kind: str
    path: str
    """With ``{did}``, ``{segment}``, ``{circle}``, ``{ra}``, ``{dec}``, ``{name}``, ``{list}``,
    ``{archive}`` (of the member's) and ``{job}`` in it, encoded where they are put."""
    hidden: int = 404
    """Status for what is hidden from who asks."""
    given: int = 200
    """Status for who may have it."""


ENDPOINTS = {
    "file": Endpoint(DATA, "/files/{segment}"),
    "preview": Endpoint(DATA, "/files/preview/{segment}"),
    "cutout": Endpoint(DATA, "/soda/sync?ID={did}&CIRCLE={circle}"),
    "header of a cutout": Endpoint(DATA, "/soda/sync?ID={did}&CIRCLE={circle}&KIND=HEADER"),
    "cutouts": Endpoint(DATA, "/soda/sync?ID={did}&CIRCLE={circle}&MULTI=zip"),
    "in colour": Endpoint(
        DATA, "/soda/sync?ID={did}&ID={did}&ID={did}&CIRCLE={circle}&COMBINE=rgb"
    ),
    "stitched": Endpoint(DATA, "/soda/stitched?ID={did}&CIRCLE={circle}"),
    "stitched of a collection": Endpoint(MADE, "/soda/stitched?COLLECTION={name}&CIRCLE={circle}"),
    "list of files": Endpoint(DATA, "/files/bulk?ID={did}", given=303),
    "list of files, kept": Endpoint(DATA, "/files/bulk/{list}", given=303),
    "archive of files": Endpoint(DATA, "/files/bulk/{archive}"),
    "hook's job": Endpoint(PIPELINE, "/ingest/{job}"),
    "hips": Endpoint(DATA, "/hips/{name}/properties"),
    "hips cutout": Endpoint(
        DATA, "/hips/{name}/cutout?ra={ra}&dec={dec}&fov=0.5&width=20&height=20&projection=TAN"
    ),
    "live hips": Endpoint(DATA, "/hips/live/{name}/properties"),
    "images behind a tile": Endpoint(DATA, "/hips/live/{name}/progenitors?RA={ra}&DEC={dec}"),
    "coverage": Endpoint(KNOWN, "/moc/{name}"),
    "links": Endpoint(KNOWN, "/datalink/links?ID={did}", hidden=200),
    "explanation": Endpoint(
        WHOLE, "/tap/sync?LANG=ADQL&EXPLAIN=1&QUERY=SELECT+obs_id+FROM+ivoa.obscore"
    ),
    "closed table": Endpoint(CLOSED, "/tap/sync?LANG=ADQL&QUERY=SELECT+star+FROM+closed.stars"),
    "closed table, joined": Endpoint(
        CLOSED,
        "/tap/sync?LANG=ADQL&QUERY=SELECT+a.star+FROM+free.stars+AS+a+JOIN"
        "+(SELECT+*+FROM+CLOSED.Stars)+AS+b+ON+a.star=b.star",
    ),
    "hidden table": Endpoint(
        UNSEEN, "/tap/sync?LANG=ADQL&QUERY=SELECT+star+FROM+Unseen.stars", hidden=400
    ),
    "description of a hidden table": Endpoint(UNSEEN, "/tap/tables/unseen.stars"),
    "job": Endpoint(OWN, "/tap/async/{job}"),
    "job's parameters": Endpoint(OWN, "/tap/async/{job}/parameters"),
    "job's result": Endpoint(OWN, "/tap/async/{job}/results/result"),
    "free table": Endpoint(OPEN, "/tap/sync?LANG=ADQL&QUERY=SELECT+star+FROM+free.stars"),
    "rows": Endpoint(OPEN, "/tap/sync?LANG=ADQL&QUERY=SELECT+obs_id+FROM+ivoa.obscore"),
    "images": Endpoint(OPEN, "/sia2/query"),
    "jobs": Endpoint(OPEN, "/tap/async"),
    "hips list": Endpoint(OPEN, "/hips/list"),
    "all coverage": Endpoint(OPEN, "/moc/"),
    "examples": Endpoint(OPEN, "/tap/examples"),
    "capabilities": Endpoint(OPEN, "/soda/capabilities"),
}
"""A new endpoint is a row here."""


@pytest.fixture(scope="module")
def job(archive) -> str:
    # Maps of a server that has just started are told to come back for.
    while (early := archive.get("member", "/moc/")).status_code == 503:
        assert "retry-after" in early.headers
    path = submit(archive, "member", "/tap/async", LANG="ADQL", QUERY="SELECT star FROM free.stars")
    assert archive.get("member", f"{path}?WAIT=60&PHASE=QUEUED").status_code == 200
    assert archive.get("member", f"{path}?WAIT=60&PHASE=EXECUTING").status_code == 200
    assert archive.get("member", f"{path}/phase").text == "COMPLETED"
    return path.rpartition("/")[2]


@pytest.fixture(scope="module")
def archives(archive) -> dict[str, str]:
    """Give the addresses of the archives that the member has begun, by what is in them."""
    found = {}
    for right in ("public", "group", "hidden"):
        led = archive.get("member", "/files/bulk", ID=archive.dids[right])
        found[right] = led.headers["location"].partition("/files/bulk/")[2]
    return found


def address(
    archive: Archive, endpoint: Endpoint, right: str, job: str, archives: dict[str, str]
) -> str:
    ra, dec = PLACE[right]
    did = archive.dids[right]
    return endpoint.path.format(
        did=quote(did, safe=""), segment=encode_segment(did), circle=f"{ra}+{dec}+0.2", ra=ra,
        dec=dec, name={"public": "open", "group": "team", "hidden": "secret"}[right], job=job,
        list=archives[right].partition("/")[0], archive=archives[right],
    )  # fmt: skip


def expected(endpoint: Endpoint, caller: str, right: str) -> int:
    if caller in BAD_TOKENS | BAD_LINKS:
        return 401
    refused = 401 if caller == "anonymous" else 403
    if endpoint.kind == PIPELINE:
        return 401
    if endpoint.kind == OWN:
        return 200 if caller in MEMBERS else refused
    if caller in MAY or endpoint.kind == OPEN:
        return endpoint.given
    if endpoint.kind in {WHOLE, CLOSED}:
        return refused
    if right == "hidden" or endpoint.kind == UNSEEN:
        return endpoint.hidden
    if right == "group" and endpoint.kind == MADE:
        return 404
    return refused if endpoint.kind == DATA and right == "group" else endpoint.given


@pytest.mark.parametrize("caller", CALLERS)
def test_each_endpoint_gives_each_caller_what_it_may_have(archive, job, archives, caller):
    found, wanted = {}, {}
    for name, endpoint in ENDPOINTS.items():
        each = endpoint.kind in {DATA, KNOWN, MADE}
        rights = ("public", "group", "hidden") if each else ("public",)
        if caller in BAD_TOKENS | BAD_LINKS:
            # Refused whatever is asked for, also what everybody may have.
            rights = rights[:1]
        for right in rights:
            answer = archive.get(caller, address(archive, endpoint, right, job, archives))
            found[name, right] = answer.status_code
            wanted[name, right] = expected(endpoint, caller, right)
            challenges = answer.headers.get_list("www-authenticate")
            optional = name == "capabilities" and caller == "anonymous"
            if endpoint.kind == PIPELINE:
                assert challenges == ["Bearer"]
            elif answer.status_code == 401 or optional:
                assert len(challenges) == 2, (name, right)
                assert challenges[1].startswith("ivoa_bearer standard_id=")
            else:
                assert not challenges, (name, right)
            if answer.status_code >= 400:
                # An error names what was asked for, and nothing of a token or a signature.
                token = archive.tokens.get(caller, "no token").rpartition(".")[2]
                assert not token or token not in answer.text
                assert "SIGNATURE=" not in answer.text
    assert found == wanted


def outcomes(archive: Archive, caller: str, job: str) -> list[dict[str, str]]:
    """Wait for a job of cutouts; give what became of each."""
    for waited in ("QUEUED", "EXECUTING"):
        archive.get(caller, f"{job}?{urlencode({'WAIT': 60, 'PHASE': waited})}")
    table = archive.get(caller, f"{job}/cutouts", RESPONSEFORMAT="csv")
    assert table.status_code == 200, table.text
    rows = csv.DictReader(table.text.splitlines())
    return sorted(rows, key=lambda row: int(row["number"]))


@pytest.mark.parametrize("caller", ["anonymous", "stranger", "member", "admin"])
def test_jobs_make_of_a_table_what_their_owner_may_have(archive, caller):
    rights = ("public", "group", "hidden")
    lines = [f"{archive.dids[one]},{PLACE[one][0]},{PLACE[one][1]},0.1" for one in rights]
    table = "\n".join(["obs_publisher_did,ra,dec,radius", *lines, ""])
    answer = archive.post(
        caller, "/soda/async", data={"PHASE": "RUN", "UPLOAD": "t,param:t", "MULTI": "tar"},
        files={"t": ("t.csv", table, "text/csv")},
    )  # fmt: skip
    assert answer.status_code == 303, answer.text
    job = answer.headers["location"].removeprefix(archive.url)
    found = outcomes(archive, caller, job)
    made = [row["status"] == "ok" for row in found]
    assert made == ([True] * 3 if caller in MAY else [True, False, False]), found
    if caller not in MAY:
        assert "certain groups" in found[1]["message"]
        # What is hidden is told of as what is not there.
        assert "no dataset" in found[2]["message"]


@pytest.mark.parametrize("caller", ["stranger", "member"])
def test_jobs_stitch_what_their_owner_may_have(archive, caller):
    jobs = {}
    for right, name in (("public", "open"), ("group", "team"), ("hidden", "secret")):
        ra, dec = PLACE[right]
        asked = {"CIRCLE": f"{ra} {dec} 0.2", "COMBINE": "stitch"}
        one = {**asked, "ID": archive.dids[right]}
        jobs[right, "by ID"] = submit(archive, caller, "/soda/async", **one)
        whole = {**asked, "COLLECTION": name}
        jobs[right, "of a collection"] = submit(archive, caller, "/soda/async", **whole)
    for (right, how), job in jobs.items():
        rows = outcomes(archive, caller, job)
        may = caller in MAY or right == "public"
        assert [row["status"] for row in rows] == ["ok"] * may, (right, how)
        if may:
            continue
        # Of a job that can make nothing the error is that of the request.
        error = archive.get(caller, f"{job}/error").text
        if how == "by ID":
            assert ("certain groups" if right == "group" else "no dataset") in error
        else:
            assert "there is no COLLECTION" in error


@pytest.mark.parametrize("caller", ["anonymous", "member", "admin", *sorted(BAD_TOKENS)])
def test_no_token_of_a_user_brings_files_in(archive, caller):
    answer = archive.post(caller, "/ingest", json=[str(archive.folder / "data/open/public.fits")])
    assert answer.status_code == 401
    assert "site's token" in answer.text


@pytest.mark.parametrize("caller", [*sorted(BAD_TOKENS | BAD_LINKS), "stranger", "admin"])
def test_live_tiles_are_for_the_same_callers(archive, caller):
    wanted = {"stranger": (403, 404), "admin": (200, 200)}.get(caller, (401, 401))
    found = [live_tile(archive, caller, name, right).status_code
             for name, right in (("team", "group"), ("secret", "hidden"))]  # fmt: skip
    assert tuple(found) == wanted


@pytest.mark.parametrize("caller", ["anonymous", "stranger", "admin", *sorted(BAD_TOKENS)])
def test_nobody_else_starts_changes_or_deletes_a_job(archive, job, caller):
    refused = 401 if caller == "anonymous" or caller in BAD_TOKENS else 403
    for path, data in (
        (f"/tap/async/{job}/phase", {"PHASE": "ABORT"}),
        (f"/tap/async/{job}/parameters", {"QUERY": "SELECT 1"}),
        (f"/tap/async/{job}", {"ACTION": "DELETE"}),
    ):
        assert archive.post(caller, path, data=data).status_code == refused
    if caller in BAD_TOKENS:
        asked = {"LANG": "ADQL", "QUERY": "SELECT 1 AS x FROM free.stars", "PHASE": "RUN"}
        for path in ("/tap/async", "/soda/async", "/tap/sync", "/auth/sign"):
            assert archive.post(caller, path, data=asked).status_code == 401
    assert archive.get("member", f"/tap/async/{job}/phase").text == "COMPLETED"


def test_a_job_may_query_the_tables_of_its_owner(archive):
    asked = {"LANG": "ADQL", "QUERY": "SELECT COUNT(*) AS n FROM closed.stars"}
    for caller, phase in (("member", "COMPLETED"), ("anonymous", "ERROR"), ("stranger", "ERROR")):
        answer = archive.post(caller, "/tap/async", data={**asked, "PHASE": "RUN"})
        if answer.status_code != 303:
            assert (caller, answer.status_code) in {("anonymous", 401), ("stranger", 403)}
            continue
        job = answer.headers["location"].removeprefix(archive.url)
        for waited in ("QUEUED", "EXECUTING"):
            archive.get(caller, f"{job}?{urlencode({'WAIT': 60, 'PHASE': waited})}")
        assert archive.get(caller, f"{job}/phase").text == phase
    described = archive.get("anonymous", "/tap/tables").text
    assert "closed.stars" in described


@pytest.mark.parametrize("caller", ["anonymous", "stranger", "member", "admin"])
def test_a_hidden_table_is_named_to_those_who_may_know_of_it_alone(archive, caller):
    asked = "SELECT table_name FROM TAP_SCHEMA.columns WHERE column_name = 'star'"
    names = {row["table_name"] for row in archive.rows(caller, asked)}
    seen = {"unseen.stars"} if caller in MAY else set()
    assert names == {"closed.stars", "free.stars"} | seen
    for path in ("/tap/", "/tap/tables", "/tap/tables?detail=min"):
        answer = archive.get(caller, path)
        assert ("unseen" in answer.text) == bool(seen), path
        assert "closed.stars" in answer.text
    # Examples show what everybody may have.
    examples = archive.get(caller, "/tap/examples").text
    assert "free.stars" in examples
    assert "unseen" not in examples


def test_own_tables_without_a_rule_are_warned_of(archive):
    log = (archive.folder / "server.log").read_text()
    assert "everybody may query free.stars, as access.tables has no rule for it" in log
    assert "query closed.stars" not in log
    assert "query unseen.stars" not in log

"""The resources of jobs, for a service that is not TAP and knows its users."""

from __future__ import annotations

import time
import zipfile
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET

import httpx
import pytest
from lxml import etree
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from vodal.errors import UsageError
from vodal.testing.jobs import make_runner
from vodal.testing.server import serve
from vodal.uws.documents import job_document, jobs_document, parameters_document, results_document
from vodal.uws.jobs import JobError, JobResult, Phase, parse_time, time_text
from vodal.uws.routes import JobRoutes
from vodal.uws.service import JobService
from vodal.uws.tasks import Task, Work
from vodal.web.app import service_app
from vodal.web.requests import service_url, site_url

JAR = Path("/usr/share/java/starlink-ttools.jar")
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
HREF = "{http://www.w3.org/1999/xlink}href"
NASTY = "<script>alert('&')</script>\n\u2192 \x01 ]]>"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Echo(Work):
    """Writes its parameter TEXT; without one it waits to be stopped."""

    def run(self, task: Task) -> None:
        text = dict(task.job.params).get("TEXT")
        if text is None:
            task.cancelled.wait(30)
            raise UsageError("stopped")
        if text == "fail":
            raise UsageError(NASTY)
        with task.result("an echo", "text/plain", "txt") as sink:
            sink.write(text.encode())


@pytest.fixture(scope="module")
def jobs_url(tmp_path_factory):
    runner = make_runner(tmp_path_factory.mktemp("jobs"), list_limit=5, wait_limit_s=5)
    service = JobService(runner, "echo", Echo(), default_duration_s=20, max_duration_s=30)
    routes = JobRoutes(
        service,
        jobs_url=lambda request: f"{service_url(request, None)}/jobs",
        site_url=lambda request: site_url(request, None),
        render_error=lambda error: PlainTextResponse(error.message),
        identify=lambda request: request.headers.get("x-user"),
    ).routes("/jobs")

    @asynccontextmanager
    async def lifespan(_):
        async with runner:
            yield

    app = Starlette(routes=[Mount("/echo", service_app(routes))], lifespan=lifespan)
    with serve(app) as server:
        yield f"{server.url}/echo/jobs"


def make(url, user=None, **given) -> str:
    headers = {} if user is None else {"X-User": user}
    answer = httpx.post(url, data=given, headers=headers)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def ended(job, headers=None):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        answer = httpx.get(job, params={"WAIT": "2"}, headers=headers)
        root = ET.fromstring(answer.content)
        if root.findtext(f"{UWS}phase") in {"COMPLETED", "ERROR", "ABORTED"}:
            return root
    raise AssertionError(answer.text)


def test_every_child_says_what_the_document_says(jobs_url):
    job = make(jobs_url, "ann", TEXT="x", RUNID="r 1")
    ann = {"X-User": "ann"}
    root = ET.fromstring(httpx.get(job, headers=ann).content)
    assert (root.tag, root.attrib["version"]) == (f"{UWS}job", "1.1")
    for child, element in [
        ("phase", "phase"), ("executionduration", "executionDuration"), ("owner", "ownerId"),
        ("destruction", "destruction"), ("quote", "quote"),
    ]:  # fmt: skip
        answer = httpx.get(f"{job}/{child}", headers=ann)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.text == (root.findtext(f"{UWS}{element}") or "")
    assert root.findtext(f"{UWS}runId") == "r 1"
    assert job.endswith(f"/{root.findtext(f'{UWS}jobId')}")
    assert httpx.get(f"{job}/nothing", headers=ann).status_code == 404
    assert httpx.put(f"{job}/phase", headers=ann).status_code == 405


def test_a_result_is_listed_and_served(jobs_url):
    job = make(jobs_url, TEXT="hello", PHASE="RUN")
    root = ended(job)
    listed = ET.fromstring(httpx.get(f"{job}/results").content)
    (result,) = listed
    assert result.attrib == root.find(f"{UWS}results/{UWS}result").attrib
    assert (result.attrib["id"], result.attrib["mime-type"]) == ("an echo", "text/plain")
    answer = httpx.get(result.attrib[HREF])
    assert (answer.text, answer.headers["x-content-type-options"]) == ("hello", "nosniff")
    beyond = httpx.get(result.attrib[HREF], headers={"Range": "bytes=100-"})
    assert beyond.status_code == 416
    assert httpx.get(f"{job}/results/other").status_code == 404
    assert httpx.get(f"{job}/error").status_code == 404


def test_parameters_are_kept_changed_and_given_back(jobs_url):
    long = "y" * 100_000
    job = make(jobs_url, TEXT=NASTY, LONG=long, PLAIN="<&>")
    given = {
        parameter.attrib["id"]: parameter
        for parameter in ET.fromstring(httpx.get(f"{job}/parameters").content)
    }
    assert given["PLAIN"].text == "<&>"
    for name, value in (("TEXT", NASTY), ("LONG", long)):
        assert given[name].attrib["byReference"] == "true"
        assert httpx.get(given[name].text).text == value
    assert httpx.get(f"{job}/parameters/none").status_code == 404
    for path, text in (("/parameters", "one"), ("", "two")):
        answer = httpx.post(f"{job}{path}", data={"text": text, "RUNID": text})
        assert (answer.status_code, answer.headers["location"]) == (303, job)
        root = ET.fromstring(httpx.get(job).content)
        assert root.findtext(f"{UWS}parameters/{UWS}parameter[@id='TEXT']") == text
        assert root.findtext(f"{UWS}runId") == text
    httpx.post(f"{job}/phase", data={"PHASE": "RUN"})
    ended(job)
    answer = httpx.post(f"{job}/parameters", data={"TEXT": "late"})
    assert answer.status_code == 409
    assert "only while a job is PENDING" in answer.text


def test_limits_may_come_with_the_job_and_with_its_form(jobs_url):
    until = "2999-01-01T00:00:00Z"
    job = make(jobs_url, TEXT="x", EXECUTIONDURATION="7", Destruction=until)
    root = ET.fromstring(httpx.get(job).content)
    assert root.findtext(f"{UWS}executionDuration") == "7"
    made = parse_time(root.findtext(f"{UWS}creationTime"), "")
    kept = parse_time(root.findtext(f"{UWS}destruction"), "")
    assert kept - made == pytest.approx(30 * 86400, abs=0.01)
    assert [item.attrib["id"] for item in root.iter(f"{UWS}parameter")] == ["TEXT"]
    httpx.post(job, data={"EXECUTIONDURATION": "9"})
    assert httpx.get(f"{job}/executionduration").text == "9"
    assert httpx.get(make(jobs_url, EXECUTIONDURATION="99") + "/executionduration").text == "30"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"EXECUTIONDURATION": "soon"}, "whole number"),
        ({"DESTRUCTION": "tomorrow"}, "DESTRUCTION takes a time"),
        ({"DESTRUCTION": "2001-01-01T00:00:00Z"}, "in the past"),
    ],
)
def test_a_job_with_wrong_limits_is_not_made(jobs_url, given, sentence):
    with httpx.Client() as client:
        answer = client.post(jobs_url, data={"TEXT": "x", **given})
        assert answer.status_code == 400
        assert sentence in answer.text
        assert b"jobref" not in client.get(jobs_url).content


@pytest.mark.parametrize(
    ("path", "given", "status", "sentence"),
    [
        ("/phase", {}, 400, "PHASE is missing"),
        ("/phase", {"PHASE": "STOP"}, 400, "RUN or ABORT"),
        ("/executionduration", {"EXECUTIONDURATION": "soon"}, 400, "whole number"),
        ("/executionduration", {"EXECUTIONDURATION": "-1"}, 400, "0 or more"),
        ("/executionduration", {}, 400, "EXECUTIONDURATION is missing"),
        ("/destruction", {"DESTRUCTION": "tomorrow"}, 400, "2027-01-31T23:59:59Z"),
        ("/destruction", {"DESTRUCTION": "2001-01-01T00:00:00Z"}, 400, "in the past"),
        ("/destruction", {"DESTRUCTION": "9999-99-99"}, 400, "DESTRUCTION takes a time"),
        ("", {"ACTION": "EAT"}, 400, "ACTION takes DELETE"),
    ],
)
def test_wrong_changes_are_told_and_change_nothing(jobs_url, path, given, status, sentence):
    job = make(jobs_url, TEXT="x")
    before = httpx.get(job).content
    answer = httpx.post(f"{job}{path}", data=given)
    assert answer.status_code == status
    assert sentence in answer.text
    assert httpx.get(job).content == before


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("PHASE=DONE", "PHASE 'DONE' is none of PENDING"),
        ("LAST=0", "LAST must be 1 or more"),
        ("LAST=x", "whole number"),
        ("AFTER=x", "AFTER takes a time"),
    ],
)
def test_a_wrong_filter_is_told(jobs_url, query, sentence):
    answer = httpx.get(f"{jobs_url}?{query}")
    assert answer.status_code == 400
    assert sentence in answer.text


def test_a_wrong_wait_is_told(jobs_url):
    job = make(jobs_url, TEXT="x")
    for wait in ("x", "nan"):
        assert httpx.get(job, params={"WAIT": wait}).status_code == 400
    assert httpx.get(job, params={"WAIT": "1", "PHASE": "x"}).status_code == 400
    assert httpx.post(jobs_url, data={"PHASE": "ABORT"}).status_code == 400


def test_what_is_done_twice_does_no_harm(jobs_url):
    job = make(jobs_url, PHASE="RUN")
    assert httpx.post(f"{job}/phase", data={"PHASE": "RUN"}).status_code == 303
    for _ in range(2):
        assert httpx.post(f"{job}/phase", data={"PHASE": "ABORT"}).status_code == 303
        assert httpx.get(f"{job}/phase").text == "ABORTED"
    answer = httpx.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert answer.status_code == 409
    assert "ABORTED and cannot be started again" in answer.text
    answer = httpx.post(job, data={"ACTION": "DELETE"})
    assert (answer.status_code, answer.headers["location"]) == (303, jobs_url)
    assert httpx.delete(job).status_code == 404


def test_a_job_of_an_owner_is_for_its_owner_alone(jobs_url):
    ann, bob = {"X-User": "ann"}, {"X-User": "bob"}
    job = make(jobs_url, "ann", TEXT="secret", PHASE="RUN")
    ended(job, ann)
    for headers in (bob, {}):
        for path in ("", "/phase", "/parameters", "/results", f"/results/{quote('an echo')}"):
            assert httpx.get(f"{job}{path}", headers=headers).status_code == 403
        assert (
            httpx.post(f"{job}/phase", data={"PHASE": "ABORT"}, headers=headers).status_code == 403
        )
        assert httpx.delete(job, headers=headers).status_code == 403
        listed = httpx.get(jobs_url, headers=headers).text
        assert job.rpartition("/")[2] not in listed
    listed = ET.fromstring(httpx.get(jobs_url, headers=ann).content)
    assert job in [item.attrib[HREF] for item in listed]
    assert {item.findtext(f"{UWS}ownerId") for item in listed} == {"ann"}
    assert httpx.delete(job, headers=ann).status_code == 303


def test_an_unnamed_client_lists_its_own_jobs_by_its_cookie(jobs_url):
    with httpx.Client() as one, httpx.Client() as other:
        made = [one.post(jobs_url, data={"TEXT": "x"}).headers["location"] for _ in range(7)]
        cookie = one.cookies.jar._cookies["127.0.0.1"]["/echo"]["uws_visitor"]
        assert cookie.has_nonstandard_attr("HttpOnly")
        other.post(jobs_url)
        found = [item.attrib[HREF] for item in ET.fromstring(one.get(jobs_url).content)]
        assert found == made[:1:-1], "the newest five"
        everything = ET.fromstring(one.get(jobs_url, params={"LAST": "50"}).content)
        assert [item.attrib[HREF] for item in everything] == made[::-1]
        one.post(f"{made[3]}/phase", data={"PHASE": "ABORT"})
        query = f"{jobs_url}?PHASE=ABORTED&phase=ERROR&LAST=9"
        assert [item.attrib[HREF] for item in ET.fromstring(one.get(query).content)] == [made[3]]
        third = ET.fromstring(one.get(made[2]).content).findtext(f"{UWS}creationTime")
        later = ET.fromstring(one.get(jobs_url, params={"AFTER": third, "LAST": "9"}).content)
        assert made[2] not in [item.attrib[HREF] for item in later]
        assert made[6] in [item.attrib[HREF] for item in later]
    # Without a cookie nobody's jobs are shown.
    assert len(ET.fromstring(httpx.get(jobs_url).content)) == 0


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BROWSER["Accept"], "text/html"),
        ("text/html", "text/html"),
        ("application/xml", "application/xml"),
        ("*/*", "application/xml"),
        ("", "application/xml"),
        ("text/html;q=0.5, application/xml", "application/xml"),
        ("text/html;q=x", "application/xml"),
        # Java's own client: STILTS and TOPCAT.
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "application/xml"),
    ],
)
def test_only_browsers_get_pages(jobs_url, accept, kind):
    job = make(jobs_url, TEXT="x")
    for url in (job, jobs_url):
        answer = httpx.get(url, headers={"Accept": accept})
        assert answer.headers["content-type"].partition(";")[0] == kind
        assert "Accept" in answer.headers["vary"]


class _Page(HTMLParser):
    """Collects what a page can do."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.actions: list[tuple[str, str, str]] = []
        self.links: list[str] = []
        self._action = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "form":
            self._action = given["action"]
        elif tag in {"button", "input"} and "name" in given:
            self.actions.append((self._action, given["name"], given["value"]))
        elif tag == "a":
            self.links.append(given["href"])


def test_a_page_lets_one_do_everything_and_runs_nothing(jobs_url):
    with httpx.Client(headers=BROWSER) as browser:
        job = browser.post(jobs_url, data={"TEXT": NASTY, "RUNID": "<b>"}).headers["location"]
        answer = browser.get(job)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        page = _Page(answer.text)
        assert not {"script", "b"} & set(page.tags)
        done = {(name, value) for _, name, value in page.actions}
        assert {("PHASE", "RUN"), ("PHASE", "ABORT"), ("ACTION", "DELETE")} <= done
        for action, name, value in page.actions:
            if (name, value) not in {("PHASE", "ABORT"), ("ACTION", "DELETE")}:
                assert browser.post(action, data={name: value}).status_code == 303, name
        end = time.monotonic() + 10
        while "COMPLETED" not in (text := browser.get(job).text):
            assert time.monotonic() < end
        page = _Page(text)
        (result,) = [link for link in page.links if "/results/" in link]
        assert browser.get(result).text == NASTY
        assert job in _Page(browser.get(jobs_url).text).links
        failed = browser.post(jobs_url, data={"TEXT": "fail", "PHASE": "RUN"}).headers["location"]
        ended(failed, {"Accept": "*/*"})
        assert "script" not in _Page(browser.get(failed).text).tags
        deletion = [act for act, name, _ in page.actions if name == "ACTION"]
        assert browser.post(deletion[0], data={"ACTION": "DELETE"}).status_code == 303


@pytest.mark.parametrize("job_id", ["x", "..", "%2e%2e%2fjobs.db", "a" * 26, "A" * 26, "'--"])
def test_an_unknown_job_is_told(jobs_url, job_id):
    for path in ("/phase", "/results/result", "/parameters/QUERY"):
        answer = httpx.get(f"{jobs_url}/{job_id}{path}")
        assert answer.status_code == 404
    assert httpx.delete(f"{jobs_url}/{'a' * 26}").status_code == 404


def test_times_are_read_and_written():
    for text, unix_s in [
        ("1970-01-01T00:00:00Z", 0.0), ("1970-01-01", 0.0), ("1970-01-02T00:00", 86400.0),
        ("2026-11-25T04:43:23.6735", 1795581803.674), ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01T00:00:00.1234567891Z", 0.123), ("1969-12-31T23:59:59Z", -1.0),
    ]:  # fmt: skip
        assert parse_time(text, "T") == unix_s
    assert time_text(1795581803.674) == "2026-11-25T04:43:23.674Z"
    assert parse_time(time_text(1795581803.674), "T") == 1795581803.674
    for text in ("", "x", "2026-02-30", "2026-01-01T25:00:00", "20260101", "1e9"):
        with pytest.raises(UsageError, match="T takes a time"):
            parse_time(text, "T")


@pytest.mark.stilts
@pytest.mark.skipif(not JAR.is_file(), reason="no STILTS, which has the schema")
def test_documents_are_valid_by_the_schema(make_job, tmp_path):
    full = make_job(
        owner=None, run_id=NASTY, phase=Phase.ERROR, started_unix_s=1.0, ended_unix_s=2.5,
        params=(("QUERY", NASTY), ("LONG", "x" * 70_000), ("A", "<b>")), failures=1,
        results=(JobResult("a/b c", "1/x", "text/csv;header=present", 10),),
        error=JobError(NASTY, transient=True), info=(("rows", "5"), ("bytes", "9")),
    )  # fmt: skip
    jobs = [full, *(make_job(phase=phase) for phase in Phase)]
    url = "http://host/tap/async"
    documents = {
        "jobs": jobs_document(jobs, url), "none": jobs_document([], url),
        "results": results_document(full, f"{url}/x"),
        "parameters": parameters_document(full, f"{url}/x"),
        "full": job_document(full, f"{url}/x", ahead=4),
        **{f"job{n}": job_document(job, f"{url}/x", ahead=0) for n, job in enumerate(jobs)},
    }  # fmt: skip
    with zipfile.ZipFile(JAR) as jar:
        for name in ("UWS-v1.1.xsd", "xlink.xsd", "xmlnamespace.xsd"):
            text = jar.read(f"uk/ac/starlink/ttools/taplint/{name}").decode()
            # What it imports lies beside it.
            text = text.replace("http://www.ivoa.net/xml/Xlink/xlink.xsd", "xlink.xsd")
            text = text.replace("http://www.w3.org/2001/xml.xsd", "xmlnamespace.xsd")
            (tmp_path / name).write_text(text)
    schema = etree.XMLSchema(etree.parse(tmp_path / "UWS-v1.1.xsd"))
    for name, document in documents.items():
        assert schema.validate(etree.fromstring(document)), (name, schema.error_log)
    broken = documents["full"].replace(b"uws:phase>", b"uws:fase>")
    assert not schema.validate(etree.fromstring(broken))

"""``POST /ingest``: files that a pipeline has written; ``GET /ingest/JOB``: what became of them.

The body is JSON, a list of paths or ``{"files": [...]}``. Who asks shows the site's token
(``Authorization: Bearer``, RFC 6750 section 2.1).
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from obscore.hook.work import FILE, RESULT, LandingJobs
from vodal.errors import AuthenticationError, SkylaneError, TooLargeError, UsageError
from vodal.uws.callers import Caller
from vodal.uws.jobs import FINAL, Job, Phase, new_id
from vodal.uws.service import JobService

__all__ = ["PATHS", "hook_routes", "render_error"]

_PATH = "/ingest"
PATHS = (_PATH, f"{_PATH}/{{job}}")
"""Where the resources are, from the site's root."""
MOST_FILES = 10_000
"""Of one request."""

_CALLER = Caller("pipeline", None, "pipeline")
_STATES = {
    Phase.PENDING: "waiting",
    Phase.QUEUED: "waiting",
    Phase.HELD: "waiting",
    Phase.EXECUTING: "working",
    Phase.COMPLETED: "done",
}


def render_error(_request: Request, error: SkylaneError) -> Response:
    """Tell an error as JSON."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return JSONResponse({"error": error.message}, error.status, headers)


def hook_routes(
    jobs: JobService, work: LandingJobs, token: str, site_url: Callable[[Request], str]
) -> Sequence[BaseRoute]:
    """Give the resources.

    Parameters
    ----------
    jobs
        Where accepted files wait.
    work
        Knows which files may be named.
    token
        That requests must show; not empty.
    site_url
        Gives where a client sees the site, without a trailing slash.
    """
    assert token

    def check(request: Request) -> None:
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        given = shown.strip().encode() if kind.lower() == "bearer" else b""
        if not hmac.compare_digest(given, token.encode()):
            raise AuthenticationError("this takes the site's token: Authorization: Bearer TOKEN")

    async def ended(job: Job, wait_s: float) -> Job:
        until_s = time.monotonic() + min(wait_s, jobs.settings.wait_limit_s)
        while job.phase not in FINAL and (left_s := until_s - time.monotonic()) > 0:
            job = await jobs.wait(_CALLER, job.id, left_s)
        return job

    async def accept(request: Request) -> Response:
        check(request)
        wait_s = _wait_of(request)
        names, refused = [], []
        for name in _names_of(await request.body()):
            try:
                names.append(await run_sync(_uri_of, work, name))
            except UsageError as error:
                refused.append({"file": name, "message": error.message})
        if not names:
            return JSONResponse({"error": "none of the files is taken", "refused": refused}, 400)
        url = site_url(request)
        job = await run_sync(
            lambda: jobs.create(_CALLER, new_id(), [(FILE, one) for one in names], url, run=True)
        )
        job = await ended(job, wait_s)
        told = await run_sync(_document, jobs, job, url)
        told |= {"accepted": len(names), "refused": refused}
        status = 200 if job.phase in FINAL else 202
        return JSONResponse(told, status, {"Location": told["status_url"]})

    async def state(request: Request) -> Response:
        check(request)
        wait_s = _wait_of(request)
        job = await run_sync(jobs.get, _CALLER, request.path_params["job"])
        job = await ended(job, wait_s)
        return JSONResponse(await run_sync(_document, jobs, job, site_url(request)))

    return [
        Route(PATHS[0], accept, methods=["POST"]),
        Route(PATHS[1], state, methods=["GET"]),
    ]


def _uri_of(work: LandingJobs, name: str) -> str:
    named = work.named(name)
    return named.uri


def _names_of(body: bytes) -> list[str]:
    """Read the body of a request."""
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError('the body takes JSON: a list of paths, or {"files": [...]}') from None
    if isinstance(given, dict) and set(given) == {"files"}:
        given = given["files"]
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given) or not given:
        raise UsageError('the body takes a list of paths, or {"files": [...]}, with one or more')
    if len(given) > MOST_FILES:
        raise TooLargeError(f"a request takes at most {MOST_FILES} files; send several")
    return given


def _wait_of(request: Request) -> float:
    text = request.query_params.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise UsageError(f"wait takes seconds, 0 to 3600, not '{text[:40]}'")
    return seconds


def _document(jobs: JobService, job: Job, url: str) -> dict[str, Any]:
    """Tell of a job."""
    told: dict[str, Any] = {
        "status": _STATES.get(job.phase, "failed"),
        "status_url": f"{url}{_PATH}/{job.id}",
    }
    if job.error is not None:
        told["error"] = job.error.message
    for result in job.results:
        if result.name == RESULT:
            text = jobs.folder(job.id).result(result).read_text("utf-8")
            told["files"] = [json.loads(line) for line in text.splitlines()]
    return told

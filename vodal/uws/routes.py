"""The resources of UWS 1.1, for any service."""

from __future__ import annotations

from collections.abc import Callable

from anyio import CancelScope, create_task_group
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from vodal.errors import NotFoundError, UsageError
from vodal.params import Params
from vodal.uws.callers import Caller, Identify, anonymous, caller_of, remember
from vodal.uws.controls import (
    asked_command,
    asked_destruction,
    asked_duration,
    asked_phase,
    asks_to_run,
    job_params,
)
from vodal.uws.documents import (
    job_document,
    jobs_document,
    parameters_document,
    results_document,
)
from vodal.uws.intake import FormIntake, Intake
from vodal.uws.jobs import Job, JobError, Phase, new_id, parse_time, time_text
from vodal.uws.pages import job_page, jobs_page
from vodal.uws.service import JobService
from vodal.uws.store import JobFilter
from vodal.web.requests import read_params

__all__ = ["JobRoutes"]

_XML = "application/xml; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_FRESH = {"Cache-Control": "no-store", "Vary": "Accept"}
_PAGE = {
    **_FRESH,
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
}
_RESULT = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
_MOST_LISTED = 2**31 - 1


def _quality(accepted: str, *kinds: str) -> float:
    """Give how much a client likes the best of some media types (RFC 9110 section 12.5.1)."""
    best = 0.0
    for part in accepted.lower().split(","):
        kind, *options = (piece.strip() for piece in part.split(";"))
        if kind in kinds:
            weights = [option[2:] for option in options if option.startswith("q=")]
            try:
                best = max(best, float(weights[0]) if weights else 1.0)
            except ValueError:
                continue
    return best


def _wants_page(request: Request) -> bool:
    """Tell a browser from a client that should get XML, as UWS 1.1 section 2.2.2 has it.

    Java's own HTTP client, and with it STILTS and TOPCAT, asks for ``text/html, image/gif,
    image/jpeg, *; q=.2`` without wanting any of them; browsers name XHTML besides.
    """
    accepted = request.headers.get("accept", "")
    if "*" in accepted and "application/xhtml+xml" not in accepted.lower():
        return False
    page = _quality(accepted, "text/html", "application/xhtml+xml")
    return page > _quality(accepted, "application/xml", "text/xml")


def _text(text: str) -> Response:
    return Response(text, media_type="text/plain", headers=_FRESH)


class JobRoutes:
    """The handlers of one service's jobs.

    Parameters
    ----------
    service
        Its jobs.
    jobs_url
        Gives the URL of the list of jobs as the client sees it, without a trailing slash.
    site_url
        Gives the URL of the site as the client sees it, without a trailing slash.
    render_error
        Makes the document at ``/error``, in the form of the service's standard.
    identify
        Knows who asks.
    intake
        Takes parameters and uploads.
    """

    def __init__(
        self,
        service: JobService,
        *,
        jobs_url: Callable[[Request], str],
        site_url: Callable[[Request], str],
        render_error: Callable[[JobError], Response],
        identify: Identify = anonymous,
        intake: Intake | None = None,
    ) -> None:
        self._service = service
        self._jobs_url = jobs_url
        self._site_url = site_url
        self._render_error = render_error
        self._identify = identify
        self._intake = intake or FormIntake()

    def routes(self, path: str) -> list[BaseRoute]:
        """Give the routes.

        Parameters
        ----------
        path
            Of the list of jobs, relative to where the service is mounted: ``/async``.
        """
        job = f"{path}/{{job}}"
        return [
            Route(path, self._list, methods=["GET"]),
            Route(path, self._create, methods=["POST"]),
            Route(job, self._show, methods=["GET"]),
            Route(job, self._change, methods=["POST"]),
            Route(job, self._delete, methods=["DELETE"]),
            Route(f"{job}/phase", self._set_phase, methods=["POST"]),
            Route(f"{job}/executionduration", self._set_duration, methods=["POST"]),
            Route(f"{job}/destruction", self._set_destruction, methods=["POST"]),
            Route(f"{job}/parameters", self._set_params, methods=["POST"]),
            Route(f"{job}/parameters", self._params, methods=["GET"]),
            Route(f"{job}/parameters/{{name}}", self._param, methods=["GET"]),
            Route(f"{job}/results", self._results, methods=["GET"]),
            Route(f"{job}/results/{{name}}", self._result, methods=["GET"]),
            Route(f"{job}/error", self._error, methods=["GET"]),
            Route(f"{job}/{{name}}", self._child, methods=["GET"]),
        ]

    # Who asks for what

    def _caller(self, request: Request) -> Caller:
        return caller_of(request, self._identify)

    async def _job(self, request: Request) -> Job:
        job_id = request.path_params["job"]
        return await run_sync(self._service.get, self._caller(request), job_id)

    def _job_url(self, request: Request, job_id: str) -> str:
        return f"{self._jobs_url(request)}/{job_id}"

    def _to_job(self, request: Request, job_id: str) -> Response:
        return RedirectResponse(self._job_url(request, job_id), 303, headers=_FRESH)

    # The list

    async def _list(self, request: Request) -> Response:
        params = await read_params(request)
        caller = self._caller(request)
        after = params.one("AFTER")
        last = params.integer("LAST", self._service.settings.list_limit, minimum=1)
        assert last is not None
        wanted = JobFilter(
            caller.owner,
            None if caller.token else caller.visitor,
            frozenset(asked_phase(text) for text in params.all("PHASE")),
            None if after is None else parse_time(after, "AFTER"),
            min(last, _MOST_LISTED),
        )
        jobs = await run_sync(self._service.find, wanted)
        url = self._jobs_url(request)
        if _wants_page(request):
            return Response(jobs_page(jobs, url), media_type=_HTML, headers=_PAGE)
        return Response(jobs_document(jobs, url), media_type=_XML, headers=_FRESH)

    async def _create(self, request: Request) -> Response:
        caller = self._caller(request)
        job_id = new_id()
        folder = self._service.folder(job_id)
        try:
            params = await self._intake.read(request, folder)
            run = asks_to_run(params)
            duration_s, destruction = asked_duration(params), asked_destruction(params)
            await run_sync(
                lambda: self._service.create(
                    caller,
                    job_id,
                    job_params(params),
                    self._site_url(request),
                    run=run,
                    duration_s=duration_s,
                    destruction_unix_s=destruction,
                )
            )
        except BaseException:
            with CancelScope(shield=True):
                await run_sync(self._service.discard, job_id)
            raise
        if run:
            await self._service.settle(job_id)
        response = self._to_job(request, job_id)
        remember(response, request, caller, request.scope.get("root_path", "") or "/")
        return response

    # One job

    async def _show(self, request: Request) -> Response:
        params = await read_params(request)
        wait = params.one("WAIT")
        if wait is None:
            job = await self._job(request)
        else:
            job = await self._waited(request, params, wait)
        ahead = await run_sync(self._service.ahead, job) if job.phase == Phase.QUEUED else None
        url = self._job_url(request, job.id)
        if _wants_page(request):
            page = job_page(job, url, self._jobs_url(request), ahead=ahead)
            return Response(page, media_type=_HTML, headers=_PAGE)
        return Response(job_document(job, url, ahead=ahead), media_type=_XML, headers=_FRESH)

    async def _waited(self, request: Request, params: Params, wait: str) -> Job:
        try:
            wait_s = float(wait)
        except ValueError:
            wait_s = float("nan")
        if wait_s != wait_s:  # noqa: PLR0124 - only NaN differs from itself
            raise UsageError(f"WAIT takes a number of seconds, or -1, not '{wait[:40]}'")
        phase = params.one("PHASE")
        asked = None if phase is None else asked_phase(phase)
        found: list[Job] = []
        failures: list[Exception] = []

        async with create_task_group() as tasks:

            async def listen() -> None:
                # A client that went away is not waited for.
                while (await request.receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(listen)
            try:
                found.append(
                    await self._service.wait(
                        self._caller(request), request.path_params["job"], wait_s, asked
                    )
                )
            except Exception as error:  # noqa: BLE001 - raised anew outside of the task group
                failures.append(error)
            tasks.cancel_scope.cancel()
        if failures:
            raise failures[0]
        if not found:
            # Nobody reads it; the job is shown as it is.
            return await self._job(request)
        return found[0]

    async def _change(self, request: Request) -> Response:
        """Delete a job, start or stop it, or take parameters, as a form at the job itself asks."""
        job = await self._job(request)
        params = await self._read(request, job)
        action, phase = params.one("ACTION"), params.one("PHASE")
        if action is not None:
            if action.upper() != "DELETE":
                raise UsageError(f"ACTION takes DELETE, not '{action[:40]}'")
            await run_sync(self._service.delete, job)
            return RedirectResponse(self._jobs_url(request), 303, headers=_FRESH)
        if pairs := job_params(params):
            await run_sync(self._service.set_params, job, self._intake.merge(job.params, pairs))
        await self._set_limits(job, params)
        if phase is not None:
            await self._command(job, asked_command(phase))
        return self._to_job(request, job.id)

    async def _read(self, request: Request, job: Job) -> Params:
        if job.phase != Phase.PENDING:
            # It takes no parameters any more, and its uploads may be in use.
            return await read_params(request)
        return await self._intake.read(request, self._service.folder(job.id))

    async def _command(self, job: Job, command: str) -> None:
        if command == "RUN":
            await run_sync(self._service.run, job)
            await self._service.settle(job.id)
        else:
            await run_sync(self._service.abort, job)

    async def _delete(self, request: Request) -> Response:
        await run_sync(self._service.delete, await self._job(request))
        return RedirectResponse(self._jobs_url(request), 303, headers=_FRESH)

    async def _set_phase(self, request: Request) -> Response:
        job = await self._job(request)
        params = await read_params(request)
        await self._command(job, asked_command(params.required("PHASE")))
        return self._to_job(request, job.id)

    async def _set_limits(self, job: Job, params: Params) -> None:
        seconds, moment = asked_duration(params), asked_destruction(params)
        if seconds is not None:
            await run_sync(self._service.set_duration, job, seconds)
        if moment is not None:
            await run_sync(self._service.set_destruction, job, moment)

    async def _set_duration(self, request: Request) -> Response:
        job = await self._job(request)
        params = await read_params(request)
        params.required("EXECUTIONDURATION")
        await self._set_limits(job, params)
        return self._to_job(request, job.id)

    async def _set_destruction(self, request: Request) -> Response:
        job = await self._job(request)
        params = await read_params(request)
        params.required("DESTRUCTION")
        await self._set_limits(job, params)
        return self._to_job(request, job.id)

    # Its children

    async def _set_params(self, request: Request) -> Response:
        job = await self._job(request)
        pairs = job_params(await self._read(request, job))
        await run_sync(self._service.set_params, job, self._intake.merge(job.params, pairs))
        return self._to_job(request, job.id)

    async def _params(self, request: Request) -> Response:
        job = await self._job(request)
        document = parameters_document(job, self._job_url(request, job.id))
        return Response(document, media_type=_XML, headers=_FRESH)

    async def _param(self, request: Request) -> Response:
        job = await self._job(request)
        name = request.path_params["name"].upper()
        values = [value for known, value in job.params if known == name]
        if not values:
            raise NotFoundError(f"the job has no parameter '{name[:60]}'")
        return _text("\n".join(values))

    async def _results(self, request: Request) -> Response:
        job = await self._job(request)
        document = results_document(job, self._job_url(request, job.id))
        return Response(document, media_type=_XML, headers=_FRESH)

    async def _result(self, request: Request) -> Response:
        job = await self._job(request)
        name = request.path_params["name"]
        for result in job.results:
            if result.name == name:
                path = await run_sync(self._service.folder(job.id).result, result)
                return FileResponse(
                    path,
                    headers=_RESULT,
                    media_type=result.media_type,
                    filename=f"{job.id[:8]}-{path.name}",
                    content_disposition_type="inline",
                    stat_result=await run_sync(path.stat),
                )
        raise NotFoundError(f"the job has no result '{name[:60]}'; its phase is {job.phase}")

    async def _error(self, request: Request) -> Response:
        job = await self._job(request)
        if job.error is None:
            raise NotFoundError(f"the job has no error; its phase is {job.phase}")
        return self._render_error(job.error)

    async def _child(self, request: Request) -> Response:
        job = await self._job(request)
        match request.path_params["name"]:
            case "phase":
                return _text(job.phase)
            case "executionduration":
                return _text(str(job.duration_s))
            case "destruction":
                return _text(time_text(job.destruction_unix_s))
            case "quote":
                # Not known, which the document says as nil.
                return _text("")
            case "owner":
                return _text(job.owner or "")
            case _:
                raise NotFoundError(f"there is nothing at {request.url.path}")

"""The resources of Simple Image Access."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from obscore.sia.choices import Choices
from obscore.sia.description import own_descriptor, sia_capabilities
from obscore.sia.request import read_request
from obscore.tap.query import QueryRunner
from obscore.tap.request import QueryRequest
from obscore.tap.settings import TapSettings
from obscore.tap.sync import SyncQueries
from vodal.access.rules import Rights
from vodal.errors import ArchiveError, ServiceUnavailable, SkylaneError, UsageError
from vodal.links import ServiceDescriptor
from vodal.params import Params
from vodal.tables.html import write_error_page
from vodal.tables.negotiation import is_browser
from vodal.tables.votable import write_error
from vodal.vosi.routes import vosi_routes
from vodal.web.requests import service_url, site_url
from vodal.web.responses import error_headers

__all__ = ["sia_error", "sia_routes"]

_PLAIN = {"csv", "tsv", "text", "text/csv", "text/tab-separated-values", "text/plain"}
_XML = "application/x-votable+xml"


def _fault(error: SkylaneError) -> str:
    """Give the word that an error starts with (SIA 2.0 section 3.2)."""
    if isinstance(error, UsageError):
        return "UsageFault"
    if isinstance(error, ServiceUnavailable):
        return "TransientFault"
    return "FatalFault" if isinstance(error, ArchiveError) else "DefaultFault"


def sia_error(request: Request, error: SkylaneError) -> Response:
    """Tell an error: by a VOTable, as text where text was asked for, to a browser on a page."""
    message = f"{_fault(error)}: {error}"
    asked = [value for name, value in request.query_params.multi_items()
             if name.upper() == "RESPONSEFORMAT"]  # fmt: skip
    body: str | bytes
    if asked and asked[0].partition(";")[0].strip().lower() in _PLAIN:
        body, kind = message + "\n", "text/plain"
    elif not asked and is_browser(request.headers.get("accept", "")):
        body, kind = write_error_page(message), "text/html"
    else:
        body, kind = write_error(message), _XML
    return Response(body, status_code=error.status, media_type=kind, headers=error_headers(error))


def sia_routes(
    runner: QueryRunner,
    settings: TapSettings,
    sync: SyncQueries,
    public_url: str | None = None,
    moc_path: str | None = None,
) -> list[BaseRoute]:
    """Give the routes, relative to where the service is mounted.

    Parameters
    ----------
    runner
        Runs queries.
    settings
        Limits; queries here are queries like those of ``/tap/sync``.
    sync
        Gives queries their turns, and answers them.
    public_url
        Where clients see the site, if not by the Host header.
    moc_path
        Where the site serves coverage maps, if it does.
    """
    choices = Choices(runner)

    async def query(request: Request) -> Response:
        base = service_url(request, public_url)

        def read(params: Params, accept: str | None) -> QueryRequest:
            return read_request(params, settings, accept)

        def describe(rights: Rights) -> tuple[ServiceDescriptor, ...]:
            return (own_descriptor(base, choices.of(rights)),)

        return await sync.answer_as(request, read, describe)

    return [
        Route("/query", query, methods=["GET", "POST"]),
        *vosi_routes(
            lambda request: sia_capabilities(
                service_url(request, public_url),
                None if moc_path is None else site_url(request, public_url) + moc_path,
            ),
            availability=runner.availability,
        ),
    ]

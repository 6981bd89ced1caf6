"""The registry over HTTP: ``/oai``, and the VOSI resources."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from skylane.registry.holdings import registry_capabilities
from skylane.registry.oai import OaiAnswers
from vodal.access.asking import asking_of
from vodal.errors import NotFoundError
from vodal.vosi.routes import vosi_routes
from vodal.web.requests import read_pairs
from vodal.web.threads import in_thread

__all__ = ["closed_routes", "registry_routes"]


def registry_routes(answers: OaiAnswers, service_url: str, page_records: int) -> list[BaseRoute]:
    """Make the routes.

    Parameters
    ----------
    answers
        Answers requests of OAI-PMH.
    service_url
        Where the registry is mounted, as clients see it, without a trailing slash.
    page_records
        Records in one answer.
    """

    async def oai(request: Request) -> Response:
        pairs = await read_pairs(request)
        # The records tell what everybody may know of, to everybody.
        asking_of(request).for_all = True
        document = await in_thread(partial(answers.answer, pairs))
        return Response(document, media_type="text/xml")

    async def start(_: Request) -> Response:
        return RedirectResponse(f"{service_url}/oai?verb=Identify", 303)

    return [
        Route("/oai", oai, methods=["GET", "POST"]),
        Route("/", start),
        *vosi_routes(lambda _: registry_capabilities(service_url, page_records)),
    ]


def closed_routes() -> list[BaseRoute]:
    """Make the routes of a site whose settings have no registry."""

    async def none(_: Request) -> Response:
        raise NotFoundError(
            "this site has no registry: its settings have no section [registry] that names the"
            " publisher"
        )

    return [Route("/{path:path}", none, methods=["GET", "POST"])]

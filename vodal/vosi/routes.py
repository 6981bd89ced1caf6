"""The routes of VOSI: ``/capabilities``, ``/availability`` and ``/tables``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from vodal.access.asking import asking_of
from vodal.vosi.availability import Availability, availability_document
from vodal.vosi.capabilities import Capability, capabilities_document
from vodal.vosi.tableset import (
    Detail,
    TableDescription,
    TableSchema,
    table_document,
    tableset_document,
)

__all__ = ["vosi_routes"]

_XML = "text/xml; charset=utf-8"


def vosi_routes(
    capabilities: Callable[[Request], Sequence[Capability]],
    *,
    availability: Callable[[], Availability] | None = None,
    tables: Callable[[Request], Sequence[TableSchema]] | None = None,
) -> list[BaseRoute]:
    """Make the VOSI routes of one service.

    Parameters
    ----------
    capabilities
        Gives the service's capabilities; the request tells its base URL.
    availability
        Looks whether the service works, in a thread; by default it always does.
    tables
        Gives the service's tables as far as who asks may know of them, in a thread; without it
        there is no ``/tables``.
    """
    up_since = datetime.now(UTC)
    check = availability or (lambda: Availability(available=True, up_since=up_since))

    async def get_capabilities(request: Request) -> Response:
        methods = asking_of(request).security_methods
        document = capabilities_document(capabilities(request), methods)
        return Response(document, media_type=_XML)

    async def get_availability(_: Request) -> Response:
        return Response(availability_document(await run_in_threadpool(check)), media_type=_XML)

    routes: list[BaseRoute] = [
        Route("/capabilities", get_capabilities, methods=["GET"]),
        Route("/availability", get_availability, methods=["GET"]),
    ]
    if tables is not None:
        routes.extend(_table_routes(tables))
    return routes


def _table_routes(tables: Callable[[Request], Sequence[TableSchema]]) -> list[BaseRoute]:
    def find(request: Request) -> TableDescription | None:
        name = request.path_params["name"]
        described = [table for schema in tables(request) for table in schema.tables]
        same = [table for table in described if table.name == name]
        # An unquoted name of ADQL meets any case.
        same += [table for table in described if table.name.lower() == name.lower()]
        return same[0] if same else None

    async def get_tables(request: Request) -> Response:
        detail = _detail(request, "max")
        if detail is None:
            return PlainTextResponse("detail takes 'min' or 'max'\n", 400)
        document = await run_in_threadpool(lambda: tableset_document(tables(request), detail))
        return Response(document, media_type=_XML)

    async def get_table(request: Request) -> Response:
        detail = _detail(request, "max")
        if detail is None:
            return PlainTextResponse("detail takes 'min' or 'max'\n", 400)
        table = await run_in_threadpool(find, request)
        if table is None:
            return PlainTextResponse("there is no such table here\n", 404)
        return Response(table_document(table, detail), media_type=_XML)

    return [
        Route("/tables", get_tables, methods=["GET"]),
        Route("/tables/{name:path}", get_table, methods=["GET"]),
    ]


def _detail(request: Request, default: Detail) -> Detail | None:
    """Read ``detail``, whose name compares without case; None if its value is unknown."""
    for name, value in request.query_params.multi_items():
        if name.lower() == "detail":
            match value.lower():
                case "min":
                    return "min"
                case "max":
                    return "max"
                case _:
                    return None
    return default

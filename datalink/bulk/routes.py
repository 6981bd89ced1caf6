"""``/files/bulk``: a list of identifiers is taken, and its archive given.

A list leads (303) to an address that names the list and the state of its files, so that who goes on
with a download never gets bytes of another archive: if a file changed meanwhile, or may not be had
any more, there is nothing at that address (410), and the list leads to a new one.
"""

from __future__ import annotations

from functools import partial

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from datalink.bulk.lists import KeptLists
from datalink.bulk.packing import packed
from datalink.bulk.plan import Plan, make_plan
from datalink.bulk.request import asked_dids, packing_of
from datalink.bulk.settings import BulkSettings
from datalink.bulk.sums import KeptSums
from datalink.content import Share
from datalink.delivery import deliver
from vodal.access.asking import asking_of
from vodal.archives import STREAMED
from vodal.errors import GoneError, NotFoundError
from vodal.products import Resolver
from vodal.uploads.tables import TableUploads
from vodal.web.requests import read_params, service_url

__all__ = ["bulk_routes"]


def bulk_routes(
    resolver: Resolver,
    lists: KeptLists,
    sums: KeptSums,
    uploads: TableUploads,
    settings: BulkSettings,
    share: Share,
    public_url: str | None,
) -> list[BaseRoute]:
    """Make ``/bulk``, ``/bulk/{address}`` and ``/bulk/{address}/{tag}.{kind}``."""

    async def planned(request: Request, address: str, dids: list[str]) -> Plan:
        asking = asking_of(request)
        plan = await run_sync(
            partial(make_plan, address, dids, resolver, sums.storage, asking, settings.max_bytes)
        )
        asking.for_all = plan.for_all
        return plan

    def leading(request: Request, plan: Plan, kind: str) -> Response:
        url = f"{service_url(request, public_url)}/bulk/{plan.address}/{plan.tag}.{kind}"
        # Where it leads is another place once a file changes.
        headers = {"Location": url, "Cache-Control": "no-store"}
        return Response(status_code=303, headers=headers)

    async def take_list(request: Request) -> Response:
        dids, params = await asked_dids(request, uploads, settings.max_files)
        kind = packing_of(params)
        address = await run_sync(lists.put, dids)
        return leading(request, await planned(request, address, dids), kind)

    async def find_archive(request: Request) -> Response:
        kind = packing_of(await read_params(request))
        address = request.path_params["address"]
        dids = await run_sync(lists.get, address)
        return leading(request, await planned(request, address, dids), kind)

    async def get_archive(request: Request) -> Response:
        address, name = request.path_params["address"], request.path_params["name"]
        tag, _, kind = name.partition(".")
        if kind not in STREAMED:
            raise NotFoundError(f"there is nothing at {request.url.path}")
        plan = await planned(request, address, await run_sync(lists.get, address))
        if plan.tag != tag:
            raise GoneError(
                "files of this list have changed, or may not be had any more, since this archive"
                f" was begun; begin anew at {service_url(request, public_url)}/bulk/{address}"
            )
        return await deliver(request, await run_sync(packed, plan, kind, sums), share)

    return [
        Route("/bulk", take_list, methods=["GET", "POST"]),
        Route("/bulk/{address}", find_archive, methods=["GET"]),
        Route("/bulk/{address}/{name}", get_archive, methods=["GET"]),
    ]

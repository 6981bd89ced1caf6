"""The routes of ``/datalink`` and ``/files``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import get_args

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from datalink.beside import BesideFiles
from datalink.capabilities import LINKS_TYPE, links_capabilities
from datalink.collect import collect
from datalink.content import Share
from datalink.delivery import deliver
from datalink.document import STANDARD_ID, LinksTable
from datalink.faults import fault
from datalink.form import STORED, Form
from datalink.forms import Forms
from datalink.makers.template import AddedValues
from datalink.names import decode_segment
from datalink.preview import PictureSize, Previews
from datalink.redirecting import redirect_to
from datalink.settings import DatalinkSettings
from vodal.access.asking import Asking, asking_of
from vodal.access.seen import check_had, known_to
from vodal.errors import SkylaneError
from vodal.links import BatchLinkMaker, Link, LinkMaker
from vodal.params import Params
from vodal.products import Product, Resolver, absent
from vodal.storage import is_local
from vodal.tables.formats import Format
from vodal.tables.html import write_error_page
from vodal.tables.negotiation import is_browser, negotiate
from vodal.tables.votable import write_error, write_votable
from vodal.vosi.capabilities import Capability
from vodal.vosi.routes import vosi_routes
from vodal.web.etags import listed_tags
from vodal.web.requests import read_params, site_url
from vodal.web.responses import error_headers

__all__ = ["answer_links", "file_routes", "links_error", "links_routes", "write_links"]


def _write_links(table: LinksTable, chosen: Format | None) -> tuple[str, bytes]:
    """Give media type and document; a VOTable is in TABLEDATA unless another form is asked for."""
    infos = [("standardID", STANDARD_ID)]
    if chosen is None or chosen.name in {"votable", "votable/td"}:
        media_type = LINKS_TYPE
        pieces = write_votable(
            table.stream(), resources=table.services, infos=infos, serialization="TABLEDATA"
        )
    else:
        media_type = chosen.media_type
        if chosen.name == "votable/b2":
            media_type += ";content=datalink"
        pieces = chosen.write(table.stream(), resources=table.services, infos=infos)
    return media_type, b"".join(pieces)


def write_links(links: Iterable[Link], overflow: bool) -> tuple[str, bytes]:  # noqa: FBT001
    """Give media type and document of links that another service has made.

    Parameters
    ----------
    links
        The rows.
    overflow
        Whether there are more of them.
    """
    table = LinksTable(overflow=overflow)
    table.add(links)
    return _write_links(table, None)


def _chosen_format(params: Params, accept: str) -> Format | None:
    """Give the format asked for, or a page for a browser; None where links keep their own form."""
    if params.all("RESPONSEFORMAT") or params.all("FORMAT"):
        return negotiate(params)
    return negotiate(params, accept=accept) if is_browser(accept) else None


def links_error(request: Request, error: SkylaneError) -> Response:
    """Tell the failure of a whole request as a VOTable (DataLink 1.1 section 3.4).

    To a browser, which shows none of an error's VOTable, it is told on a page.
    """
    message = fault("", error).error_message or ""
    names = {name.upper() for name in request.query_params}
    body: str | bytes
    if "RESPONSEFORMAT" not in names and is_browser(request.headers.get("accept", "")):
        body, kind = write_error_page(message), "text/html"
    else:
        body, kind = write_error(message), "application/x-votable+xml"
    return Response(body, status_code=error.status, media_type=kind, headers=error_headers(error))


def answer_links(
    dids: Sequence[str],
    params: Params,
    resolver: Resolver,
    makers: Sequence[LinkMaker | BatchLinkMaker],
    settings: DatalinkSettings,
    *,
    base_url: str,
    accept: str = "",
    asking: Asking | None = None,
) -> tuple[str, bytes]:
    """Give media type and document of the links of identifiers, each of them once.

    Parameters
    ----------
    dids
        The identifiers.
    params
        Of the request: RESPONSEFORMAT and MAXREC count.
    resolver, makers
        Find products and make their rows.
    settings
        Limits.
    base_url
        Where the client sees the site.
    accept
        The header, by which a browser gets a page.
    asking
        Who asks.

    Raises
    ------
    UsageError
        If a parameter is wrong.
    """
    chosen = _chosen_format(params, accept)
    max_rows = params.integer("MAXREC")
    table = LinksTable(overflow=len(dids) > settings.max_ids)
    for links in collect(dids[: settings.max_ids], resolver, makers, base_url, asking):
        # Never cut between the rows of one identifier (DataLink 1.1 section 2.1.4).
        if max_rows is not None and len(table) + len(links) > max_rows:
            table.overflow = True
            break
        table.add(links)
    return _write_links(table, chosen)


def links_routes(
    resolver: Resolver,
    makers: Sequence[LinkMaker | BatchLinkMaker],
    settings: DatalinkSettings,
    public_url: str | None,
) -> list[BaseRoute]:
    """Make ``/links`` and its VOSI resources."""

    async def get_links(request: Request) -> Response:
        params = await read_params(request)
        dids = list(dict.fromkeys(params.all("ID")))
        media_type, document = await run_sync(
            partial(
                answer_links,
                dids,
                params,
                resolver,
                makers,
                settings,
                base_url=site_url(request, public_url),
                accept=request.headers.get("accept", ""),
                asking=asking_of(request),
            )
        )
        return Response(document, media_type=media_type, headers={"Vary": "Accept"})

    def capabilities(request: Request) -> tuple[Capability, ...]:
        site = site_url(request, public_url)
        return links_capabilities(f"{site}/datalink", f"{site}/files")

    return [Route("/links", get_links, methods=["GET", "POST"]), *vosi_routes(capabilities)]


def file_routes(
    resolver: Resolver,
    previews: Previews,
    forms: Forms,
    share: Share,
    settings: DatalinkSettings,
    added: AddedValues | None = None,
) -> list[BaseRoute]:
    """Make ``/{name}``, pictures of each size, and ``/beside/{name}/{path}``.

    Names and paths are made by `datalink.names`.

    An identifier that is percent-encoded instead is understood too, where servers on the way
    let it pass.
    """
    find = partial(_find, resolver)

    async def get_file(request: Request) -> Response:
        form = Form.of(await read_params(request))
        asking = asking_of(request)
        product = await run_sync(find, request.path_params["name"], asking)
        if form == STORED and not is_local(product.uri):
            elsewhere = await run_sync(
                partial(
                    redirect_to,
                    product,
                    request.method,
                    forms.storage,
                    settings,
                    for_all=asking.public.may_have(product),
                )
            )
            if elsewhere is not None:
                return elsewhere
        return await deliver(request, await forms.content(product, form), share)

    return [
        *_picture_routes(resolver, previews),
        _beside_route(resolver, forms, share, settings, added),
        Route("/{name:path}", get_file, methods=["GET"]),
    ]


def _find(resolver: Resolver, segment: str, asking: Asking) -> Product:
    """Give the product of a name that who asks may have."""
    decoded = decode_segment(segment)
    dids = [segment] if decoded is None else [decoded, segment]
    known = known_to(asking.rights, resolver)
    products = known.resolve(dids)
    for did in dids:
        if did in products:
            check_had(asking.rights, products[did])
            asking.for_all = asking.public.may_have(products[did])
            return products[did]
    raise absent(known, dids[0], f"there is no product {dids[0]}")


def _beside_route(
    resolver: Resolver,
    forms: Forms,
    share: Share,
    settings: DatalinkSettings,
    added: AddedValues | None,
) -> BaseRoute:
    beside = BesideFiles(settings.links, added)

    def find(segment: str, path: str, asking: Asking) -> Product:
        product = _find(resolver, segment, asking)
        return beside.product_of(product, decode_segment(path) or path, resolver)

    async def get_beside(request: Request) -> Response:
        name, path = request.path_params["name"], request.path_params["path"]
        file = await run_sync(find, name, path, asking_of(request))
        return await deliver(request, await forms.content(file), share)

    return Route("/beside/{name}/{path:path}", get_beside, methods=["GET"])


def _picture_routes(resolver: Resolver, previews: Previews) -> list[BaseRoute]:
    async def get_picture(request: Request, size: PictureSize) -> Response:
        name = request.path_params["name"]
        product = await run_sync(_find, resolver, name, asking_of(request))
        etag = f'"{previews.key(product, size)}"'
        headers = {"ETag": etag, "Cache-Control": "public, max-age=3600"}
        if listed_tags(request.headers.get("if-none-match")) & {etag, "*"}:
            return Response(status_code=304, headers=headers)
        data = await previews.png(product, size)
        return Response(data, media_type="image/png", headers=headers)

    return [
        Route(f"/{size}/{{name:path}}", partial(get_picture, size=size), methods=["GET"])
        for size in get_args(PictureSize)
    ]

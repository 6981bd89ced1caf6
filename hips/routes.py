"""HiPS over HTTP: the list, and the files of each HiPS."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from hips.answers import absent, found
from hips.media import TILE_EXTENSIONS, caching, is_shown, media_type
from hips.names import parse_tile_path
from hips.properties import format_properties
from hips.settings import HipsSettings
from hips.shelf import Shelf
from vodal.access.asking import asking_of
from vodal.access.rules import EVERYTHING, Rights
from vodal.web.requests import site_url

__all__ = ["hips_list", "hips_mount", "hips_routes"]


def hips_routes(shelf: Shelf, settings: HipsSettings, public_url: str | None) -> list[BaseRoute]:
    """Make the routes below where the app is mounted.

    Parameters
    ----------
    shelf
        The HiPS that are served.
    settings
        How long tiles may be kept.
    public_url
        Of the site, as clients see it; by default taken from each request.
    """

    def list_all(request: Request) -> Response:
        base = f"{site_url(request, public_url)}{hips_mount(request)}"
        headers = {"Cache-Control": "no-cache"}
        listed = hips_list(shelf, base, asking_of(request).rights)
        return PlainTextResponse(listed, headers=headers)

    def folder(request: Request) -> Response:
        # Relative links of the page need the slash; relative, so that no host is told.
        name = str(request.path_params["name"])
        shelf.get(name, asking_of(request))
        return RedirectResponse(f"./{name}/", status_code=301)

    def file(request: Request) -> Response:
        name = str(request.path_params["name"])
        hips, fixed = shelf.get(name, asking_of(request))
        # Aladin Lite doubles the slash if its user ends the address with one.
        path = str(request.path_params.get("path", "")).lstrip("/") or "index.html"
        tile = parse_tile_path(path)
        if tile is not None and tile[2] in TILE_EXTENSIONS:
            there = hips.tile(*tile)
        else:
            there = hips.file(path) if is_shown(path) else None
        if there is None:
            return absent()
        if shelf.get(name)[0] is not hips:
            # Published this very moment: what was opened may be of either release.
            there.close()
            return file(request)
        values = hips.properties
        version = request.query_params.get("v")
        fixed = fixed or (version is not None and version == values.get("hips_release_date"))
        private = "private" in values.get("hips_status", "").split()
        kept = caching(path, settings, fixed=fixed, private=private)
        return found(request, there, media_type(path), kept)

    return [
        Route("/", list_all),
        Route("/list", list_all),
        Route("/{name}", folder),
        Route("/{name}/{path:path}", file),
    ]


def hips_mount(request: Request) -> str:
    """Give the path of this app below the site's root."""
    scope = request.scope
    whole, site = str(scope.get("root_path", "")), str(scope.get("app_root_path", ""))
    return whole.removeprefix(site).rstrip("/") or "/hips"


def hips_list(shelf: Shelf, base_url: str, rights: Rights = EVERYTHING) -> str:
    """Give the properties of each published HiPS, one record each (HiPS 1.0 section 5.2).

    Parameters
    ----------
    shelf
        Knows them.
    base_url
        Where they are seen by clients, without a trailing slash.
    rights
        Of who asks.
    """
    records = []
    for name, values in shelf.all(rights):
        shown: dict[str, object] = {
            key: value for key, value in values.items() if re.fullmatch(r"[A-Za-z][\w.\-]*", key)
        }
        shown["hips_service_url"] = f"{base_url}/{name}"
        records.append(format_properties(shown))
    return "\n".join(records)

"""HiPS over HTTP: the list, and the files of each HiPS."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from hips.properties import MANDATORY, format_properties, parse_properties
from hips.publish import NAME
from hips.settings import HipsSettings
from vodal.errors import DataError, NotFoundError
from vodal.web.requests import site_url

__all__ = ["hips_list", "hips_routes"]

_FILE: Final = re.compile(
    r"(?:Norder\d{1,2}/(?:Dir\d{1,19}/Npix\d{1,19}|Allsky)\.(?:fits|png|jpg|webp)"
    r"|properties|Moc\.fits|index\.html|preview\.jpg|metadata\.(?:fits|xml))"
)
"""All that is served; nothing else of a folder can be reached, whatever lies in it."""

_TYPES: Final = {
    "fits": "image/fits",
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "html": "text/html; charset=utf-8",
    "xml": "application/xml",
    "properties": "text/plain; charset=utf-8",
}


def hips_routes(root: Path, settings: HipsSettings, public_url: str | None) -> list[BaseRoute]:
    """Make the routes below where the app is mounted.

    Parameters
    ----------
    root
        Holds one folder a HiPS; looked at anew with each request, so that a new HiPS appears
        without a restart.
    settings
        How long tiles may be kept.
    public_url
        Of the site, as clients see it; by default taken from each request.
    """

    def list_all(request: Request) -> Response:
        base = f"{site_url(request, public_url)}{_mount(request)}"
        headers = {"Cache-Control": "no-cache"}
        return PlainTextResponse(hips_list(root, base), headers=headers)

    def folder(request: Request) -> Response:
        # Relative links of the page need the slash; relative, so that no host is told.
        name = _folder(root, request.path_params["name"]).name
        return RedirectResponse(f"{name}/", status_code=301)

    def page(request: Request) -> Response:
        path = _folder(root, request.path_params["name"]) / "index.html"
        return _file(request, path, settings)

    def file(request: Request) -> Response:
        base = _folder(root, request.path_params["name"])
        # Aladin Lite doubles the slash if its user ends the address with one.
        inside = request.path_params["path"].lstrip("/")
        if not _FILE.fullmatch(inside):
            raise _absent()
        return _file(request, base / inside, settings)

    return [
        Route("/", list_all),
        Route("/list", list_all),
        Route("/{name}", folder),
        Route("/{name}/", page),
        Route("/{name}/{path:path}", file),
    ]


def _mount(request: Request) -> str:
    """Give the path of this app below the site's root."""
    scope = request.scope
    whole, site = str(scope.get("root_path", "")), str(scope.get("app_root_path", ""))
    return whole.removeprefix(site).rstrip("/") or "/hips"


def _absent() -> NotFoundError:
    return NotFoundError("there is no such tile or file of a HiPS here")


def _folder(root: Path, name: str) -> Path:
    if not NAME.fullmatch(name) or not (root / name / "properties").is_file():
        raise NotFoundError("there is no such HiPS here; /hips/list names those there are")
    return root / name


def hips_list(root: Path, base_url: str) -> str:
    """Give the properties of each published HiPS, one record each (HiPS 1.0 section 5.2).

    Parameters
    ----------
    root
        Holds one folder a HiPS.
    base_url
        Where the folder is seen by clients, without a trailing slash.
    """
    records = []
    for folder in sorted(root.iterdir() if root.is_dir() else ()):
        if not NAME.fullmatch(folder.name):
            continue
        try:
            values = parse_properties((folder / "properties").read_text("utf-8"))
        except (OSError, UnicodeDecodeError, DataError):
            # In the making, or not ours: one bad folder must not hide the others.
            continue
        if any(key not in values for key in MANDATORY):
            continue
        if "private" in values["hips_status"].split():
            continue
        shown: dict[str, object] = {
            key: value for key, value in values.items() if re.fullmatch(r"[A-Za-z][\w.\-]*", key)
        }
        shown["hips_service_url"] = f"{base_url}/{folder.name}"
        records.append(format_properties(shown))
    return "\n".join(records)


def _file(request: Request, path: Path, settings: HipsSettings) -> Response:
    """Answer with a file, or 304 if the client has it."""
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            # Size and time are those of the bytes that are read, whatever is published meanwhile.
            body = file.read() if request.method == "GET" else b""
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise _absent() from None
    etag = f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
    changed = datetime.fromtimestamp(int(stat.st_mtime), UTC)
    headers = {
        "ETag": etag,
        "Last-Modified": format_datetime(changed, usegmt=True),
        "Cache-Control": _caching(path, settings),
    }
    if _has_it(request, etag, changed):
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(stat.st_size)
    kind = _TYPES.get(path.suffix[1:] or path.name, "application/octet-stream")
    return Response(body, headers=headers, media_type=kind)


def _caching(path: Path, settings: HipsSettings) -> str:
    # What names the release date must be fresh: by it clients know what else has changed.
    if path.name in {"properties", "index.html"}:
        return "no-cache"
    return f"public, max-age={settings.tile_max_age_s}"


def _has_it(request: Request, etag: str, changed: datetime) -> bool:
    """Tell whether the client's copy is this one (RFC 9110 section 13.2.2)."""
    known = request.headers.get("if-none-match")
    if known is not None:
        tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
        return etag in tags or "*" in tags
    since = request.headers.get("if-modified-since")
    if since is None:
        return False
    try:
        when = parsedate_to_datetime(since)
    except ValueError:
        return False
    return changed <= (when if when.tzinfo else when.replace(tzinfo=UTC))

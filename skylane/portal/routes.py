"""The page, its scripts and Aladin Lite, all from the site's own port."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from typing_extensions import override

from skylane.portal.settings import PortalSettings

__all__ = ["portal_routes"]

_STATIC = Path(__file__).parent / "static"


class _PageFiles(StaticFiles):
    """Files that belong together: browsers ask each time whether they have changed."""

    @override
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def portal_routes(settings: PortalSettings) -> list[BaseRoute]:
    """Make the routes ``/`` and ``/portal/...``."""
    title = html.escape(settings.title)
    page = (_STATIC / "index.html").read_text("utf-8").replace(">Skylane<", f">{title}<")

    async def index(_request: Request) -> Response:
        return HTMLResponse(page, headers={"Cache-Control": "no-cache"})

    async def aladin_lite(_request: Request) -> Response:
        if not settings.aladin_lite.is_file():
            raise HTTPException(
                404, "Aladin Lite is not installed: run 'npm ci' in skylane/portal."
            )
        return FileResponse(
            settings.aladin_lite,
            media_type="text/javascript",
            headers={"Cache-Control": "max-age=86400", "Access-Control-Allow-Origin": "*"},
        )

    return [
        Route("/", index),
        Route("/portal/vendor/aladin.js", aladin_lite),
        Mount("/portal", _PageFiles(directory=_STATIC)),
    ]

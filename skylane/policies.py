"""What the pages of a site may load and do in a browser."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.middleware import Middleware

from skylane.settings import SiteSettings
from vodal.web.protection import PagePolicy, Protection

__all__ = ["protection"]


def _sky(scripts: str) -> PagePolicy:
    """Give the policy of pages with Aladin Lite, which shows HiPS of other servers too.

    Its code is WebAssembly in a ``data:`` URL, and workers are made of blobs (seen with 3.6).
    """
    return PagePolicy(
        {
            "default-src": "'self'",
            "script-src": f"{scripts} 'wasm-unsafe-eval' blob:",
            "worker-src": "'self' blob: data:",
            "style-src": "'self' 'unsafe-inline'",
            "img-src": "* data: blob:",
            "connect-src": "* data: blob:",
            "font-src": "'self' data:",
            "object-src": "'none'",
            "base-uri": "'none'",
            "form-action": "'self'",
        }
    )


def protection(settings: SiteSettings) -> Middleware:
    """Give what wraps the site's app."""
    server = settings.server
    elsewhere = list(server.script_hosts)
    parts = urlsplit(settings.hips.aladin_lite_url)
    if parts.netloc:
        elsewhere.append(f"{parts.scheme or 'https'}://{parts.netloc}")
    # Each HiPS has a page of its own, whose script is within it.
    hips = _sky(" ".join(["'self' 'unsafe-inline'", *elsewhere]))
    return Middleware(
        Protection,
        pages={"/": _sky("'self'"), "/hips/": hips},
        framed_by=server.framed_by,
        hsts_s=server.hsts_s,
        hosts=server.allowed_hosts,
    )

"""Settings of the portal page."""

from __future__ import annotations

from pathlib import Path

from vodal.settings import Settings

__all__ = ["PortalSettings"]

_NPM_COPY = Path(__file__).parent / "node_modules" / "aladin-lite" / "dist" / "aladin.js"


class PortalSettings(Settings):
    """The page at ``/``."""

    title: str = "Skylane"
    """Heading of the page."""
    aladin_lite: Path = _NPM_COPY
    """Aladin Lite's ``aladin.js``, served unchanged as a file of its own under its own licence
    (GPL-3). The default is where ``npm ci`` puts it beside the page's package.json; the page works
    without it, but shows no sky."""

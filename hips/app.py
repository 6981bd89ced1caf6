"""The HiPS server as an app to be mounted."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette

from hips.routes import hips_routes
from hips.settings import HipsSettings
from vodal.storage import LOCAL, Storage
from vodal.web.app import service_app

__all__ = ["create_app"]


def create_app(
    *, root: Path, settings: HipsSettings, public_url: str | None = None, storage: Storage = LOCAL
) -> Starlette:
    """Make the app that serves the HiPS in a folder, to be mounted at ``/hips``.

    Parameters
    ----------
    root
        Holds one folder a HiPS; need not exist yet.
    settings
        How they are served.
    public_url
        Of the site (not of ``/hips``), without a trailing slash; by default taken from requests.
    storage
        Reads the HiPS that lie elsewhere.
    """
    return service_app(hips_routes(root, settings, public_url, storage))

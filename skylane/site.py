"""Settings to a running site: the stores, the pool, the services on one Starlette app."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

import datalink.app
import hips.app
import obscore.app
import soda.app
from datalink.collect import FileLinkMaker, PreviewLinkMaker
from datalink.descriptors import DatalinkAnnotator
from obscore.store.resolver import SqliteResolver
from obscore.store.sqlite import SqliteStore
from skylane.portal.routes import portal_routes
from skylane.settings import SiteSettings, load_settings
from soda.links import SodaAnnotator, SodaLinkMaker
from vodal.errors import SettingsError
from vodal.pool import WarmPool

__all__ = ["SITE_VARIABLE", "SiteFolder", "create_app", "create_app_from_environment"]

SITE_VARIABLE = "SKYLANE_SITE"
"""Names the site's folder to server processes that are started anew."""


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """Where a site keeps what it makes."""

    path: Path

    @property
    def database(self) -> Path:
        """The embedded store."""
        return self.path / "skylane.db"

    @property
    def hips(self) -> Path:
        """One folder a HiPS."""
        return self.path / "hips"

    @property
    def cache(self) -> Path:
        """Previews; may be deleted at any time."""
        return self.path / "cache"

    @property
    def reports(self) -> Path:
        """Reports of the assembly line, JSON lines."""
        return self.path / "reports"

    def prepare(self) -> None:
        """Make the folder and an empty store where there is none.

        Raises
        ------
        SettingsError
            If the folder cannot be made.
        """
        try:
            for folder in (self.path, self.hips, self.cache):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"the site's folder {self.path}: {error.strerror}") from None
        SqliteStore(self.database).close()

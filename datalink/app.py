"""The two apps: ``/datalink`` with the {links} service, ``/files`` with files and previews."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette

from datalink.bulk.lists import KeptLists
from datalink.bulk.routes import bulk_routes
from datalink.bulk.sums import KeptSums
from datalink.content import Share
from datalink.forms import Forms
from datalink.makers.template import AddedValues
from datalink.preview import Previews
from datalink.process import DecodingProcess
from datalink.routes import file_routes, links_error, links_routes
from datalink.settings import DatalinkSettings
from vodal.links import BatchLinkMaker, LinkMaker
from vodal.products import Resolver
from vodal.storage import LOCAL, Storage
from vodal.uploads.tables import TableUploads
from vodal.web.app import MAX_BODY_BYTES, service_app

__all__ = ["create_files_app", "create_links_app"]

_FORM_BYTES = 1 << 20
"""Of a form besides the table in it."""


def create_links_app(
    resolver: Resolver,
    makers: Sequence[LinkMaker | BatchLinkMaker],
    settings: DatalinkSettings,
    public_url: str | None = None,
) -> Starlette:
    """Make the {links} service; it belongs under ``/datalink``.

    Parameters
    ----------
    resolver
        Finds the products.
    makers
        Make the rows of each product, in this order.
    settings
        Limits.
    public_url
        Where clients see the site; by default taken from each request.
    """
    return service_app(links_routes(resolver, makers, settings, public_url), links_error)


def create_files_app(
    resolver: Resolver,
    settings: DatalinkSettings,
    *,
    cache: Path,
    public_url: str | None = None,
    storage: Storage = LOCAL,
    added: AddedValues | None = None,
) -> Starlette:
    """Make the retrieval of files and their previews; it belongs under ``/files``.

    Its lifespan must be run by whoever mounts it: it ends the process that decodes images.

    Parameters
    ----------
    resolver
        Finds the products; nothing else on the disk can be reached but what the rules of links
        tell of files beside theirs.
    settings
        Size and limits of previews.
    cache
        Folder for what can be made again.
    public_url
        Where clients see the site.
    storage
        Opens the products' files.
    added
        Gives values of columns that the site adds, for rules of files beside images.
    """
    process = DecodingProcess(settings)
    previews = Previews(resolver, settings, cache / "previews", process, storage)
    forms = Forms(resolver, storage, process)
    share = Share()
    bulk = settings.bulk
    uploads = TableUploads(bulk.uploads, section="datalink.bulk.uploads")
    routes = [
        *bulk_routes(
            resolver,
            KeptLists(cache / "lists", bulk.list_days),
            KeptSums(cache / "sums", storage),
            uploads,
            bulk,
            share,
            public_url,
        ),
        *file_routes(resolver, previews, forms, share, settings, added),
    ]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await previews.close()
            await process.close()
            await uploads.close()

    most = max(MAX_BODY_BYTES, bulk.uploads.max_bytes + _FORM_BYTES)
    return service_app(routes, max_body_bytes=most, lifespan=lifespan)

"""A TAP service in a process of its own; says its URL.

``tap_server.py DATABASE_OR_URL [FOLDER_OF_JOBS [SETTINGS_OF_JOBS_AS_JSON [SCHEMA_OF_QUEUE]]]``

The queue lies in the folder, or with the catalogue if its schema in PostgreSQL is named.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

from obscore.app import create_apps
from obscore.store.choice import make_backend
from obscore.store.settings import StoreSettings
from obscore.tap.settings import TapSettings
from vodal.tables.formats import LOOSE_TYPES
from vodal.testing.jobs import make_runner
from vodal.testing.server import serve
from vodal.uws.postgres import PostgresJobs
from vodal.web.encoding import Compression


def make_app(
    database: str, folder: Path | None = None, settings: str = "{}", schema: str = ""
) -> Starlette:
    """Make the service, with asynchronous queries if there is a folder for them."""
    jobs = None
    if folder is not None:
        store = PostgresJobs(database, schema) if schema else None
        jobs = make_runner(folder, store, **json.loads(settings))
    url = database if database.startswith("postgresql://") else ""
    backend = make_backend(StoreSettings(url=url), Path(database))
    tap = create_apps(backend=backend, settings=TapSettings(), jobs=jobs).tap

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if jobs is None:
            yield
        else:
            async with jobs:
                yield

    return Starlette(routes=[Mount("/", Compression(tap, LOOSE_TYPES))], lifespan=lifespan)


if __name__ == "__main__":
    folders = [Path(text) for text in sys.argv[2:3]]
    with serve(make_app(sys.argv[1], *folders, *sys.argv[3:])) as server:
        print(server.url, flush=True)
        time.sleep(600)

"""A cutout server as a process: ``soda_server.py FOLDER SETTINGS FILE...`` prints its URL.

SETTINGS is JSON: ``soda`` and ``jobs`` as in a site's settings, ``queue`` the URL of PostgreSQL,
``file_limit`` bytes that a file may have in this process.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import Products

from soda.app import create_app, make_pool
from soda.settings import SodaSettings
from vodal.testing.server import serve
from vodal.uws.postgres import PostgresJobs
from vodal.uws.results import ResultFolders
from vodal.uws.runner import Runner
from vodal.uws.settings import JobSettings
from vodal.uws.sqlite import SqliteJobs


def main(folder: Path, given: dict, files: list[Path]) -> None:
    settings = SodaSettings(**{"workers": 2, **given.get("soda", {})})
    folder.mkdir(parents=True, exist_ok=True)
    queue = given.get("queue")
    runner = Runner(
        PostgresJobs(queue) if queue else SqliteJobs(folder / "jobs.db"),
        ResultFolders(folder / "results"),
        JobSettings(**{"lease_s": 1.0, **given.get("jobs", {})}),
    )
    if "file_limit" in given:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (given["file_limit"],) * 2)
    products = Products(*files)
    registry = CollectorRegistry()
    pool = make_pool(settings)
    soda = create_app(
        resolver=products, pool=pool, settings=settings, jobs=runner, catalogue=products,
        registry=registry,
    )  # fmt: skip

    async def state(_request):
        return JSONResponse({"pids": pool.pids, "bulk": pool.stats.bulk_at_work})

    async def metrics(_request):
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @asynccontextmanager
    async def lifespan(_app):
        async with pool, soda.router.lifespan_context(soda), runner:
            yield

    routes = [Mount("/soda", soda), Route("/state", state), Route("/metrics", metrics)]
    app = Starlette(routes=routes, lifespan=lifespan)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with serve(app) as server:
        print(f"{server.url}/soda", flush=True)
        ended.wait(600)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), [Path(name) for name in sys.argv[3:]])

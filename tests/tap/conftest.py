"""A running TAP service over a synthetic catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount

from obscore.app import create_apps
from obscore.observation import CataloguedFile, Observation
from obscore.store.base import Backend
from obscore.store.sqlite.backend import SqliteBackend
from obscore.tap.settings import TapSettings
from obscore.testing import make_catalogue, make_file, make_observation
from vodal.links import InputParam, ServiceDescriptor
from vodal.regions import Circle
from vodal.tables.formats import LOOSE_TYPES
from vodal.testing.jobs import make_runner
from vodal.testing.server import serve
from vodal.uws.runner import Runner
from vodal.web.encoding import Compression


class LinksAnnotator:
    """Describes a service for every table that has the identifier, as the site's annotators do."""

    def descriptors(self, columns, base_url):
        for column in columns:
            if column.name == "obs_publisher_did":
                return [
                    ServiceDescriptor(
                        id="links",
                        name="Links",
                        access_url=f"{base_url}/datalink/links",
                        standard_id="ivo://ivoa.net/std/DataLink#links-1.1",
                        inputs=(InputParam("ID", ref=column.id, ucd="meta.id;meta.main"),),
                    )
                ]
        return []


@dataclass(frozen=True)
class Tap:
    """The service and what is in it."""

    site: str
    url: str
    database: Path | Backend
    """To make another service on the same store."""
    observations: tuple[Observation, ...]


def make_site(
    database: Path | Backend,
    settings: TapSettings | None = None,
    jobs: Runner | None = None,
    registry: CollectorRegistry | None = None,
) -> Starlette:
    """Make a site with TAP and SIA; without a runner it has no asynchronous queries."""
    apps = create_apps(
        backend=SqliteBackend(database) if isinstance(database, Path) else database,
        settings=settings,
        annotators=[LinksAnnotator()],
        jobs=jobs,
        registry=registry,
        moc_path="/moc",
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(apps.tap.router.lifespan_context(apps.tap))
            if jobs is not None:
                await stack.enter_async_context(jobs)
            yield

    routes = [
        Mount("/tap", Compression(apps.tap, LOOSE_TYPES)),
        Mount("/sia2", Compression(apps.sia, LOOSE_TYPES)),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


@pytest.fixture
def site_app():
    return make_site


def pytest_generate_tests(metafunc):
    """Run what asks a service on a service of each store, unless its module names some."""
    if "tap" in metafunc.fixturenames:
        kinds = getattr(metafunc.module, "STORES", ("sqlite", "postgres"))
        metafunc.parametrize("tap", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def files() -> list[CataloguedFile]:
    """Give what is in every service."""
    files = list(make_catalogue(400, half_width_deg=1.0))
    nasty = make_observation(
        "ivo://skylane.test/nasty?a b&c=d#e/\u00e9.fits",
        Circle(150.1, 2.2, 0.5),
        position=(150.1, 2.2),
        obs_title='<&"\u2192\n',
        access_estsize=None,
        t_exptime=None,
        target_name="x" * 2500,
        calib_level=4,
    )
    return [*files, make_file("file:///survey/nasty.fits", nasty)]


@pytest.fixture(scope="session")
def catalogue(make_backend, files) -> tuple[Path, tuple[Observation, ...]]:
    """Give an embedded store with what is in it."""
    backend = make_backend("sqlite", files)
    return backend.path, tuple(item for file in files for item in file.observations)


@pytest.fixture(scope="session")
def tap(request, make_backend, catalogue, files, tmp_path_factory):
    path, observations = catalogue
    database = path if request.param == "sqlite" else make_backend(request.param, files)
    jobs = make_runner(tmp_path_factory.mktemp("jobs"))
    with serve(make_site(database, jobs=jobs)) as server:
        yield Tap(server.url, f"{server.url}/tap", database, observations)

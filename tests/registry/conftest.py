"""A site's registry, in this process, on each store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from obscore.coverage.app import make_maps
from obscore.observation import CataloguedFile
from obscore.store.base import Backend
from obscore.testing import make_catalogue, make_file, make_observation
from skylane.access import SiteAccess
from skylane.registry.app import create_registry_app
from skylane.settings import SiteSettings
from vodal.errors import SettingsError
from vodal.regions import Circle
from vodal.testing.asgi import AppClient

URL = "https://archive.example.org/sky"

SETTINGS = {
    "server": {"public_url": URL},
    "obscore": {
        "authority": "example.org",
        "moc": {"wait_limit_s": 300.0},
        "collections": {
            "secret": {"access": {"data": "groups", "groups": ["g"], "metadata": "hidden"}},
        },
    },
    "registry": {
        "publisher": "Example Observatory & Friends",
        "contact_name": "Archive team",
        "contact_email": "archive@example.org",
        "contact_address": "On the hill 1",
        "contact_telephone": "+49 1",
        "title": "Sky of Example",
        "description": "Images < of > the sky.",
        "subjects": ["surveys", "optical-astronomy"],
        "rights": "CC BY 4.0",
        "rights_uri": "https://spdx.org/licenses/CC-BY-4.0.html",
        "organisation": {
            "title": "Example Observatory",
            "description": "Observes.",
            "reference_url": "https://example.org/",
        },
        "collections": {
            "synthetic": {
                "title": "A made-up survey",
                "short_name": "made-up",
                "source": "2026A&A...700A...1X",
                "creators": ["Doe, J.", "Example team"],
                "subjects": ["wide-field-surveys"],
            }
        },
    },
}

ODD = "deep field/\u00e9 & <x>?#\x1b"
"""A name with all that names of collections should not have."""


def make_files() -> list[CataloguedFile]:
    """Give files of five collections."""
    rows = {
        "a": ("secret", Circle(200.0, -60.0, 1.0)),
        "b": (ODD, Circle(10.0, 10.0, 0.01)),
        "c": ("radio", None),
    }
    return [
        *make_catalogue(25, seed=8),
        *(
            make_file(
                f"file:///{name}.fits",
                make_observation(
                    f"ivo://example.org/x?{name}", region, obs_collection=collection,
                    em_min=0.21 if collection == "radio" else 5e-7,
                    em_max=0.22 if collection == "radio" else 6e-7,
                    t_min=None if collection == "radio" else 59000.5,
                    t_max=None if collection == "radio" else 59000.6,
                ),
            )
            for name, (collection, region) in rows.items()
        ),
    ]  # fmt: skip


@dataclass
class Registry:
    """A registry and what is behind it."""

    client: AppClient
    backend: Backend
    settings: SiteSettings
    dates: Path

    def ask(self, **arguments: str) -> bytes:
        """Send a request of OAI-PMH by GET; gives the document."""
        named = {name.rstrip("_"): value for name, value in arguments.items()}
        answer = self.client.get("/registry/oai", params=named)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/xml")
        return answer.content


def changed(settings: dict, path: str, value: object) -> dict:
    """Give settings with another value at a path of keys with dots between them."""
    key, _, rest = path.partition(".")
    inner = changed(settings.get(key, {}), rest, value) if rest else value
    return {**settings, key: inner}


def opened(folder: Path, backend: Backend, dates: Path | None = None, **other: object):
    """Give a registry over a store, and a function that closes it."""
    given = SETTINGS
    for path, value in other.items():
        given = changed(given, path.replace("__", "."), value)
    settings = SiteSettings.model_validate(given)
    access = SiteAccess(settings, folder / "key")
    maps = make_maps(backend, settings.obscore.moc, {}, folder)
    dates = dates or folder / "registry.db"
    try:
        app = create_registry_app(settings, backend, maps, access.public, dates)
    except SettingsError:
        maps.close()
        raise

    async def stop() -> None:
        async with app.router.lifespan_context(app):
            pass

    def close() -> None:
        asyncio.run(stop())
        maps.close()

    site = Starlette(routes=[Mount("/registry", app)])
    return Registry(AppClient(site), backend, settings, dates), close


@pytest.fixture
def make_registry(tmp_path_factory) -> Iterator[Callable[..., Registry]]:
    """Give a function that makes a registry over a store, until the test ends."""
    with ExitStack() as stack:

        def make(backend: Backend, dates: Path | None = None, **other: object) -> Registry:
            made, close = opened(tmp_path_factory.mktemp("registry"), backend, dates, **other)
            stack.callback(close)
            return made

        yield make


@pytest.fixture(scope="session")
def registry(make_backend, tmp_path_factory) -> Iterator[Registry]:
    """Give a registry that no test changes."""
    folder = tmp_path_factory.mktemp("registry")
    made, close = opened(folder, make_backend("sqlite", make_files()))
    yield made
    close()


@pytest.fixture(scope="session")
def files() -> list[CataloguedFile]:
    return make_files()

"""Fixtures that tests of several packages share."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from obscore.observation import CataloguedFile
from obscore.store.base import Backend
from obscore.store.choice import make_backend as choose_backend
from obscore.store.settings import StoreSettings
from vodal.testing.postgres import Cluster, cluster, find_programs
from vodal.testing.skies import Survey, make_survey


class _Loggers(dict[str, logging.Logger | logging.PlaceHolder]):
    """The loggers of a process, of which those are given that there are at the moment."""

    def values(self) -> list[logging.Logger | logging.PlaceHolder]:  # type: ignore[override]
        return list(super().values())


def pytest_configure() -> None:
    """Let Python keep what it compiles: tests start hundreds of processes that load the same.

    pytest (9.1) goes through all loggers between the phases of a test, without logging's lock. A
    thread that loads compiled code meanwhile (`vodal.later`) makes new ones, and a dictionary that
    grows ends that with a RuntimeError.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    logging.root.manager.loggerDict = _Loggers(logging.root.manager.loggerDict)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests of a file run by one process: what they share is made once, not in each."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def _real_images() -> Path | None:
    named = os.environ.get("SKYLANE_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    images = folder / "images"
    return images if images.is_dir() else None


@pytest.fixture(scope="session")
def real_images() -> Path:
    """Give the folder of real FITS files, or skip where it is not there."""
    images = _real_images()
    if images is None:
        pytest.skip("no folder of real FITS files (SKYLANE_TEST_DATA or ../shared/data)")
    return images


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Give a small synthetic survey in three bands, half of it RICE-compressed."""
    folder = tmp_path_factory.mktemp("survey")
    return make_survey(folder, exposures=9, size=256, seed=7)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """Give a private PostgreSQL cluster with pg_sphere, one for each process that runs tests."""
    if find_programs() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    with cluster() as running:
        yield running


@pytest.fixture(scope="session")
def fresh_postgres(postgres_cluster: Cluster) -> Callable[[], str]:
    """Give a function that makes an empty database with pg_sphere and gives its URL.

    For fixtures of a wider scope than a test; the databases go with the cluster.
    """
    numbers = itertools.count(1)
    return lambda: postgres_cluster.create(f"fresh{next(numbers)}")


@pytest.fixture(scope="session")
def make_backend(request, tmp_path_factory) -> Callable[[str, Sequence[CataloguedFile]], Backend]:
    """Give a function that makes a store of a kind, sqlite or postgres, with files in it."""

    def make(kind: str, files: Sequence[CataloguedFile] = ()) -> Backend:
        url = request.getfixturevalue("fresh_postgres")() if kind == "postgres" else ""
        folder = tmp_path_factory.mktemp("store")
        backend = choose_backend(StoreSettings(url=url), folder / "skylane.db")
        backend.prepare()
        store = backend.writer()
        store.write(files)
        store.close()
        return backend

    return make


@pytest.fixture
def pyvo_sockets() -> Iterator[None]:
    """Let pyvo leave the closing of its connections to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture
def postgres_url(postgres_cluster: Cluster, fresh_postgres: Callable[[], str]) -> Iterator[str]:
    """Give the URL of an empty database with pg_sphere, removed after the test."""
    url = fresh_postgres()
    yield url
    postgres_cluster.drop(url.rpartition("/")[2])

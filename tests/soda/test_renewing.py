"""Files that are replaced between the moment they are found and that when they are cut."""

from __future__ import annotations

import asyncio
import io
import sys
import tarfile
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.io import fits
from starlette.applications import Starlette
from starlette.routing import Mount

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import Products

from soda.app import create_app, make_pool
from soda.renewing import cut_as_found
from soda.settings import SodaSettings
from vodal.errors import DataError, NotFoundError, UnfinishedError, UsageError
from vodal.testing.server import serve
from vodal.testing.skies import make_wcs

PLACE = "40.0 5.0 0.004"


def put(path: Path, value: int, *, size: int = 100) -> Path:
    """Put an image of one value in a file's place at one moment, as pipelines do."""
    header = make_wcs(40.0, 5.0, size, 1.0, distorted=False).to_header()
    spare = path.with_name(".spare")
    fits.PrimaryHDU(np.full((size, size), value, np.int16), header).writeto(spare)
    spare.replace(path)
    return path


def values(content: bytes) -> set[int]:
    with fits.open(io.BytesIO(content)) as hdus:
        data = next(hdu.data for hdu in hdus if hdu.data is not None)
    # What is stitched has no value where no image is.
    return set(np.unique(data[np.isfinite(data)]).tolist())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Serve one image; gives its file, the catalogue and an address."""
    path = put(tmp_path_factory.mktemp("data") / "a.fits", 1)
    products = Products(path)
    settings = SodaSettings(workers=1)
    pool = make_pool(settings)
    soda = create_app(resolver=products, pool=pool, settings=settings, catalogue=products)

    @asynccontextmanager
    async def lifespan(_app):
        async with pool:
            yield

    with serve(Starlette(routes=[Mount("/soda", soda)], lifespan=lifespan)) as server:
        yield path, products, f"{server.url}/soda"


def catalogued(products: Products, path: Path) -> str:
    """Catalogue a file anew; gives the identifier."""
    fresh = Products(path)
    products.found.update(fresh.found)
    products.indexes.update(fresh.indexes)
    (did,) = fresh.found
    return did


def asked(url: str, path: str, did: str, **more: str) -> httpx.Response:
    return httpx.get(f"{url}/{path}", params={"ID": did, "CIRCLE": PLACE, **more}, timeout=120)


# Of an image of another size what was found before is no use, whatever is waited for.
@pytest.mark.parametrize("size", [100, 130])
def test_a_file_that_was_replaced_and_catalogued_meanwhile_is_cut_as_it_is_now(site, size):
    path, products, url = site
    did = catalogued(products, put(path, 3))
    assert values(asked(url, "sync", did).content) == {3}
    catalogued(products, put(path, 8, size=size))
    # It was looked up within the last second.
    answer = asked(url, "sync", did)
    assert answer.status_code == 200, answer.text
    assert values(answer.content) == {8}


@pytest.mark.parametrize(("service", "packing"), [("sync", "tar"), ("stitched", "")])
def test_one_that_the_catalogue_does_not_know_yet_is_waited_for(site, service, packing):
    path, products, url = site
    did = catalogued(products, put(path, 4))
    more = {"MULTI": packing} if packing else {}
    assert asked(url, service, did, **more).status_code == 200
    put(path, 9)
    answer = asked(url, service, did, **more)
    assert answer.status_code == 200, answer.text
    content = answer.content
    if packing:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            name = next(name for name in tar.getnames() if name.endswith(".fits"))
            content = tar.extractfile(name).read()
    assert values(content) == {9}


class Story:
    """States that are found one after the other, and what cutting each of them brings."""

    def __init__(self, states: list[int], ends: dict[int, list[Exception | str]]) -> None:
        self.states, self.ends, self.cuts = states, ends, []

    async def find(self) -> int:
        return self.states.pop(0)

    async def cut(self, state: int) -> str:
        self.cuts.append(state)
        end = self.ends[state].pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    def told(self, known: int | None = None) -> str:
        return asyncio.run(cut_as_found(self.find, self.cut, lambda state: state, known=known))


@pytest.mark.parametrize("error", [DataError("x"), NotFoundError("x"), UnfinishedError("x")])
@pytest.mark.parametrize("known", [None, 1])
def test_another_state_is_cut_once_more(error, known):
    story = Story([1, 2] if known is None else [2], {1: [error], 2: ["made"]})
    assert story.told(known) == "made"
    assert story.cuts == [1, 2]
    again = Story([1, 2, 3], {1: [error], 2: [error], 3: ["made"]})
    with pytest.raises(type(error)):
        again.told()
    assert again.cuts == [1, 2]


def test_what_is_at_fault_itself_is_cut_once():
    for error in (DataError("torn"), NotFoundError("gone")):
        story = Story([1, 1], {1: [error]})
        with pytest.raises(type(error)):
            story.told()
        assert story.cuts == [1]
    story = Story([1], {1: [UsageError("no such plane")]})
    with pytest.raises(UsageError):
        story.told()


def test_a_file_that_stays_unfinished_is_told_as_such():
    for second in (UnfinishedError("x"), DataError("half of it is missing")):
        story = Story([1, 1, 1], {1: [UnfinishedError("x"), second]})
        with pytest.raises(UnfinishedError):
            story.told()
        assert story.cuts == [1, 1]

from __future__ import annotations

import io
import os
import re
import signal
import socket
import sys
import tarfile
import threading
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import uvicorn
from astropy.io import fits
from PIL import Image
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount

sys.path.insert(0, str(Path(__file__).parent))
from soda_files import Products, section

from soda.app import create_app, make_pool
from soda.metrics import CUT_OUTCOMES, STEPS
from soda.params import MOST_VERTICES
from soda.settings import SodaSettings
from vodal.testing.skies import make_wcs


def wait_for(condition, limit_s=30.0):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def served(products, **options):
    """Serve products on a real port; gives the URL and the pool."""
    settings = SodaSettings(**{"workers": 2, "max_output_bytes": 2_000_000, **options})
    pool = make_pool(settings)
    registry = CollectorRegistry()
    soda = create_app(resolver=products, pool=pool, settings=settings, registry=registry)

    @asynccontextmanager
    async def lifespan(_app):
        async with pool:
            yield

    app = Starlette(routes=[Mount("/soda", soda)], lifespan=lifespan)
    sock = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        end = time.monotonic() + 120
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < end
            time.sleep(0.02)
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/soda"
        yield SimpleNamespace(url=url, pool=pool, value=registry.get_sample_value)
    finally:
        server.should_exit = True
        thread.join()
        sock.close()
    assert pool.stats.workers == 0


@pytest.fixture(scope="module")
def products(survey):
    return Products(*(exposure.path for exposure in survey.exposures))


@pytest.fixture(scope="module")
def site(products):
    with served(products) as site:
        yield site


@pytest.fixture
def ask(site):
    with httpx.Client(timeout=30) as client:
        yield lambda **params: client.get(f"{site.url}/sync", params=params)


@pytest.fixture
def first(survey, products):
    """The first exposure, its identifier and a place on it."""
    did = next(iter(products.found))
    exposure = survey.exposures[0]
    assert did.endswith(exposure.path.name)
    ra, dec = (float(value) for value in exposure.wcs.all_pix2world(120, 70, 0))
    return SimpleNamespace(did=did, exposure=exposure, ra=ra, dec=dec)


def test_a_cutout_by_get_and_by_post(site, ask, first):
    answer = ask(ID=first.did, CIRCLE=f"{first.ra} {first.dec} 0.002")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/fits"
    assert re.fullmatch(
        r'attachment; filename="visit1000_g_cutout_[\d.]+\+[\d.]+\.fits"',
        answer.headers["content-disposition"],
    )
    timing = answer.headers["server-timing"]
    assert all(f"{step};dur=" in timing for step in ("queue", "index", "read", "encode"))
    assert int(answer.headers["content-length"]) == len(answer.content)
    with fits.open(io.BytesIO(answer.content)) as cut, fits.open(first.exposure.path) as original:
        assert [hdu.name for hdu in cut] == ["PRIMARY", "IMAGE", "MASK", "VARIANCE"]
        assert cut[0].header["CUTID"] == first.did
        for hdu in cut[1:]:
            np.testing.assert_array_equal(hdu.data, original[hdu.name].data[section(hdu.header)])
    body = {"id": first.did, "Circle": f"{first.ra} {first.dec} 0.002"}
    posted = httpx.post(f"{site.url}/sync", data=body)
    assert posted.status_code == 200
    assert len(posted.content) == len(answer.content)
    multipart = httpx.post(f"{site.url}/sync", files={k: (None, v) for k, v in body.items()})
    assert len(multipart.content) == len(answer.content)


def test_every_form_of_stencil_gives_the_same(ask, first):
    r = 0.002
    answers = [
        ask(ID=first.did, POS=f"CIRCLE {first.ra} {first.dec} {r}"),
        ask(ID=first.did, CIRCLE=f"{first.ra} {first.dec} {r}"),
    ]
    assert len({len(answer.content) for answer in answers}) == 1
    corners = " ".join(
        f"{first.ra + dx * r / np.cos(np.deg2rad(first.dec))} {first.dec + dy * r}"
        for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    )
    assert ask(ID=first.did, POLYGON=corners).status_code == 200
    assert ask(ID=first.did, POS=f"POLYGON {corners}").status_code == 200
    given = f"RANGE {first.ra - r} {first.ra + r} {first.dec - r} {first.dec + r}"
    assert ask(ID=first.did, POS=given).status_code == 200


def test_no_overlap_is_204_without_body(ask, first):
    for given in ({"CIRCLE": "0 -80 1"}, {"BAND": "1e-6 2e-6"}, {"TIME": "50000 50001"}):
        answer = ask(ID=first.did, **given)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-length" not in answer.headers
        assert "content-type" not in answer.headers


def test_the_whole_dataset_without_a_stencil(ask, first):
    answer = ask(ID=first.did, BAND="4.1e-7 4.2e-7", RESPONSEFORMAT="application/fits")
    assert answer.headers["content-type"] == "application/fits"
    with fits.open(io.BytesIO(answer.content)) as cut:
        assert cut["IMAGE"].shape == (256, 256)


@pytest.mark.parametrize(
    ("given", "status", "label", "word"),
    [
        ({"CIRCLE": "1 2 3"}, 400, "UsageError: ", "ID"),
        ({"ID": "ivo://nobody/nothing?x"}, 404, "UsageError: ", "nobody"),
        ({"ID": "DID", "CIRCLE": "1 2 -3"}, 400, "UsageError: ", "CIRCLE"),
        ({"ID": "DID", "CIRCLE": "1 2"}, 400, "UsageError: ", "three"),
        ({"ID": "DID", "POS": "SQUARE 1 2"}, 400, "UsageError: ", "POS"),
        (
            {"ID": "DID", "CIRCLE": ["1 2 3", "4 5 6"]},
            400,
            "MultiValuedParamNotSupported: ",
            "once",
        ),
        ({"ID": ["DID", "b"]}, 400, "MultiValuedParamNotSupported: ", "ID"),
        ({"ID": "DID", "POL": "I"}, 400, "UsageError: ", "POL"),
        ({"ID": "DID", "RESPONSEFORMAT": "image/tiff"}, 400, "UsageError: ", "image/fits"),
    ],
)
def test_errors_are_plain_text_with_the_standards_labels(ask, first, given, status, label, word):
    given = {k: first.did if v == "DID" else v for k, v in given.items()}
    if isinstance(given.get("ID"), list):
        given["ID"] = [first.did, "b"]
    answer = ask(**given)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith(label)
    assert word in answer.text


def test_other_methods_and_places(site):
    assert httpx.put(f"{site.url}/sync").status_code == 405
    assert httpx.get(f"{site.url}/nothing").status_code == 404


def test_an_answer_over_the_limit_names_it(products, survey):
    with served(products, workers=1, max_output_bytes=100_000) as site:
        did = next(iter(products.found))
        answer = httpx.get(f"{site.url}/sync", params={"ID": did})
        assert answer.status_code == 413
        assert answer.text.startswith("UsageError: ")
        assert "limit of 0.1 MB" in answer.text


def test_a_file_that_changed_or_went_away_is_a_clean_error(survey, tmp_path):
    path = tmp_path / "night.fits"
    path.write_bytes(survey.exposures[0].path.read_bytes())
    products = Products(path)
    with served(products, workers=1) as site:
        params = {"ID": next(iter(products.found))}
        first = httpx.get(f"{site.url}/sync", params=params)
        assert first.status_code == 200
        # Of another time and the same otherwise: it is looked at anew, and served.
        os.utime(path, ns=(1, 1))
        touched = httpx.get(f"{site.url}/sync", params=params)
        assert touched.status_code == 200
        assert len(touched.content) == len(first.content)
        os.truncate(path, path.stat().st_size // 2)
        busy = httpx.get(f"{site.url}/sync", params=params)
        assert busy.status_code == 503
        assert int(busy.headers["retry-after"]) > 0
        os.utime(path, ns=(2, 2))
        changed = httpx.get(f"{site.url}/sync", params=params)
        assert changed.status_code == 500
        assert changed.text.startswith("Error: ")
        assert "changed" in changed.text
        path.unlink()
        gone = httpx.get(f"{site.url}/sync", params=params)
        assert gone.status_code == 500
        assert gone.text.startswith("Error: ")
        assert str(tmp_path) not in gone.text


def test_a_file_that_was_replaced_is_cut_as_it_is_now(survey, tmp_path):
    path = tmp_path / "night.fits"
    path.write_bytes(survey.exposures[0].path.read_bytes())
    products = Products(path)
    with served(products, workers=1) as site:
        params = {"ID": next(iter(products.found))}
        for number in range(3):
            with fits.open(path, mode="update") as hdus:
                hdus["IMAGE"].data[0, 0] = number
            os.utime(path, ns=(number + 1, number + 1))
            now = Products(path)
            products.found, products.indexes = now.found, now.indexes
            answer = httpx.get(f"{site.url}/sync", params=params)
            assert answer.status_code == 200
            with fits.open(io.BytesIO(answer.content)) as cut:
                assert cut["IMAGE"].data[0, 0] == number
        products.found.clear()
        path.unlink()
        assert httpx.get(f"{site.url}/sync", params=params).status_code == 404


def test_a_crowd_gets_each_its_own_cutout(products, first):
    places = [(first.ra + 0.0004 * k, 0.0003 + 0.0001 * (k % 5)) for k in range(12)]
    with served(products, workers=2, max_queue=100) as site, httpx.Client(timeout=60) as client:

        def fetch(k):
            ra, radius = places[k % 12]
            given = {"ID": first.did, "CIRCLE": f"{ra} {first.dec} {radius}"}
            answer = client.get(f"{site.url}/sync", params=given)
            assert answer.status_code == 200
            return re.sub(rb"CUTDATE = '[^']*'", b"", answer.content)

        truths = [fetch(k) for k in range(12)]
        assert len(set(truths)) == 12
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(fetch, range(120)))
        assert all(one == truths[k % 12] for k, one in enumerate(found))


def test_what_was_done_is_told_and_counted(products, first):
    with served(products, workers=1, max_output_bytes=100_000) as site:

        def outcomes():
            return [
                int(site.value("skylane_soda_cutouts_total", {"mode": "sync", "outcome": name}))
                for name in CUT_OUTCOMES
            ]

        place = f"{first.ra} {first.dec}"
        answer = httpx.get(f"{site.url}/sync", params={"ID": first.did, "CIRCLE": f"{place} 1e-3"})
        steps = [part.partition(";dur=") for part in answer.headers["Server-Timing"].split(", ")]
        assert tuple(name for name, _, _ in steps) == STEPS
        assert all(float(duration) >= 0 for _, _, duration in steps)
        assert outcomes() == [1, 0, 0, 0, 0, 0, 0]
        for step in STEPS:
            labels = {"mode": "sync", "step": step}
            assert site.value("skylane_soda_step_seconds_count", labels) == 1
        assert site.value("skylane_soda_cutout_bytes_sum", {"mode": "sync"}) == len(answer.content)
        with fits.open(io.BytesIO(answer.content)) as cut:
            pixels = sum(hdu.data.nbytes for hdu in cut if hdu.data is not None)
        needed = site.value("skylane_soda_needed_bytes_total")
        assert pixels // 8 < needed <= site.value("skylane_soda_read_bytes_total")
        for params in ({"CIRCLE": "0 -80 1"}, {}):
            httpx.get(f"{site.url}/sync", params={"ID": first.did, **params})
        assert outcomes() == [1, 1, 1, 0, 0, 0, 0]
        # What was read is more than was needed by what lies between short rows alone.
        assert site.value("skylane_soda_read_bytes_total") < 1.2 * needed + 3 * 25 * 4096


def test_head_tells_the_length_without_the_body(site, first):
    answer = httpx.head(f"{site.url}/sync", params={"ID": first.did, "CIRCLE": "0 -80 1"})
    assert answer.status_code == 204
    given = {"ID": first.did, "CIRCLE": f"{first.ra} {first.dec} 0.002"}
    answer = httpx.head(f"{site.url}/sync", params=given)
    assert answer.status_code == 200
    assert answer.content == b""


def test_capabilities_and_availability(site):
    root = ET.fromstring(httpx.get(f"{site.url}/capabilities").text)
    found = {
        one.get("standardID"): one.findtext("interface/accessURL")
        for one in root.iter("capability")
    }
    assert found["ivo://ivoa.net/std/SODA#sync-1.0"] == f"{site.url}/sync"
    assert "ivo://ivoa.net/std/VOSI#availability" in found
    answer = httpx.get(f"{site.url}/availability")
    assert "true" in answer.text


def _ended(tasks, count):
    return sum(task.done() for task in tasks) >= count


def _replaced(pool, count):
    return (pool.stats.lost, pool.stats.workers) == (count, 2)


def test_answers_survive_workers_being_killed(products, survey):
    exposures = list(zip(products.found, survey.exposures, strict=True))
    with served(products) as site, httpx.Client(timeout=60) as client:

        def one(number):
            did, exposure = exposures[number % len(exposures)]
            ra, dec = exposure.wcs.all_pix2world(100, 100, 0)
            answer = client.get(
                f"{site.url}/sync", params={"ID": did, "CIRCLE": f"{ra} {dec} 0.003"}
            )
            return answer.status_code, answer.content

        with ThreadPoolExecutor(4) as threads:
            running = [threads.submit(one, number) for number in range(100)]
            for killed in range(1, 4):
                # In the midst of the crowd, each time another.
                wait_for(partial(_ended, running, 20 * killed))
                os.kill(site.pool.pids[0], signal.SIGKILL)
                # That it is dead is noticed a little later.
                wait_for(partial(_replaced, site.pool, killed))
            answers = [task.result() for task in running]
        assert site.pool.stats.lost == 3
        codes = [code for code, _ in answers]
        assert set(codes) <= {200, 503}
        assert codes.count(200) >= 97
        assert all(content[:6] == b"SIMPLE" for code, content in answers if code == 200)
        assert one(0)[0] in {200, 503}


def test_a_client_that_goes_away_frees_the_worker(products, first):
    with served(products, workers=1) as site:
        host, port = site.url.removeprefix("http://").removesuffix("/soda").split(":")
        query = httpx.QueryParams({"ID": first.did})
        request = f"GET /soda/sync?{query} HTTP/1.1\r\nHost: x\r\n\r\n"
        # A worker that gets nothing done.
        os.kill(site.pool.pids[0], signal.SIGSTOP)
        gone = []
        for _ in range(5):
            gone.append(socket.create_connection((host, int(port))))
            gone[-1].sendall(request.encode())
        wait_for(lambda: (site.pool.stats.idle, site.pool.stats.waiting) == (0, 4))
        for sock in gone:
            sock.close()
        wait_for(lambda: site.pool.stats.waiting == 0)
        # The one at work is given up with its worker, and another takes its place.
        answer = httpx.get(
            f"{site.url}/sync",
            params={"ID": first.did, "CIRCLE": f"{first.ra} {first.dec} 0.002"}, timeout=60,
        )  # fmt: skip
        assert answer.status_code == 200
        labels = {"mode": "sync", "outcome": "ok"}
        assert site.value("skylane_soda_cutouts_total", labels) == 1


def test_a_polygon_that_takes_too_long_keeps_nobody_else_waiting(products, first):
    # Sides that cross each other at random, all of which count for each pixel.
    rng = np.random.default_rng(2)
    ra = first.ra + rng.uniform(-0.02, 0.02, MOST_VERTICES)
    dec = first.dec + rng.uniform(-0.02, 0.02, MOST_VERTICES)
    polygon = " ".join(f"{value:.9f}" for vertex in zip(ra, dec, strict=True) for value in vertex)
    given = {"ID": first.did, "POLYGON": polygon, "OUTSIDE": "nan"}
    small = {"ID": first.did, "CIRCLE": f"{first.ra} {first.dec} 0.002"}
    with served(products, deadline_s=4.0) as site, ThreadPoolExecutor(1) as threads:
        late = threads.submit(httpx.post, f"{site.url}/sync", data=given, timeout=60)
        wait_for(lambda: site.pool.stats.idle == 1)
        codes = []
        while not late.done():
            codes.append(httpx.get(f"{site.url}/sync", params=small, timeout=60).status_code)
        assert set(codes) == {200}
        assert late.result().status_code == 503
        assert "4 s" in late.result().text
        wait_for(lambda: (site.pool.stats.lost, site.pool.stats.workers) == (1, 2))


def test_a_crowd_is_told_to_come_back(products, first):
    with served(products, workers=1, max_queue=0) as site, httpx.Client() as client:
        given = {"ID": first.did, "CIRCLE": f"{first.ra} {first.dec} 0.01"}
        with ThreadPoolExecutor(12) as threads:
            answers = list(
                threads.map(lambda _: client.get(f"{site.url}/sync", params=given), range(60))
            )
        refused = [answer for answer in answers if answer.status_code == 503]
        assert refused
        assert all(answer.text.startswith("ServiceUnavailable: ") for answer in refused)
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert {answer.status_code for answer in answers} == {200, 503}


def test_answers_that_nobody_takes_are_made_up_to_a_limit(tmp_path):
    wcs = make_wcs(40.0, 5.0, 2000, 0.5)
    path = tmp_path / "a.fits"
    data = np.arange(4_000_000, dtype=np.int32).reshape(2000, 2000)
    fits.PrimaryHDU(data, wcs.to_header(relax=True)).writeto(path)
    products = Products(path)
    did = next(iter(products.found))
    given = {"ID": did, "CIRCLE": "40 5 0.002"}
    limits = {"max_output_bytes": 1 << 30, "max_unsent_bytes": 40_000_000}
    with served(products, workers=1, **limits) as site, httpx.Client(timeout=60) as client:
        host, port = site.url.removeprefix("http://").removesuffix("/soda").split(":")
        request = f"GET /soda/sync?{httpx.QueryParams({'ID': did})} HTTP/1.1\r\nHost: x\r\n\r\n"
        lazy = []
        # Each answer has 16 MB, more than the kernel takes of what a client does not read.
        for number in range(3):
            assert client.get(f"{site.url}/sync", params=given).status_code == 200
            lazy.append(socket.create_connection((host, int(port)), timeout=60))
            lazy[-1].sendall(request.encode())
            assert lazy[-1].recv(1), number
        refused = client.get(f"{site.url}/sync", params=given)
        assert refused.status_code == 503
        assert refused.text.startswith("ServiceUnavailable: 48 MB of answers wait for clients")
        assert int(refused.headers["retry-after"]) > 0
        for sock in lazy:
            sock.close()
        end = time.monotonic() + 30
        while client.get(f"{site.url}/sync", params=given).status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_workers_hold_nothing_of_the_server(site):
    for pid in site.pool.pids:
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "numpy" in maps
        assert "apsw" not in maps
        assert "sqlalchemy" not in maps


def test_formats_by_parameter_and_by_accept(site, ask, first):
    where = {"ID": first.did, "CIRCLE": f"{first.ra} {first.dec} 0.002"}
    by_name = ask(**where, FORMAT="fits-rice", OUTSIDE="nan", TILE="16 16")
    assert by_name.headers["content-type"] == "image/fits;compression=rice"
    assert by_name.headers["content-disposition"].endswith('.fits.fz"')
    with fits.open(io.BytesIO(by_name.content)) as cut:
        assert isinstance(cut["IMAGE"], fits.CompImageHDU)
        assert np.isnan(cut["IMAGE"].data).any()
    url = f"{site.url}/sync"
    accepting = httpx.get(url, params=where, headers={"Accept": "image/x-fits-rice"})
    assert accepting.headers["content-type"] == "image/fits;compression=rice"
    assert "Accept" in accepting.headers["vary"]
    browser = httpx.get(url, params=where, headers={"Accept": "text/html,image/webp,*/*;q=0.8"})
    assert browser.headers["content-type"] == "image/fits"
    assert ask(**where, OUTSIDE="gone").text.startswith("UsageError: OUTSIDE")


def test_pictures_by_parameter_and_by_accept(site, ask, first, products, survey):
    where = {"ID": first.did, "CIRCLE": f"{first.ra} {first.dec} 0.003"}
    answer = ask(**where, RESPONSEFORMAT="image/png", SIZE=64, COLORMAP="viridis", OUTSIDE="nan")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"].startswith("inline")
    assert answer.headers["content-disposition"].endswith('.png"')
    picture = Image.open(io.BytesIO(answer.content))
    assert max(picture.size) == 64
    assert picture.getchannel("A").getextrema() == (0, 255)
    asked = httpx.get(f"{site.url}/sync", params=where, headers={"Accept": "image/jpeg"})
    assert asked.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(asked.content)).format == "JPEG"
    assert ask(ID=first.did, CIRCLE="0 -80 1", FORMAT="png").status_code == 204
    assert ask(**where, FORMAT="png", STRETCH="best").text.startswith("UsageError: STRETCH")
    tar = ask(ID=list(products.found)[:2], FORMAT="png", MULTI="tar")
    with tarfile.open(fileobj=io.BytesIO(tar.content)) as archive:
        names = archive.getnames()
        assert [name[-4:] for name in names] == [".png", ".png", ".csv"]
        assert Image.open(archive.extractfile(names[0])).format == "PNG"
    assert ask(ID=list(products.found)[:2], FORMAT="png", MULTI="mef").status_code == 400


def test_three_datasets_in_colour(ask, first, products):
    dids = list(products.found)[:3]
    given = {"ID": dids, "CIRCLE": f"{first.ra} {first.dec} 0.004", "COMBINE": "rgb"}
    answer = ask(**given)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).mode == "RGBA"
    assert ask(**{**given, "ID": dids[:2]}).text.startswith("UsageError: COMBINE=rgb")
    assert ask(**given, MULTI="zip").text.startswith("UsageError: COMBINE=rgb")
    assert ask(**{**given, "CIRCLE": "0 -80 1"}).status_code == 204
    assert ask(**{**given, "ID": [*dids[:2], "ivo://nobody/x"]}).status_code == 404

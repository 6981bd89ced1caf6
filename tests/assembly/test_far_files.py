"""Files on servers in the assembly line: read side by side, followed while it runs, renewed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from obscore.assembly.ahead import scan
from obscore.assembly.line import ingest
from obscore.assembly.live import LiveLine
from obscore.assembly.portion import read_some
from obscore.assembly.read import read_file
from obscore.assembly.renewal import Renewal
from obscore.assembly.report import FileReport
from obscore.assembly.rules import rules_for
from obscore.settings import ObsCoreSettings
from obscore.sources import Candidate, Source
from obscore.sources.objects import ObjectSource
from obscore.sources.polling import PollingWatch
from obscore.sources.web import ListingSource
from obscore.store.base import Store
from vodal.fits.scan import scan_file
from vodal.storage import Storage, StorageSettings
from vodal.storage.settings import S3Settings
from vodal.testing.archive import nginx_listing, serve_archive
from vodal.testing.s3 import KEYS, bucket_of, serve_s3

ENOUGH_S = 90.0
LIMITS = {"poll_seconds": 0.1, "settle_seconds": 0.4, "incomplete_seconds": 1.0}
SETTINGS = ObsCoreSettings.model_validate({"ingest": LIMITS})


@pytest.fixture(scope="module")
def image(tmp_path_factory, write_image) -> bytes:
    return write_image(tmp_path_factory.mktemp("image") / "a.fits", shape=(40, 60)).read_bytes()


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "www" / "deep").mkdir(parents=True)
    with serve_archive(tmp_path / "www") as served:
        served.listing = nginx_listing
        yield served


@pytest.fixture
def web(archive):
    storage = Storage(StorageSettings(http_hosts=(archive.host,), attempts=1))
    yield storage
    storage.close()


def test_headers_of_a_portion_are_asked_for_side_by_side(archive, web, image):
    rules = rules_for(SETTINGS, "deep")
    portion = []
    for number in range(8):
        path = archive.folder / "deep" / f"{number}.fits"
        path.write_bytes(image)
        stat = web.stat(f"{archive.url}/deep/{number}.fits")
        portion.append(
            (Candidate(f"{archive.url}/deep/{number}.fits", path.name, "deep", stat), rules)
        )
    (archive.folder / "deep" / "2.fits").write_bytes(b"<html>busy</html>" * 1000)
    (archive.folder / "deep" / "3.fits").unlink()
    archive.seen.clear()
    # Answers wait until eight requests are there: one after the other would never come back.
    archive.together = threading.Barrier(8)
    outcomes = read_some(portion, 30.0, web)
    archive.together = None
    assert len(archive.seen) == 8  # one request a file
    assert [one.refusal and one.refusal.reason for one in outcomes] == [
        None, None, "not-fits", "unreadable", None, None, None, None,
    ]  # fmt: skip
    alone = read_file(portion[5][0], rules, web)
    assert alone.file.observations == outcomes[5].file.observations
    assert outcomes[5].file.index.version == portion[5][0].stat.version


def test_an_index_from_a_server_is_that_of_the_file(archive, web, image):
    path = archive.folder / "deep" / "a.fits"
    path.write_bytes(image)
    far, here = scan(f"{archive.url}/deep/a.fits", web), scan_file(path)
    assert (far.hdus, far.size_bytes) == (here.hdus, here.size_bytes)


class Running:
    """A line on one source, in a thread."""

    def __init__(self, source: Source, store: Store, storage: Storage) -> None:
        self.reports, self.notices = list[FileReport](), list[str]()
        self.line = LiveLine(
            [source], [(PollingWatch([source], 0.1), [source])], store, SETTINGS, workers=1,
            report=self.reports.append, notice=self.notices.append, storage=storage, prune=True,
        )  # fmt: skip
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self.line.run(self._stop))
        )
        self._thread.start()

    def told(self) -> list[tuple[str, str]]:
        return [(one.status, one.uri.rpartition("/")[2]) for one in self.reports]

    def until(self, true: Callable[[], object]) -> None:
        end = time.monotonic() + ENOUGH_S
        while not true():
            assert self._thread.is_alive(), self.told()
            assert time.monotonic() < end, (self.told(), self.notices)
            time.sleep(0.02)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(ENOUGH_S)
        assert not self._thread.is_alive()
        self._loop.close()


def test_a_listed_folder_is_followed_and_half_written_files_are_waited_for(
    archive, web, image, make_backend
):
    folder = archive.folder / "deep"
    (folder / "a.fits").write_bytes(image)
    store = make_backend("sqlite").writer()
    running = Running(ListingSource(f"{archive.url}/deep/", web), store, web)
    try:
        running.until(lambda: ("added", "a.fits") in running.told())
        with (folder / "b.fits").open("wb") as file:
            most = len(image) - 2880 - 10  # the last pixels lie there
            for start in range(0, most, most // 4 + 1):
                file.write(image[start : min(start + most // 4 + 1, most)])
                file.flush()
                time.sleep(0.25)
                assert ("added", "b.fits") not in running.told()
            file.write(image[most:])
        running.until(lambda: ("added", "b.fits") in running.told())
        (folder / "a.fits").unlink()
        running.until(lambda: ("removed", "a.fits") in running.told())
        names = {f"{number}.fits" for number in range(70)}
        for name in names:
            (folder / name).write_bytes(image)
        running.until(lambda: {("added", name) for name in names} <= set(running.told()))
        pages = archive.listing
        archive.listing = lambda *_: "<h1>Closed for maintenance</h1>"
        running.until(lambda: running.notices)
        assert "is no listing" in running.notices[0]
        archive.listing = pages
        (folder / "c.fits").write_bytes(image)
        running.until(lambda: ("added", "c.fits") in running.told())
        assert len(store.known_files()) == 72
    finally:
        running.stop()
        store.close()
    assert len(running.told()) == len(set(running.told()))


@pytest.fixture(scope="module")
def endpoint():
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    with serve_s3() as address:
        yield address


def test_a_bucket_is_followed_and_changed_objects_are_renewed(endpoint, image, make_backend):
    s3 = S3Settings(buckets=("live",), endpoint=endpoint, **KEYS)
    storage = Storage(StorageSettings(s3=s3))
    backend = make_backend("sqlite")
    store = backend.writer()
    with bucket_of(endpoint, "live") as client:
        source = ObjectSource("s3://live/night 1/", storage)
        running = Running(source, store, storage)
        try:
            client.put_object(Bucket="live", Key="night 1/a+%20b.fits", Body=image)
            running.until(lambda: ("added", "a+%20b.fits") in running.told())
            client.put_object(Bucket="live", Key="night 1/short.fits", Body=image[:3000])
            running.until(lambda: ("refused", "short.fits") in running.told())
        finally:
            running.stop()
        uri = "s3://live/night 1/a+%20b.fits"
        (before,) = store.known_files().values()
        client.put_object(Bucket="live", Key="night 1/a+%20b.fits", Body=image + bytes(2880))

        async def renew() -> None:
            async with Renewal(backend, SETTINGS, storage) as renewal:
                renewal.refresh(uri, before.version)
                await asyncio.sleep(0.1)
                while renewal.busy:  # noqa: ASYNC110 - it tells in no other way
                    await asyncio.sleep(0.05)

        asyncio.run(renew())
        (after,) = store.known_files().values()
        assert after.version == source.look(uri).stat.version != before.version
        # What was renewed is not read again.
        summary = ingest(source, store, SETTINGS, workers=0, storage=storage)
        assert summary.statuses["unchanged"] == 1
        client.delete_object(Bucket="live", Key="night 1/short.fits")
    store.close()
    storage.close()

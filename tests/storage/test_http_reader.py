"""Files of HTTP servers: ranges, versions, faults."""

import os
import pickle
import threading
import time

import numpy as np
import pytest

from vodal.errors import ChangedError, DataError, NotFoundError, ServiceUnavailable, UsageError
from vodal.storage import Storage, StorageSettings
from vodal.testing.archive import serve_archive

DATA = np.random.default_rng(3).bytes(300_000)


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "a b.bin").write_bytes(DATA)
    (tmp_path / "empty.bin").write_bytes(b"")
    with serve_archive(tmp_path) as running:
        yield running


@pytest.fixture
def reach(archive):
    opened = []

    def make(*hosts, **given):
        settings = {"timeout_s": 0.4, "deadline_s": 10.0, "attempts": 3, **given}
        storage = Storage(StorageSettings(http_hosts=(archive.host, *hosts), **settings))
        opened.append(storage)
        return storage

    yield make
    for storage in opened:
        storage.close()


def version_of(archive, storage, name="a%20b.bin"):
    with storage.open(f"{archive.url}/{name}") as reader:
        version = reader.stat().version
    archive.seen.clear()
    return version


def test_what_a_server_tells_of_a_file(archive, reach):
    with reach().open(f"{archive.url}/a%20b.bin") as reader:
        stat = reader.stat()
        assert stat.size_bytes == len(DATA)
        assert stat.modified_unix_s == int((archive.folder / "a b.bin").stat().st_mtime)
        assert reader.read(10, 100) == DATA[10:110]
    assert len(archive.seen) == 1  # the head of the file came with the first answer
    with reach().open(f"{archive.url}/empty.bin") as reader:
        assert reader.stat().size_bytes == 0
        assert reader.read_many([]) == []


@pytest.mark.parametrize("etag", ["strong", "weak", "none"])
@pytest.mark.parametrize("heeds", [True, False])
def test_a_known_version_is_read_and_checked_in_one_request(archive, reach, etag, heeds):
    archive.etag, archive.heeds_conditions = etag, heeds
    storage = reach()
    version = version_of(archive, storage)
    with storage.open(f"{archive.url}/a%20b.bin", version) as reader:
        assert reader.read(70_000, 5000) == DATA[70_000:75_000]
    assert len(archive.seen) == 1
    sent = archive.seen[0].headers
    assert ("if-match" in sent) == (etag == "strong")
    assert ("if-unmodified-since" in sent) == (etag == "none")
    (archive.folder / "a b.bin").write_bytes(DATA[::-1])
    os.utime(archive.folder / "a b.bin", (2e9, 2e9))
    with storage.open(f"{archive.url}/a%20b.bin", version) as reader:
        with pytest.raises(ChangedError):
            reader.read(70_000, 5000)
        with pytest.raises(ChangedError):
            reader.read_many([(0, 10), (200_000, 10)])


def test_a_file_that_grew_or_shrank_has_changed_even_without_any_mark(archive, reach):
    archive.etag, archive.last_modified = "none", False
    storage = reach()
    version = version_of(archive, storage)
    for size in (200_000, 71_000, 10):
        (archive.folder / "a b.bin").write_bytes(DATA[:size])
        with (
            storage.open(f"{archive.url}/a%20b.bin", version) as reader,
            pytest.raises(ChangedError),
        ):
            reader.read(70_000, 5000)


def test_a_change_between_two_reads_is_noticed(archive, reach):
    storage = reach()
    with storage.open(f"{archive.url}/a%20b.bin") as reader:
        reader.stat()
        (archive.folder / "a b.bin").write_bytes(DATA + b"more")
        with pytest.raises(ChangedError):
            reader.read(100_000, 10)


def test_far_ranges_are_asked_for_side_by_side(archive, reach):
    storage = reach()
    version = version_of(archive, storage)
    ranges = [(k * 60_000, 100) for k in range(5)]
    archive.together = threading.Barrier(5)  # each answer waits for the five requests
    with storage.open(f"{archive.url}/a%20b.bin", version) as reader:
        found = reader.read_many(ranges)
    archive.together = None
    assert found == [DATA[offset : offset + length] for offset, length in ranges]
    assert archive.bytes_sent() == 500


def test_connections_are_kept(archive, reach):
    storage = reach()
    for start in range(0, 250_000, 50_000):
        with storage.open(f"{archive.url}/a%20b.bin") as reader:
            assert reader.read(start, 10) == DATA[start : start + 10]
    assert len({item.connection for item in archive.seen}) == 1


def test_a_connection_that_the_server_closed_is_made_anew(archive, reach):
    storage = reach(attempts=1)
    version = version_of(archive, storage)
    archive.faults.extend(["close", "close"])
    for _ in range(3):
        with storage.open(f"{archive.url}/a%20b.bin", version) as reader:
            assert reader.read(0, 10) == DATA[:10]
        time.sleep(0.05)
    assert len(archive.seen) == 3


@pytest.mark.parametrize("fault", ["drop", "cut-short", "garbage", "silent", "busy", "broken"])
def test_passing_faults_are_outlived(archive, reach, fault):
    storage = reach()
    version = version_of(archive, storage)
    archive.faults.extend([fault, fault])
    with storage.open(f"{archive.url}/a%20b.bin", version) as reader:
        assert reader.read(1000, 5000) == DATA[1000:6000]


@pytest.mark.parametrize("fault", ["drop", "cut-short", "garbage", "silent", "busy", "broken"])
def test_faults_that_stay_are_told_as_such(archive, reach, fault):
    storage = reach(attempts=2)
    version = version_of(archive, storage)
    archive.faults.extend([fault] * 9)
    with (
        storage.open(f"{archive.url}/a%20b.bin", version) as reader,
        pytest.raises(ServiceUnavailable, match=r"storage at 127\.0\.0\.1 does not answer") as info,
    ):
        reader.read(1000, 5000)
    assert info.value.retry_after_s >= 10
    assert len(archive.faults) == 7


@pytest.mark.parametrize("fault", ["ignores-range", "too-short", "other-range", "packed"])
def test_answers_that_are_not_what_was_asked_for_are_refused(archive, reach, fault):
    storage = reach()
    version = version_of(archive, storage)
    archive.faults.append(fault)
    with (
        storage.open(f"{archive.url}/a%20b.bin", version) as reader,
        pytest.raises(DataError, match=r"server of a b\.bin"),
    ):
        reader.read(1000, 5000)
    assert not archive.faults


def test_a_server_that_nobody_has_is_waited_for_no_longer_than_allowed(archive, reach):
    storage = reach(deadline_s=0.5, attempts=20)
    archive.faults.extend(["silent"] * 20)
    start = time.monotonic()
    with (
        storage.open(f"{archive.url}/a%20b.bin") as reader,
        pytest.raises(ServiceUnavailable, match=r"no answer in time|too long"),
    ):
        reader.stat()
    assert time.monotonic() - start < 5


def test_missing_and_forbidden_files(archive, reach):
    storage = reach()
    with storage.open(f"{archive.url}/none.fits") as reader, pytest.raises(NotFoundError):
        reader.stat()
    archive.faults.append("forbidden")
    with (
        storage.open(f"{archive.url}/a%20b.bin") as reader,
        pytest.raises(DataError, match=r"403 \(AccessDenied\)"),
    ):
        reader.stat()


def test_reading_past_the_end_is_an_error(archive, reach):
    with reach().open(f"{archive.url}/a%20b.bin") as reader:
        with pytest.raises(DataError, match="ends before byte 300010"):
            reader.read(299_990, 20)
        with pytest.raises(DataError, match="ends before"):
            reader.read_many([(0, 5), (10**9, 5)])


def test_only_hosts_of_the_settings_are_asked(archive, reach):
    with pytest.raises(DataError, match="not read by this site"):
        Storage(StorageSettings()).open(f"{archive.url}/a%20b.bin")
    for uri in ("ftp://127.0.0.1/a", "gopher:x", "data:,x"):
        with pytest.raises(UsageError, match=r"not 'ftp:'|not 'gopher:'|not 'data:'"):
            reach().open(uri)
    for uri in (
        "http://",
        "http://a b/",
        "http://u:p@127.0.0.1/",
        "http://127.0.0.1:x/",
        "https:///a",
    ):
        with pytest.raises(DataError, match="address"):
            reach().open(uri)
    assert archive.seen == []


def test_redirects_are_followed_among_these_hosts_only(archive, reach):
    storage = reach()
    archive.redirects["/moved"] = "/a%20b.bin"
    with storage.open(f"{archive.url}/moved") as reader:
        assert reader.read(5, 10) == DATA[5:15]
    with serve_archive(archive.folder) as other:
        archive.redirects["/away"] = f"{other.url}/a%20b.bin"
        with (
            storage.open(f"{archive.url}/away") as reader,
            pytest.raises(DataError, match="redirect"),
        ):
            reader.stat()
        assert other.seen == []
        both = reach(other.host)
        with both.open(f"{archive.url}/away") as reader:
            assert reader.stat().size_bytes == len(DATA)
        both.close()
    archive.redirects["/loop"] = "/loop"
    with (
        storage.open(f"{archive.url}/loop") as reader,
        pytest.raises(DataError, match="without end"),
    ):
        reader.stat()


def test_storage_crosses_processes_by_its_settings(archive, reach):
    storage = reach()
    twin = pickle.loads(pickle.dumps(storage))
    assert twin.settings == storage.settings
    assert pickle.loads(pickle.dumps(storage)) is twin  # and with it its connections


@pytest.mark.parametrize("hosts", [("http://a",), ("a/b",), ("a:port",), ("*",), ("",)])
def test_settings_tell_hosts_from_other_text(hosts):
    with pytest.raises(ValueError, match="is no host"):
        StorageSettings(http_hosts=hosts)

"""Several ranges in one request: few bytes, and never others than a single range would give."""

import threading
import time
from email.message import Message

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vodal.errors import ChangedError, DataError, ServiceUnavailable
from vodal.storage import Storage, StorageSettings
from vodal.storage.byteranges import read_pieces
from vodal.storage.settings import S3Settings
from vodal.testing.archive import serve_archive
from vodal.testing.nginx import has_nginx, serve_nginx

DATA = np.random.default_rng(3).bytes(1_000_000)
ROWS = [(1000 + row * 3000, 400) for row in range(300)]
EXPECTED = [DATA[offset : offset + length] for offset, length in ROWS]
WANTED = 300 * 400


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "a.bin").write_bytes(DATA)
    with serve_archive(tmp_path) as running:
        yield running


@pytest.fixture
def storage(archive):
    made = Storage(StorageSettings(http_hosts=(archive.host,), timeout_s=2.0, attempts=2))
    yield made
    made.close()


def version_of(archive, storage):
    with storage.open(f"{archive.url}/a.bin") as reader:
        version = reader.stat().version
    archive.seen.clear()
    return version


@pytest.mark.parametrize("several", ["parts", "shuffled"])
def test_many_rows_come_in_few_requests_and_bytes_side_by_side(archive, storage, several):
    archive.several = several
    version = version_of(archive, storage)
    archive.together = threading.Barrier(3)  # 100 ranges each; all are asked for at once
    with storage.open(f"{archive.url}/a.bin", version) as reader:
        assert reader.read_many(ROWS) == EXPECTED
        assert reader.taken_bytes == WANTED
    archive.together = None
    assert len(archive.seen) == 3
    assert archive.bytes_sent() <= 1.25 * WANTED
    assert all("if-match" in item.headers for item in archive.seen)


def test_few_ranges_are_asked_for_one_by_one(archive, storage):
    version = version_of(archive, storage)
    with storage.open(f"{archive.url}/a.bin", version) as reader:
        assert reader.read_many(ROWS[:32]) == EXPECTED[:32]
    assert len(archive.seen) == 32
    assert not any("," in item.headers["range"] for item in archive.seen)


@pytest.mark.parametrize("several", ["merged", "first", "whole", "garbled", "refused"])
def test_a_server_without_them_is_read_as_before_and_remembered(archive, storage, several):
    archive.several = several
    version = version_of(archive, storage)
    for _ in range(2):
        with storage.open(f"{archive.url}/a.bin", version) as reader:
            assert reader.read_many(ROWS) == EXPECTED
    asked = sum("," in item.headers["range"] for item in archive.seen)
    assert asked == 3
    single = [item for item in archive.seen if "," not in item.headers["range"]]
    assert 2 <= len(single) <= 2 * 32


def test_a_change_is_noticed(archive, storage):
    for heeds in (True, False):
        archive.heeds_conditions = heeds
        (archive.folder / "a.bin").write_bytes(DATA)
        version = version_of(archive, storage)
        (archive.folder / "a.bin").write_bytes(DATA[::-1])
        with (
            storage.open(f"{archive.url}/a.bin", version) as reader,
            pytest.raises(ChangedError),
        ):
            reader.read_many(ROWS)


def test_faults_are_told_as_of_single_ranges(archive, storage):
    version = version_of(archive, storage)
    with storage.open(f"{archive.url}/a.bin", version) as reader:
        archive.faults.extend(["broken", "drop", "cut-short"])
        assert reader.read_many(ROWS) == EXPECTED
        archive.faults.extend(["broken"] * 6)
        with pytest.raises(ServiceUnavailable):
            reader.read_many(ROWS)
        archive.faults.clear()
        with pytest.raises(DataError, match="ends before byte"):
            reader.read_many([*ROWS, (999_999, 2)])


def test_s3_is_asked_for_single_ranges_alone(archive):
    (archive.folder / "survey").mkdir()
    (archive.folder / "survey" / "a.bin").write_bytes(DATA)
    s3 = S3Settings(buckets=("survey",), endpoint=archive.url, anonymous=True)
    storage = Storage(StorageSettings(s3=s3))
    with storage.open("s3://survey/a.bin") as reader:
        assert reader.read_many(ROWS) == EXPECTED
    storage.close()
    assert not any("," in item.headers["range"] for item in archive.seen)
    # The first tells the version; the holes are read along.
    assert len(archive.seen) == 2


@settings(max_examples=30, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 999_000), st.integers(0, 900)), max_size=150),
    lanes=st.sampled_from([1, 3, 32]),
)
def test_any_ranges_are_given_in_their_order(many, places, lanes):
    archive, version = many
    storage = Storage(StorageSettings(http_hosts=(archive.host,), parallel=lanes))
    with storage.open(f"{archive.url}/a.bin", version) as reader:
        assert reader.read_many(places) == [DATA[a : a + n] for a, n in places]
    storage.close()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    (folder / "a.bin").write_bytes(DATA)
    with serve_archive(folder) as archive:
        storage = Storage(StorageSettings(http_hosts=(archive.host,)))
        yield archive, version_of(archive, storage)
        storage.close()


@pytest.fixture
def nginx(tmp_path):
    """The real server, with a log of what it sent."""
    if not has_nginx():
        pytest.skip("nginx is not installed")
    for name in ("files", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "files" / "a.bin").write_bytes(DATA)
    with serve_nginx(tmp_path / "files", tmp_path / "scratch") as served:
        yield served


def test_nginx_gives_many_rows_in_few_bytes(nginx):
    host, log = nginx
    storage = Storage(StorageSettings(http_hosts=(host,)))
    with storage.open(f"http://{host}/a.bin") as reader:
        version = reader.stat().version
    with storage.open(f"http://{host}/a.bin", version) as reader:
        assert reader.read_many(ROWS) == EXPECTED
        assert reader.taken_bytes == WANTED
    storage.close()
    until = time.monotonic() + 10
    while len(lines := log.read_text().splitlines()) < 4 and time.monotonic() < until:
        time.sleep(0.05)
    answers = [tuple(map(int, line.split())) for line in lines[1:]]
    assert [status for status, _ in answers] == [206] * 3
    assert sum(size for _, size in answers) <= 1.4 * WANTED


def answer(kind, body, content_range=None):
    headers = Message()
    headers["Content-Type"] = kind
    if content_range:
        headers["Content-Range"] = content_range
    return read_pieces(headers, body)


PART = b"--x y\r\ncontent-range:bytes 5-7/10\r\n\r\nabc\r\n--x y--"


def test_parts_as_other_servers_write_them():
    kind = 'multipart/byteranges; boundary="x y"'
    pieces = answer(kind, b"a preamble\r\n" + PART + b"\r\nan end")
    assert pieces.size_bytes == 10
    assert (pieces.take(5, 3), pieces.take(6, 1)) == (b"abc", b"b")
    assert (pieces.take(4, 2), pieces.take(6, 3), pieces.take(0, 1)) == (None, None, None)
    assert answer("image/fits", b"abc", "bytes 5-7/10").take(5, 3) == b"abc"


@pytest.mark.parametrize(
    ("kind", "body", "content_range"),
    [
        ("multipart/byteranges; boundary=other", PART, None),
        ("multipart/byteranges", PART, None),
        ("text/plain; boundary=x y", PART, None),
        ('multipart/byteranges; boundary="x y"', PART[:-4], None),
        ('multipart/byteranges; boundary="x y"', PART[:30], None),
        ('multipart/byteranges; boundary="x y"', PART.replace(b"5-7", b"5-6"), None),
        ('multipart/byteranges; boundary="x y"', PART.replace(b"5-7", b"7-5"), None),
        ('multipart/byteranges; boundary="x y"', b"", None),
        ("image/fits", b"abc", "bytes 5-8/10"),
        ("image/fits", b"abc", "bytes */10"),
    ],
)
def test_what_is_no_answer_of_several_ranges(kind, body, content_range):
    assert answer(kind, body, content_range) is None

"""Good cutouts go on, pixel for pixel, while all goes wrong around them, on a real server.

Workers are killed, files are damaged, cut short, replaced and written over while they are read,
the disk is full for results of jobs, clients read slowly, not at all or go away, and some ask for
the whole sky.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import resource
import signal
import socket
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
from astropy.io import fits

from vodal.testing.skies import make_wcs

pytestmark = pytest.mark.xdist_group("faults")

SIZE = 400
CENTRE = (40.0, 5.0)
SCALE = 1.0
MEMORY_MB = 100
"""That a process may grow by: several times the largest answer (6 MB) with all its copies."""
STALL_S = 20.0
"""After which a client that takes nothing is dropped; the slow one takes some all the time."""
FULL_BYTES = 3_000_000
"""That a file may have on the full disk: enough for the queue, not for the results."""

KEPT_BYTES = 1 << 26
"""Of each shared buffer at most, when its answer is gone."""


@dataclass
class Truth:
    """A file of the site, and what is true of its pixels."""

    path: Path
    pixels: np.ndarray
    did: str = ""
    rewritten: np.ndarray | None = None
    """What the pixels are in the end, where they are rewritten."""


@dataclass
class Load:
    """What the requests of all threads came to."""

    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


def write_files(folder: Path) -> dict[str, Truth]:
    """Write an image of each kind, and those that will be harmed."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    header = make_wcs(*CENTRE, SIZE, SCALE).to_header(relax=True)
    header["DATE-OBS"], header["EXPTIME"], header["FILTER"] = "2024-01-01T00:00:00", 30.0, "r"
    plain = ("plain", "zipped", "truncated", "replaced", "big", "wide", "rewritten0", "rewritten1")
    kinds = dict.fromkeys(plain) | {"rice": "RICE_1", "gzip2": "GZIP_2", "damaged": "GZIP_1"}
    made = {}
    for name, kind in kinds.items():
        size = {"big": 1500, "wide": 1200}.get(name, SIZE)
        pixels = rng.integers(0, 1 << 14, (size, size)).astype(np.int32)
        if kind is None:
            hdus = [fits.PrimaryHDU(pixels, header)]
        else:
            hdus = [fits.PrimaryHDU(), fits.CompImageHDU(
                pixels, header, compression_type=kind, tile_shape=(50, 50))]  # fmt: skip
        stream = io.BytesIO()
        fits.HDUList(hdus).writeto(stream)
        data = bytearray(stream.getvalue())
        if name == "damaged":
            # The last tile, which holds the upper corner.
            end = len(data.rstrip(b"\0"))
            data[end - 60 : end - 20] = bytes(40)
        path = folder / f"{name}.fits"
        if name == "zipped":
            path, data = folder / f"{name}.fits.gz", gzip.compress(data, 1)
        path.write_bytes(data)
        made[name] = Truth(path, pixels)
    return made


@pytest.fixture
def running(tmp_path, cli):
    """A site of such files, with three cutout workers, that is stopped in the end."""
    truths = write_files(tmp_path / "data" / "night")
    (tmp_path / "skylane.toml").write_text(
        "[soda]\nworkers = 3\nmax_output_bytes = 6_000_000\nmax_queue = 200\ndeadline_s = 120\n"
        f"[server]\nstall_limit_s = {STALL_S}\n"
    )
    cli.run("ingest", tmp_path / "data" / "night", "--site", tmp_path)
    process, url = cli.start(tmp_path)
    query = {"LANG": "ADQL", "RESPONSEFORMAT": "csv",
             "QUERY": "SELECT obs_publisher_did FROM ivoa.obscore"}  # fmt: skip
    dids = httpx.post(f"{url}/tap/sync", data=query).raise_for_status().text.split()
    for truth in truths.values():
        (truth.did,) = [did.strip('"') for did in dids if truth.path.name in did]
    yield url, process, truths
    if process.poll() is None:
        cli.stop(process)


@pytest.fixture
def lazy():
    """Connections of clients that take nothing, closed after the test."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context


def cut_url(url: str, truth: Truth, stencil: str) -> str:
    return f"{url}/soda/sync?" + urlencode({"ID": truth.did, "CIRCLE": stencil})


def is_right(body: bytes, truth: Truth) -> bool:
    """Tell whether a cutout has the pixels that its CUTSEC promises."""
    with fits.open(io.BytesIO(body)) as cut:
        hdu = next(one for one in cut if "CUTSEC" in one.header)
        sides = re.findall(r"(\d+):(\d+)", hdu.header["CUTSEC"])
        section = tuple(slice(int(low) - 1, int(high)) for low, high in reversed(sides))
        return hdu.data.size > 0 and any(
            np.array_equal(hdu.data, pixels[section])
            for pixels in (truth.pixels, truth.rewritten)
            if pixels is not None
        )


def ask_steadily(
    url: str, load: Load, name: str, truth: Truth, stencil: str, allowed: set[str]
) -> None:
    """Ask for one cutout again and again; each answer must be right or one that is allowed."""
    with httpx.Client(timeout=120) as client:
        while not load.stop.is_set():
            try:
                answer = client.get(cut_url(url, truth, stencil))
            except httpx.HTTPError as error:
                load.faults.append(f"{name}: {error!r}")
                return
            status = str(answer.status_code)
            load.answers[f"{name} {status}"] += 1
            if status == "200":
                if not is_right(answer.content, truth):
                    load.faults.append(f"{name}: wrong pixels")
            elif status not in allowed or not re.match(r"[A-Za-z]*Error: |ServiceUn", answer.text):
                load.faults.append(f"{name}: {status} {answer.text[:200]}")
            if status == "503" and "retry-after" not in answer.headers:
                load.faults.append(f"{name}: 503 without Retry-After")


def children(pid: int) -> list[int]:
    """Give the cutout workers among the descendants of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int(re.search(r"PPid:\t(\d+)", (folder / "status").read_text())[1])
            if parent == pid and b"vodal.pool.worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return sorted(found)


def descriptors(pid: int) -> int:
    """Count what a process has open, but for its databases, which have a pool of their own."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += ".db" not in str(link.readlink())
    return count


def shared_bytes(pid: int) -> int:
    """Give the memory in buffers that a server shares with its workers."""
    total = 0
    for one in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # of a request that ends now
            if "memfd" in str(one.readlink()):
                total += one.stat().st_blocks * 512
    return total


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def settled(measure, limit, seconds=120.0) -> float:
    """Wait until a number has come down to a limit; gives the last."""
    end = time.monotonic() + seconds
    while (found := measure()) > limit and time.monotonic() < end:
        time.sleep(0.1)
    return found


def warm_up(url: str, truths: list[Truth], stencil: str) -> None:
    """Let all workers and the server's threads open what they keep open."""

    def one(number: int) -> bool:
        truth = truths[number % len(truths)]
        answer = httpx.get(cut_url(url, truth, stencil), timeout=120)
        return answer.status_code == 200 and is_right(answer.content, truth)

    with ThreadPoolExecutor(24) as pool:
        assert all(pool.map(one, range(96)))


def vanish(url: str, truth: Truth, after_bytes: int) -> None:
    """Ask for a large answer, read a little of it at most, and go away without a word."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        target = cut_url("", truth, "40 5 0.1")
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        if after_bytes:
            sock.recv(after_bytes)


def read_slowly(url: str, load: Load, truth: Truth) -> None:
    """Take one large answer in small bites while the others are served."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        target = cut_url("", truth, "40 5 0.1")
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        parts = []
        while part := sock.recv(8192):
            parts.append(part)
            if not load.stop.is_set():
                time.sleep(0.02)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    load.answers[f"slow {head[9:12].decode()}"] += 1
    if not (head.startswith(b"HTTP/1.1 200") and is_right(body, truth)):
        load.faults.append(f"slow: {head[:200]!r}")


def replace_again_and_again(load: Load, truth: Truth) -> None:
    """Put other files of the same size and header in the place of one, and the first back."""
    first = truth.path.read_bytes()
    data_start = len(first) - -(-4 * SIZE * SIZE // 2880) * 2880
    other = first[:data_start] + bytes(len(first) - data_start)
    beside = truth.path.with_name("replaced.tmp")
    times = truth.path.stat()
    while not load.stop.is_set():
        for data in (other, first):
            beside.write_bytes(data)
            if data is first:
                os.utime(beside, ns=(times.st_atime_ns, times.st_mtime_ns))
            beside.replace(truth.path)
            time.sleep(0.03)


def take_nothing(url: str, truth: Truth) -> socket.socket:
    """Ask for an answer larger than what the kernel takes, and leave it where it is."""
    host, port = url.removeprefix("http://").split(":")
    sock = socket.socket()
    # Small before it connects, so that the server learns of a small window.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(60)
    sock.connect((host, int(port)))
    target = cut_url("", truth, "40 5 0.4")
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return sock


def is_dropped(sock: socket.socket) -> bool:
    """Tell whether a connection was cut by the other side, before the answer was whole."""
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(1 << 20):
            pass
        return False
    return True


def run_job(url: str, truths: list[Truth]) -> tuple[str, str]:
    """Have a job put whole images into an archive; gives its URL and how it ended."""
    given = {"ID": [truth.did for truth in truths], "MULTI": "tar", "PHASE": "RUN"}
    job = httpx.post(f"{url}/soda/async", data=given, timeout=120).headers["location"]
    phase = "QUEUED"
    end = time.monotonic() + 120
    while phase in {"PENDING", "QUEUED", "EXECUTING"} and time.monotonic() < end:
        phase = httpx.get(f"{job}/phase", params={"WAIT": 5}, timeout=120).text.strip()
    return job, phase


def fill_and_empty_the_disk(url: str, load: Load, truths: list[Truth], pid: int) -> None:
    """Have a job fail as its results find no room, and succeed when there is some."""
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
    try:
        job, phase = run_job(url, truths)
        text = httpx.get(f"{job}/error", timeout=120).text
        results = httpx.get(f"{job}/results", timeout=120).text
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    load.answers[f"full disk {phase}"] += 1
    if not re.match("(ServiceUnavailable|Error): ", text) or "href" in results:
        load.faults.append(f"full disk: {phase} {text[:200]} {results[:500]}")
    job, phase = run_job(url, truths)
    load.answers[f"disk with room {phase}"] += 1
    found = httpx.get(f"{job}/results/cutouts", timeout=120)
    with tarfile.open(fileobj=io.BytesIO(found.content)) as archive:
        bodies = [archive.extractfile(one).read() for one in archive if ".fits" in one.name]
    if len(bodies) != len(truths) or not all(map(is_right, bodies, truths)):
        load.faults.append(f"disk with room: {len(bodies)} files, or wrong pixels")


def pool_metrics(url: str) -> dict[str, float]:
    """Give what the pool says of itself."""
    page = httpx.get(f"{url}/metrics", timeout=60).text
    found = re.findall(r"^skylane_soda_((?:work|wait|buff)\S+) (\S+)$", page, re.MULTILINE)
    return {name: float(value) for name, value in found}


def rewrite(truth: Truth, is_seen: Callable[[], int]) -> None:
    """Write other pixels over a file, bit by bit, as a careless program would.

    In the end it is a file with these pixels, and is cut as such. They are written again until
    a request has met a file that is being written.
    """
    data = bytearray(truth.path.read_bytes())
    half, count = len(data) // 2, 4 * SIZE * 20
    data[half : half + count] = bytes(count)
    with fits.open(io.BytesIO(bytes(data))) as hdus:
        truth.rewritten = np.array(hdus[0].data)
    end = time.monotonic() + 120
    with truth.path.open("r+b", buffering=0) as file:
        while True:
            file.seek(half)
            for _ in range(20):
                file.write(bytes(4 * SIZE))
                time.sleep(0.002)
            if is_seen() or time.monotonic() > end:
                return


def test_good_cutouts_go_on_while_all_goes_wrong(running, lazy):
    url, process, truths = running
    load = Load()
    small = "40 5 0.01"
    good = {"plain": small, "rice": small, "gzip2": small, "zipped": small}
    warm_up(url, [truths[name] for name in good], small)
    whole = [truths["plain"], truths["rice"], truths["wide"]]
    assert run_job(url, whole)[1] == "COMPLETED"
    fds, memory = descriptors(process.pid), resident_mb(process.pid)
    free = pool_metrics(url)["buffers_free"]
    worker_fds = max(descriptors(pid) for pid in children(process.pid))
    worker_memory = max(resident_mb(pid) for pid in children(process.pid))
    with truths["truncated"].path.open("r+b") as file:
        file.truncate(10_000)
    jobs = [(name, truths[name], stencil, {"503"}) for name, stencil in good.items()]
    jobs += [
        ("damaged", truths["damaged"], "39.95 5.05 0.02", {"500", "503"}),
        ("sound part", truths["damaged"], "40.04 4.96 0.01", {"503"}),
        ("truncated", truths["truncated"], small, {"500", "503"}),
        ("replaced", truths["replaced"], small, {"500", "503"}),
        ("whole sky", truths["plain"], "0 0 180", {"503"}),
        ("too much", truths["big"], "0 0 180", {"413", "503"}),
    ]
    jobs += [
        (f"rewritten {number}", truths[f"rewritten{number}"], "40 5 0.1", {"500", "503"})
        for number in range(2)
    ]
    threads = [threading.Thread(target=ask_steadily, args=(url, load, *job)) for job in jobs]
    threads.append(threading.Thread(target=read_slowly, args=(url, load, truths["plain"])))
    threads.append(
        threading.Thread(target=replace_again_and_again, args=(load, truths["replaced"]))
    )
    disk = (url, load, whole, process.pid)
    threads.append(threading.Thread(target=fill_and_empty_the_disk, args=disk))
    stalled = [lazy(take_nothing(url, truths["wide"])) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        killed = 0
        for turn in range(6):
            before = load.answers.total()
            vanish(url, truths["plain"], 0)
            vanish(url, truths["rice"], 2000)
            workers = children(process.pid)
            if workers:
                os.kill(workers[turn % len(workers)], signal.SIGKILL)
                killed += 1
            if turn in {2, 4}:
                number = turn // 2 - 1
                is_seen = partial(load.answers.__getitem__, f"rewritten {number} 503")
                rewrite(truths[f"rewritten{number}"], is_seen)
            end = time.monotonic() + 120
            while load.answers.total() < before + 60 and time.monotonic() < end:
                time.sleep(0.02)
            alive = httpx.get(f"{url}/soda/availability", timeout=60)
            assert ">true<" in alive.text, alive.text
    finally:
        load.stop.set()
        for thread in threads:
            thread.join(180)
    assert not any(thread.is_alive() for thread in threads)
    assert load.faults == []
    seen = load.answers
    assert killed >= 4
    for name in (*good, "sound part", "whole sky", "slow"):
        assert seen[f"{name} 200"] > 0, seen
    assert seen["full disk ERROR"] == seen["disk with room COMPLETED"] == 1, seen
    assert seen["damaged 200"] == seen["truncated 200"] == seen["too much 200"] == 0
    assert min(seen["damaged 500"], seen["truncated 500"], seen["too much 413"]) > 0, seen
    for number in range(2):
        assert seen[f"rewritten {number} 200"] > 0, seen
        assert seen[f"rewritten {number} 503"] > 0, seen
    # Killed workers take what they had with them; the requests of others are not refused.
    assert sum(seen[f"{name} 503"] for name in good) <= 2 * killed, seen
    assert settled(lambda: -pool_metrics(url)['workers{state="idle"}'], -3) == -3
    assert settled(lambda: len(children(process.pid)), 3) == 3
    # Clients that took nothing were dropped, and what waited for them is free.
    assert settled(lambda: -pool_metrics(url)["buffers_free"], -free) == -free == -5
    for sock in stalled:
        assert is_dropped(sock)
    assert shared_bytes(process.pid) <= 5 * KEPT_BYTES
    now = pool_metrics(url)
    assert now['waiting{lane="now"}'] == now['waiting{lane="bulk"}'] == 0
    # Those that were killed while they started are not counted.
    assert now['workers_ended_total{reason="lost"}'] > 0
    assert settled(lambda: descriptors(process.pid), fds + 1) <= fds + 1
    assert resident_mb(process.pid) < memory + MEMORY_MB
    for pid in children(process.pid):
        # One more may be a decompressed gzip, which is kept.
        assert descriptors(pid) <= worker_fds + 2
        assert resident_mb(pid) < worker_memory + MEMORY_MB

"""Good cutouts go on, pixel for pixel, while all goes wrong around them, on a real server."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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
"""That a process may grow by: several times the largest answer (4 MB) with all its copies."""


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
    plain = ("plain", "zipped", "truncated", "replaced", "big", "rewritten0", "rewritten1")
    kinds = dict.fromkeys(plain) | {"rice": "RICE_1", "gzip2": "GZIP_2", "damaged": "GZIP_1"}
    made = {}
    for name, kind in kinds.items():
        size = 1200 if name == "big" else SIZE
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
        "[soda]\nworkers = 3\nmax_output_bytes = 4_000_000\nmax_queue = 200\ndeadline_s = 120\n"
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


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


def settled(measure, limit, seconds=60.0) -> int:
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


def rewrite(truth: Truth) -> None:
    """Write other pixels over a file, bit by bit, as a careless program would.

    In the end it is a file with these pixels, and is cut as such.
    """
    data = bytearray(truth.path.read_bytes())
    half, count = len(data) // 2, 4 * SIZE * 20
    data[half : half + count] = bytes(count)
    with fits.open(io.BytesIO(bytes(data))) as hdus:
        truth.rewritten = np.array(hdus[0].data)
    with truth.path.open("r+b", buffering=0) as file:
        file.seek(truth.path.stat().st_size // 2)
        for _ in range(20):
            file.write(bytes(4 * SIZE))
            time.sleep(0.002)


def test_good_cutouts_go_on_while_all_goes_wrong(running):
    url, process, truths = running
    load = Load()
    small = "40 5 0.01"
    good = {"plain": small, "rice": small, "gzip2": small, "zipped": small}
    warm_up(url, [truths[name] for name in good], small)
    fds, memory = descriptors(process.pid), resident_mb(process.pid)
    worker_fds = max(descriptors(pid) for pid in children(process.pid))
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
                rewrite(truths[f"rewritten{turn // 2 - 1}"])
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
    assert seen["damaged 200"] == seen["truncated 200"] == seen["too much 200"] == 0
    assert min(seen["damaged 500"], seen["truncated 500"], seen["too much 413"]) > 0, seen
    for number in range(2):
        assert seen[f"rewritten {number} 200"] > 0, seen
        assert seen[f"rewritten {number} 503"] > 0, seen
    # Killed workers take what they had with them; the requests of others are not refused.
    assert sum(seen[f"{name} 503"] for name in good) <= 2 * killed, seen
    assert settled(lambda: -len(children(process.pid)), -3) == -3
    assert settled(lambda: descriptors(process.pid), fds + 1) <= fds + 1
    assert resident_mb(process.pid) < memory + MEMORY_MB
    for pid in children(process.pid):
        # One more may be a decompressed gzip, which is kept.
        assert descriptors(pid) <= worker_fds + 2

"""How many requests and bytes parts of an image on a far server should cost: time against bytes.

    python bench/ranges.py [--size 4096] [--rounds 5] [--rate 90] [--latency 1 20 60]

Reads the rows of 256 x 256 and 2048 x 2048 pixels of a plain float image through a server that
answers late and limits each connection (``bench/farserver.py``), in the ways that are open: one
block with all that lies between the rows, the block in pieces side by side, each row by itself, as
obstore plans it, and as `vodal.storage` does with and without several ranges in a request. Writes a
Markdown table: median time, requests, and bytes read of those needed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import obstore
from obstore.store import HTTPStore

from vodal.storage import RangeReader, Storage, StorageSettings

Ranges = Sequence[tuple[int, int]]


def rows(size: int, side: int) -> list[tuple[int, int]]:
    """Give the rows of a box in the middle of an image of 32-bit pixels."""
    corner = (size - side) // 2
    return [(2880 + ((corner + y) * size + corner) * 4, side * 4) for y in range(side)]


def spanned(ranges: Ranges) -> tuple[int, int]:
    return ranges[0][0], ranges[-1][0] + ranges[-1][1]


def ways(host: str) -> dict[str, Callable[[Ranges], object]]:
    """Give the ways to read ranges."""
    url = f"http://{host}/image.fits"

    def reader(**settings: bool | int) -> RangeReader:
        opened = Storage(StorageSettings(http_hosts=(host,), **settings)).open(url)
        opened.stat()
        return opened

    several, single = reader(), reader(several_ranges=False)
    plain, store = (
        reader(several_ranges=False),
        HTTPStore(f"http://{host}", client_options={"allow_http": True}),
    )
    crew, alone = ThreadPoolExecutor(32), HTTPConnection(host)

    def rows_alone(ranges: Ranges) -> object:
        return list(crew.map(lambda one: plain.read(*one), ranges))

    def in_pieces(ranges: Ranges) -> object:
        start, stop = spanned(ranges)
        step = max(1, (stop - start) // 32)
        spans = [(low, min(step, stop - low)) for low in range(start, stop, step)]
        return list(crew.map(lambda one: plain.read(*one), spans))

    def one_block(ranges: Ranges) -> object:
        start, stop = spanned(ranges)
        alone.request("GET", "/image.fits", headers={"Range": f"bytes={start}-{stop - 1}"})
        return alone.getresponse().read()

    def by_obstore(ranges: Ranges) -> object:
        starts, lengths = zip(*ranges, strict=True)
        return obstore.get_ranges(store, "image.fits", starts=starts, lengths=lengths)

    return {
        "one block": one_block,
        "32 pieces of the block": in_pieces,
        "each row, 32 at once": rows_alone,
        "obstore `get_ranges`": by_obstore,
        "ours, single ranges": single.read_many,
        "ours, several ranges a request": several.read_many,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=90.0, help="MB/s of a connection")
    parser.add_argument("--latency", type=float, nargs="+", default=[1.0, 20.0, 60.0])
    options = parser.parse_args()
    print(f"\n{options.size} x {options.size} pixels, {options.rate:g} MB/s for each connection:\n")
    print("| latency | side | way | ms | requests | bytes read : needed |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.fits"
        path.write_bytes(np.random.default_rng(1).bytes(2880 + options.size**2 * 4))
        for latency in options.latency:
            far(path, latency, options)


def far(path: Path, latency_ms: float, options: argparse.Namespace) -> None:
    """Measure all ways at one distance."""
    script = Path(__file__).with_name("farserver.py")
    command = [sys.executable, script, path, str(latency_ms), str(options.rate)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        host = f"127.0.0.1:{int(server.stdout.readline())}"
        for side in (256, 2048):
            wanted = rows(options.size, side)
            for name, read in ways(host).items():
                read(wanted)  # the connections are there then
                times = []
                for _ in range(options.rounds):
                    server.stdin.write("?\n")
                    server.stdin.flush()
                    server.stdout.readline()
                    began = time.perf_counter()
                    read(wanted)
                    times.append(time.perf_counter() - began)
                server.stdin.write("?\n")
                server.stdin.flush()
                requests, sent = map(int, server.stdout.readline().split())
                needed = sum(length for _, length in wanted)
                ms = 1e3 * sorted(times)[len(times) // 2]
                cells = f"{latency_ms:g} ms | {side} | {name} | {ms:.0f} | {requests}"
                print(f"| {cells} | {sent / needed:.2f} |", flush=True)
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()

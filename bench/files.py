"""A large file by HTTP beside nginx that serves the same one, and what slow clients cost.

    python bench/files.py [--site DIR] [--bytes 1073741824] [--rounds 5] [--slow 200]

Writes a Markdown table: of ``skylane serve`` with one server process and of nginx with one worker,
with sendfile and without, in turn: MB/s to one client and to four (curl), and processor seconds of
the server for each GB. Then the memory and threads of the server while so many clients read a
little at a time, and while one fetches an archive of the file.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil
from server import Peak, serve, server_processes

from datalink.names import encode_segment
from obscore.store.base import Backend
from skylane.folder import SiteFolder
from skylane.settings import load_settings
from vodal.fits.headers import header_block, value_card
from vodal.products import Product
from vodal.testing.nginx import serve_nginx

_BLOCK = 2880


def make_file(path: Path, size_bytes: int) -> None:
    """Write a FITS file of about a size, of bytes that do not repeat, unless it is there."""
    rows = size_bytes // 32768
    if path.exists() and abs(path.stat().st_size - size_bytes) < 1 << 20:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    cards = [
        value_card("SIMPLE", "T"), value_card("BITPIX", "16"), value_card("NAXIS", "2"),
        value_card("NAXIS1", "16384"), value_card("NAXIS2", str(rows)),
        *(value_card(*card) for card in (
            ("CTYPE1", "'RA---TAN'"), ("CTYPE2", "'DEC--TAN'"), ("CRVAL1", "150.0"),
            ("CRVAL2", "2.0"), ("CRPIX1", "8192.0"), ("CRPIX2", "8192.0"),
            ("CDELT1", "-1.0E-5"), ("CDELT2", "1.0E-5"),
        )),
    ]  # fmt: skip
    with path.open("wb") as file:
        file.write(header_block(cards))
        for _ in range(rows // 32):
            file.write(os.urandom(1 << 20))
        file.write(os.urandom(rows % 32 * 32768))
        file.write(bytes(-file.tell() % _BLOCK))


def product_of(backend: Backend) -> Product:
    """Give the one product of a catalogue."""
    catalogue = backend.catalogue()
    (found,) = catalogue.products()
    catalogue.close()
    return found


def fetch(url: str, clients: int) -> None:
    """Fetch a URL by several clients at once."""
    commands = [["curl", "-sS", "-f", "-o", "/dev/null", url] for _ in range(clients)]
    running = [subprocess.Popen(command) for command in commands]
    if sum(process.wait() for process in running):
        raise SystemExit(f"curl failed at {url}")


@dataclass(slots=True)
class Served:
    """A server of the file, and what was measured of it."""

    url: str
    processes: list[psutil.Process]
    rates: dict[int, list[float]] = field(default_factory=dict)
    costs: list[float] = field(default_factory=list)

    def measure(self, clients: int, size_bytes: int) -> None:
        """Fetch the file once by each client."""
        before = self._processor_s()
        begun = time.perf_counter()
        fetch(self.url, clients)
        seconds = time.perf_counter() - begun
        self.rates.setdefault(clients, []).append(clients * size_bytes / seconds / 1e6)
        self.costs.append((self._processor_s() - before) / (clients * size_bytes / 1e9))

    def _processor_s(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)


class SlowClients:
    """Connections that ask for a URL and read a little of it now and then.

    Parameters
    ----------
    url
        Of a large file.
    count
        How many.
    """

    def __init__(self, url: str, count: int) -> None:
        parts = urlsplit(url)
        self._sockets = []
        for _ in range(count):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            one.connect((parts.hostname, parts.port))
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            one.sendall(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            self._sockets.append(one)

    def read(self, seconds: float) -> int:
        """Read from each in turn for some time; gives the bytes that came."""
        until, taken = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            for one in self._sockets:
                taken += len(one.recv(4096))
            time.sleep(0.05)
        return taken

    def close(self) -> None:
        """End them."""
        for one in self._sockets:
            one.close()


def slow(url: str, processes: list[psutil.Process], count: int) -> str:
    """Give a line on memory and threads of a server while slow clients read."""
    with Peak(processes) as peak:
        clients = SlowClients(url, count)
        taken = clients.read(10.0)
        threads = max(process.num_threads() for process in processes)
        clients.close()
    return (
        f"{count} clients at {taken / count / 10 / 1e3:.0f} kB/s each: {peak.start / 1e6:.0f} MB"
        f" + {peak.growth_mb:.0f} MB, {threads} threads"
    )


@contextmanager
def site_of(folder: Path, file: Path) -> Iterator[tuple[str, Product]]:
    """Serve the file by a site; gives the site's URL and the product."""
    site = SiteFolder(folder)
    backend = site.prepare(load_settings(folder).store)
    command = [sys.executable, "-m", "skylane", "ingest", str(file), "--site", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    product = product_of(backend)
    with serve(folder, 1) as tap:
        yield tap.removesuffix("/tap"), product


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path)
    parser.add_argument("--bytes", type=int, default=1 << 30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slow", type=int, default=200)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.site or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = folder / "images" / "large.fits"
        make_file(file, options.bytes)
        url, product = stack.enter_context(site_of(folder / "site", file))
        ours = server_processes(urlsplit(url).port or 0)
        servers = {"skylane": Served(f"{url}/files/{encode_segment(product.did)}", ours)}
        for name, option in (("nginx, sendfile", "sendfile on;"), ("nginx", "sendfile off;")):
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            host, _ = stack.enter_context(serve_nginx(file.parent, scratch, option))
            processes = server_processes(int(host.rpartition(":")[2]))
            servers[name] = Served(f"http://{host}/large.fits", processes)
        measure(servers, file.stat().st_size, options.rounds)
        print("\nskylane,", slow(servers["skylane"].url, ours, options.slow))
        print("nginx,", slow(servers["nginx"].url, servers["nginx"].processes, options.slow))
        archive = f"{url}/files/bulk?{urlencode({'ID': product.did})}"
        with Peak(ours) as peak:
            begun = time.perf_counter()
            subprocess.run(["curl", "-sSfL", "-o", "/dev/null", archive], check=True)
            seconds = time.perf_counter() - begun
        print(
            f"an archive of it with its checksums: {file.stat().st_size / seconds / 1e6:.0f} MB/s,"
            f" + {peak.growth_mb:.0f} MB"
        )


def measure(servers: dict[str, Served], size_bytes: int, rounds: int) -> None:
    """Measure each server in turn, after a round that counts for none."""
    for served in servers.values():
        fetch(served.url, 1)
    for _ in range(rounds):
        for clients in (1, 4):
            for served in servers.values():
                served.measure(clients, size_bytes)
    print("| server | 1 client, MB/s | 4 clients, MB/s | processor s/GB |\n|---|---|---|---|")
    for name, served in servers.items():
        one, four = (statistics.median(served.rates[clients]) for clients in (1, 4))
        cost = statistics.median(served.costs)
        print(f"| {name} | {one:.0f} | {four:.0f} | {cost:.2f} |")


if __name__ == "__main__":
    main()

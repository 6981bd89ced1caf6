"""How long {links} takes for 1, 50 and 1000 identifiers, over HTTP.

    python bench/links.py --site DIR [--rows 20000] [--fields N] [--repeat 40] [--profile]

The rows are those of `bench/survey.py`: their files are not there, as no link needs them. With
``--fields`` they lie in so many fields, and most have counterparts in all bands. One
client sends requests one after another over one connection, each for other identifiers as long as
there are such, and then the same requests once more. Told are the median and the 95th percentile
of the time to the last byte, and the processor's time that the server took for a request, which
tells more on a machine that does other work too. ``--profile`` answers in this process instead, and
tells the processor's time of an answer and where it goes.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from server import Peak, database, prepare, serve, server_processes
from wire import Wire

from datalink.routes import answer_links
from skylane.folder import SiteFolder
from skylane.links import create_makers
from skylane.settings import load_settings
from vodal.params import Params

SIZES = (1, 50, 1000)


def identifiers(site: SiteFolder) -> list[str]:
    """Give the identifiers of all rows, those of one field of view next to each other."""
    catalogue = site.backend(load_settings(site.path).store).catalogue()
    try:
        return [product.did for product in catalogue.products()]
    finally:
        catalogue.close()


def batches(dids: Sequence[str], size: int) -> Iterator[list[str]]:
    """Give portions one after another, from the start again at the end."""
    while True:
        for start in range(0, len(dids) - size + 1, size):
            yield list(dids[start : start + size])


def request_of(url: str, dids: Sequence[str]) -> bytes:
    """Write a request as pyvo sends it: identifiers in a form."""
    parts = urlsplit(url)
    body = urlencode([("ID", did) for did in dids])
    head = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()


def measure(url: str, dids: Sequence[str], repeat: int) -> None:
    """Tell the times of requests of each size."""
    path = f"{url.removesuffix('/tap')}/datalink/links"
    print(f"{'IDs':>5} {'':>6} {'p50 ms':>8} {'p95 ms':>8} {'cpu ms':>8} {'kB':>8}")
    wire = Wire(url)
    server = Peak(server_processes(urlsplit(url).port or 80))
    for size in SIZES:
        count = max(5, repeat // (1 + size // 100))
        sent = list(islice(batches(dids, size), count))
        for name in ("first", "again"):
            took, before_s = [], server.processor_s
            for some in sent:
                request = request_of(path, some)
                began = time.perf_counter()
                answer = wire.send(request)
                took.append(1e3 * (time.perf_counter() - began))
                assert answer.status == 200, answer
            low, high = statistics.median(took), sorted(took)[int(0.95 * (len(took) - 1))]
            cpu = 1e3 * (server.processor_s - before_s) / len(sent)
            print(f"{size:5} {name:>6} {low:8.1f} {high:8.1f} {cpu:8.1f} {answer.size / 1e3:8.0f}")
    wire.close()


def profile(site: SiteFolder, dids: Sequence[str], size: int = 50) -> None:
    """Make answers in this process, and tell what they take and where the time goes."""
    settings = load_settings(site.path)
    backend = site.backend(settings.store)
    resolver, catalogue = backend.resolver(), backend.catalogue()
    makers = create_makers(site.hips, settings, resolver, catalogue)
    some = list(islice(batches(dids, size), 40))

    def answer(ids: Sequence[str]) -> None:
        answer_links(
            ids, Params([]), resolver, makers, settings.datalink, base_url="https://example.org"
        )

    answer(some[0])
    took = []
    for ids in some:
        began = time.thread_time()
        answer(ids)
        took.append(1e3 * (time.thread_time() - began))
    print(f"{size} IDs: processor's time of the answer, median {statistics.median(took):.1f} ms")
    profiler = cProfile.Profile()
    profiler.enable()
    for ids in some:
        answer(ids)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--fields", type=int)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--repeat", type=int, default=40)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    with database(options.site, options.store):
        site = prepare(options.site, options.rows, fields=options.fields)
        dids = identifiers(site)
        if options.profile:
            profile(site, dids)
            return
        with serve(options.site, 1) as url:
            measure(url, dids, options.repeat)


if __name__ == "__main__":
    main()

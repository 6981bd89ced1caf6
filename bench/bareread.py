"""A bare Starlette app that reads boxes of an image: the limit that a cutout service can reach."""

from __future__ import annotations

import os
import threading
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vodal.fits.scan import scan_file

PATH = Path(os.environ["BENCH_FILE"])
URL = os.environ.get("BENCH_URL", "")
"""Of the same file on a server, if it is to be read there."""
INDEX = scan_file(PATH)
KEPT = threading.local()


def read_block(start: int, length: int) -> bytes:
    descriptor = os.open(PATH, os.O_RDONLY)
    try:
        return os.pread(descriptor, length, start)
    finally:
        os.close(descriptor)


def fetched(start: int, length: int) -> bytes:
    """Ask the server of the file for a block, on a connection that each thread keeps."""
    parts = urlsplit(URL)
    if not hasattr(KEPT, "connection"):
        KEPT.connection = HTTPConnection(parts.netloc)
    wanted = {"Range": f"bytes={start}-{start + length - 1}"}
    KEPT.connection.request("GET", parts.path, headers=wanted)
    block: bytes = KEPT.connection.getresponse().read()
    return block


async def read(request: Request) -> Response:
    form = await request.form() if request.method == "POST" else request.query_params
    side, x, y = (int(str(form[name])) for name in ("side", "x", "y"))
    hdu = next(hdu for hdu in INDEX.hdus if hdu.shape)
    row = hdu.shape[1] * 4
    start, length = hdu.data_offset + y * row + x * 4, (side - 1) * row + side * 4
    block = await run_in_threadpool(fetched, start, length) if URL else read_block(start, length)
    # The rows without what lies between them.
    body = b"".join(block[start : start + side * 4] for start in range(0, len(block), row))
    return Response(body, media_type="image/fits")


app = Starlette(routes=[Route("/read", read, methods=["GET", "POST"])])

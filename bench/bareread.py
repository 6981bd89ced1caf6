"""A bare Starlette app that reads boxes of an image: the limit that a cutout service can reach."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vodal.fits.scan import scan_file

PATH = Path(os.environ["BENCH_FILE"])
INDEX = scan_file(PATH)


async def read(request: Request) -> Response:
    form = await request.form() if request.method == "POST" else request.query_params
    side, x, y = (int(str(form[name])) for name in ("side", "x", "y"))
    hdu = next(hdu for hdu in INDEX.hdus if hdu.shape)
    row = hdu.shape[1] * 4
    descriptor = os.open(PATH, os.O_RDONLY)
    try:
        block = os.pread(descriptor, (side - 1) * row + side * 4, hdu.data_offset + y * row + x * 4)
    finally:
        os.close(descriptor)
    # The rows without what lies between them.
    body = b"".join(block[start : start + side * 4] for start in range(0, len(block), row))
    return Response(body, media_type="image/fits")


app = Starlette(routes=[Route("/read", read, methods=["GET", "POST"])])

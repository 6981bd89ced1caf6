"""Cutouts of a HiPS onto any grid of the sky, as FITS or as a picture.

In the order data flows:

- `request`  what is asked for, in the words of CDS's hips2fits
- `grid`     the pixels that are wanted
- `sample`   their values, from the tiles of the order that suits them
- `answer`   FITS, PNG, JPEG or WebP
- `worker`   the same as a task of a worker process
- `routes`   over HTTP
"""

from __future__ import annotations

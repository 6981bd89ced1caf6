"""One HiPS from the FITS files of a folder, as a process of its own to be measured.

    python bench/hipsbuild.py FOLDER OUTPUT [--workers 2] [--order 11]

What is measured of it is told by `bench/tiles.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hips.build import build
from hips.settings import HipsSettings
from vodal.fits.planes import group_planes
from vodal.fits.scan import scan_file
from vodal.products import Product


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--order", type=int)
    parser.add_argument("--kernel", default="bilinear")
    asked = parser.parse_args()
    indexes, products = {}, []
    for path in sorted(asked.folder.glob("*.fits*")):
        index, stat = scan_file(path), path.stat()
        did = f"ivo://bench.example/mosaic?{path.name}"
        indexes[did] = index
        products.append(
            Product(
                did=did, collection="mosaic", uri=path.as_uri(), file_name=path.name,
                content_type="image/fits", size_bytes=stat.st_size, version=index.version,
                modified_unix_s=stat.st_mtime, hdus=group_planes(index)[0].hdus, region=None,
                obscore={"t_exptime": 300.0},
            )
        )  # fmt: skip
    summary = build(
        products, lambda product: indexes[product.did], asked.output,
        HipsSettings(order=asked.order, kernel=asked.kernel), name="mosaic", title="A mosaic",
        creator_did="ivo://bench.example/hips/mosaic", workers=asked.workers,
    )  # fmt: skip
    if summary.skipped:
        raise SystemExit(f"left out: {summary.skipped[0]}")


if __name__ == "__main__":
    main()

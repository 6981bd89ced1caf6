"""What the tests of HiPS share: products of files, a catalogue of them, skies and their tiles."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from hips.build import build
from hips.settings import HipsSettings
from vodal.fits.planes import group_planes
from vodal.fits.scan import scan_file
from vodal.products import CollectionSummary, Product, Resolver


@dataclass
class Shelf(Resolver):
    """A catalogue and resolver of files, in memory."""

    items: list[Product] = field(default_factory=list)
    indexes: dict = field(default_factory=dict)

    def put(self, path: Path, collection="demo", did=None, **obscore) -> Product:
        index = scan_file(path)
        stat = path.stat()
        obscore = {
            "t_min": 61000.0, "t_max": 61000.01, "em_min": 5e-7, "em_max": 6e-7, **obscore
        }  # fmt: skip
        product = Product(
            did=did or f"ivo://test.example/{collection}?{path.name}",
            collection=collection,
            uri=path.as_uri(),
            file_name=path.name,
            content_type="image/fits",
            size_bytes=stat.st_size,
            version=index.version,
            modified_unix_s=stat.st_mtime,
            hdus=group_planes(index)[0].hdus,
            region=None,
            obscore=obscore,
        )
        self.items.append(product)
        self.indexes[product.did] = index
        return product

    def collections(self):
        return [CollectionSummary("demo", len(self.items), ())]

    def products(self, collection=None, region=None):  # noqa: ARG002 - of the protocol
        return iter([p for p in self.items if collection in {None, p.collection}])

    def sample(self, kind, count):
        return [p for p in self.items if p.obscore.get("dataproduct_type") == kind][:count]

    def newest(self, limit, before=None):
        numbered = list(enumerate(self.items, 1))
        return [one for one in reversed(numbered) if before is None or one[0] < before][:limit]

    def resolve(self, dids):
        return {p.did: p for p in self.items if p.did in dids}

    def ready(self, product):
        return product

    def index(self, product):
        return self.indexes[product.did]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(scope="session")
def new_shelf() -> type[Shelf]:
    return Shelf


def write_image(path: Path, data, wcs, **cards) -> Path:
    header = wcs.to_header(relax=True)
    for keyword, value in cards.items():
        header[keyword] = value
    fits.PrimaryHDU(np.asarray(data), header).writeto(path, overwrite=True)
    return path


@pytest.fixture(scope="session")
def save_image() -> Callable[..., Path]:
    return write_image


@pytest.fixture
def build_files(tmp_path, shelf):
    """Give what builds a HiPS of files and gives its folder and the summary."""

    def make(*paths: Path, name="one", **settings):
        for path in paths:
            shelf.put(path)
        summary = build(
            shelf.items,
            shelf.index,
            tmp_path / "hips",
            HipsSettings(**settings),
            name=name,
            title="A test",
            creator_did=f"ivo://test.example/hips/{name}",
        )
        return tmp_path / "hips" / name, summary

    return make


@pytest.fixture
def lint() -> Callable[[Path], str]:
    """Give what tells what Aladin's check says of a HiPS."""
    jar = Path("/usr/share/java/aladin.jar")
    if not jar.is_file() or shutil.which("java") is None:
        pytest.skip("Debian's aladin package is not installed")

    def run(folder: Path) -> str:
        done = subprocess.run(
            ["java", "-Djava.awt.headless=true", "-jar", str(jar), "-hipsgen", f"out={folder}",
             "LINT"],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        return done.stdout + done.stderr

    return run

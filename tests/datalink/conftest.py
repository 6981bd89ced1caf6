"""A catalogue in memory over the synthetic survey."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from vodal.errors import NotFoundError
from vodal.fits.planes import group_planes
from vodal.fits.scan import scan_file
from vodal.products import Product, Resolver
from vodal.storage import local_path, stat_local


@dataclass
class MemoryResolver(Resolver):
    """Products by identifier."""

    products: dict[str, Product] = field(default_factory=dict)
    indexes: dict[str, object] = field(default_factory=dict)

    def resolve(self, dids):
        return {did: self.products[did] for did in dids if did in self.products}

    def index(self, product):
        try:
            return self.indexes[product.did]
        except KeyError:
            raise NotFoundError(f"{product.did} was withdrawn") from None

    def path_of(self, did):
        return local_path(self.products[did].uri)

    def add(self, did, path, **changes):
        """Catalogue a file; ``changes`` are fields of `Product`."""
        stat = stat_local(path)
        product = Product(
            did=did,
            collection="survey",
            uri=path.as_uri(),
            file_name=path.name,
            content_type="image/fits",
            size_bytes=stat.size_bytes,
            version=stat.version,
            modified_unix_s=stat.modified_unix_s,
            hdus=(0,),
            region=None,
            obscore={"dataproduct_type": "image"},
        )
        self.products[did] = replace(product, **changes)
        return self.products[did]

    def add_fits(self, did, path, **changes):
        index = scan_file(path)
        self.indexes[did] = index
        return self.add(did, path, hdus=group_planes(index)[0].hdus, **changes)


@pytest.fixture(scope="session")
def make_resolver():
    return MemoryResolver


@pytest.fixture
def resolver():
    return MemoryResolver()


@pytest.fixture
def survey_resolver(survey):
    resolver = MemoryResolver()
    for exposure in survey.exposures:
        resolver.add_fits(f"ivo://example.org/survey?{exposure.path.name}", exposure.path)
    return resolver

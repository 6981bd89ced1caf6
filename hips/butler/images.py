"""Datasets of a Butler as products: where a file lies, what its headers and dimensions say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lsst.daf.butler import DatasetRef, LimitedButler

from vodal.errors import DataError, SkylaneError
from vodal.fits.index import FileIndex
from vodal.fits.opening import open_scanned
from vodal.fits.planes import group_planes
from vodal.fits.scan import scan_file
from vodal.products import Product
from vodal.storage.opening import is_local, local_path

__all__ = ["ButlerImage", "images_of"]


@dataclass(frozen=True, slots=True)
class ButlerImage:
    """A dataset that can be put on tiles."""

    product: Product
    index: bytes
    """A packed `vodal.fits.index.FileIndex`."""


def images_of(
    butler: LimitedButler, refs: list[DatasetRef], authority: str
) -> tuple[list[ButlerImage], dict[str, str]]:
    """Look at the files of datasets.

    Parameters
    ----------
    butler
        That holds them.
    refs
        The datasets.
    authority
        Of their IVOIDs, which are ``ivo://<authority>/<dataset type>?<UUID>``.

    Returns
    -------
    images, left_out
        Those that have an image, and why the others have none, by UUID.
    """
    images: list[ButlerImage] = []
    left_out: dict[str, str] = {}
    for ref in sorted(refs, key=lambda ref: str(ref.id)):
        try:
            images.append(_image(ref, butler.getURI(ref).geturl(), authority))
        except SkylaneError as error:
            left_out[str(ref.id)] = error.message
    return images, left_out


def _image(ref: DatasetRef, uri: str, authority: str) -> ButlerImage:
    uri = uri.partition("#")[0]
    index = _index(uri)
    groups = group_planes(index)
    if not groups:
        raise DataError("the file holds no image")
    name = uri.rpartition("/")[2]
    product = Product(
        did=f"ivo://{authority}/{ref.datasetType.name}?{ref.id}",
        collection=ref.run,
        uri=uri,
        file_name=name,
        content_type="image/fits",
        size_bytes=index.size_bytes,
        version=index.version,
        modified_unix_s=0.0,
        hdus=groups[0].hdus,
        region=None,
        obscore=dict(_obscore(ref)),
    )
    return ButlerImage(product, index.to_bytes())


def _index(uri: str) -> FileIndex:
    if is_local(uri):
        return scan_file(local_path(uri))
    index, reader = open_scanned(uri)
    reader.__exit__(None, None, None)
    return index


def _obscore(ref: DatasetRef) -> Iterator[tuple[str, object]]:
    """Give what the dimension records say, by ObsCore column name (ObsCore 1.1)."""
    values: Mapping[str, Any] = ref.dataId.mapping
    for column, dimension in (("filter", "band"), ("instrument_name", "instrument")):
        if dimension in values:
            yield column, str(values[dimension])
    if not ref.dataId.hasRecords():
        return
    for element in ("visit", "exposure"):
        record = ref.dataId.records[element] if element in ref.dataId.dimensions else None
        if record is None:
            continue
        if record.exposure_time is not None:
            yield "t_exptime", float(record.exposure_time)
        span = record.timespan
        if span is not None and span.begin is not None and span.end is not None:
            # Timespans are TAI; the field's UTC differs by less than a minute.
            yield "t_min", float(span.begin.utc.mjd)
            yield "t_max", float(span.end.utc.mjd)
        return

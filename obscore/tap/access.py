"""``access_url``: the address of a product's DataLink document, for whole columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from obscore.tap.metadata import LINKS_PATH, encode_id
from vodal.later import LaterModule
from vodal.tables.cells import data_and_offsets

__all__ = ["access_urls", "compiled", "with_access_urls"]

compiled = LaterModule("obscore.tap.encoding")
"""Does it several times faster, when it is loaded."""

_PLAIN = b"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FEW = 100
"""Identifiers up to which one by one is fast."""

_TO_ENCODE = [code for code in range(128) if code not in _PLAIN]


def access_urls(dids: pa.Array, base_url: str) -> pa.Array:
    """Give the address of each identifier's document, as the column's SQL makes it.

    Parameters
    ----------
    dids
        Identifiers; a null stays null.
    base_url
        Where the site is seen by the client, without a trailing slash.
    """
    prefix = f"{base_url}{LINKS_PATH}"
    if len(dids) <= _FEW:
        urls = [None if did is None else prefix + encode_id(did) for did in dids.to_pylist()]
        return pa.array(urls, pa.string())
    if not dids.null_count and (module := compiled.module) is not None:
        return module.encoded(dids, prefix)
    return _by_replacing(dids, prefix)


def _by_replacing(dids: pa.Array, prefix: str) -> pa.Array:
    """Do the same without compiled code."""
    data, _ = data_and_offsets(dids)
    found = np.bincount(data, minlength=256)
    if found[128:].any():
        encoded = pa.array([did and encode_id(did) for did in dids.to_pylist()], pa.string())
    else:
        encoded = dids
        # The sign of percent first, since the others bring it in.
        for code in sorted(_TO_ENCODE, key=lambda code: code != ord("%")):
            if found[code]:
                char = chr(code)
                encoded = pc.replace_substring(encoded, pattern=char, replacement=encode_id(char))
    return pc.binary_join_element_wise(prefix, encoded, "")


def with_access_urls(batch: pa.RecordBatch, places: Sequence[int], base_url: str) -> pa.RecordBatch:
    """Put addresses in the place of the identifiers in some columns of a batch."""
    if not places:
        return batch
    columns = list(batch.columns)
    for place in places:
        columns[place] = access_urls(columns[place], base_url)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

"""Batches kept in a temporary file, for formats that begin with what is known at the end."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Self

import pyarrow as pa

__all__ = ["Spool"]

_MEMORY_BYTES = 4 * 1024 * 1024
"""Up to this size no file is made."""


class Spool:
    """Batches that can be read again as often as needed; use it as a context.

    The file is nameless, lies in the folder for temporary files (``TMPDIR``) and is compressed
    with LZ4.

    Parameters
    ----------
    schema
        Of the batches.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._file = SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115 - closed below
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_stream(self._file, schema, options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep a batch."""
        self._writer.write_batch(batch)

    def finish(self) -> None:
        """End the writing; only then can the batches be read."""
        self._writer.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Give all batches from the first on."""
        self._file.seek(0)
        yield from pa.ipc.open_stream(self._file)

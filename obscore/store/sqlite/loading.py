"""Tables of any columns in an embedded store's file, with an R*Tree: made and filled.

What columns are called stays out of the SQL: the physical ones are ``c1``, ``c2`` ..., with ``id``,
the rowid, before them and ``shape``, the packed geometry.
"""

# ruff: noqa: S608 - the names in the SQL are made by this program

from __future__ import annotations

from collections.abc import Sequence

import apsw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from obscore.adql.schema import SpatialIndex
from obscore.adql.sqlite.arrays import pack_lists
from obscore.adql.sqlite.functions import read_shape
from obscore.store.places import Place
from vodal.regions import shape_from_bytes
from vodal.sphere import bounding_cap, cap_box
from vodal.tables.columns import Column

__all__ = ["TableLoader", "spatial_index"]

_SLACK = 1e-7
"""Added to the box around a position on each side, as `vodal.sphere.cap_box` does."""


def spatial_index(name: str, columns: Sequence[Column], place: Place) -> SpatialIndex | None:
    """Say how a table made by `TableLoader` keeps its geometry; None if it has none.

    Parameters
    ----------
    name
        Of the table in the database; its R*Tree is called ``<name>_rtree``.
    columns
        Of the table.
    place
        Which of them tell where a row lies.
    """
    if place.region is None and place.point is None:
        return None
    ra, dec = "", ""
    if place.point is not None:
        ra, dec = (columns[at].name for at in place.point)
    return SpatialIndex(
        region_column="" if place.region is None else columns[place.region].name,
        region_sql="shape",
        point_columns=(ra, dec),
        rtree=f"{name}_rtree",
        key="id",
    )


class TableLoader:
    """Makes one table and fills it.

    Parameters
    ----------
    connection
        To the file, in a transaction.
    name
        Of the table.
    columns
        Of the table.
    place
        Which of them tell where a row lies.
    rtree
        Whether the R*Tree is wanted.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        name: str,
        columns: Sequence[Column],
        place: Place,
        *,
        rtree: bool,
    ) -> None:
        self._connection = connection
        self._name = name
        self._columns = columns
        self._place = place
        self._rtree = f"{name}_rtree" if rtree else None
        self.rows = 0

    def create(self) -> None:
        """Make the table, empty."""
        kinds = ", ".join(f"c{at} {_type_of(column)}" for at, column in enumerate(self._columns, 1))
        self._connection.execute(
            f"CREATE TABLE {self._name} (id INTEGER PRIMARY KEY, shape BLOB, {kinds}) STRICT"
        )
        if self._rtree is not None:
            self._connection.execute(
                f"CREATE VIRTUAL TABLE {self._rtree}"
                " USING rtree(id, xmin, xmax, ymin, ymax, zmin, zmax)"
            )

    def insert(self, batch: pa.RecordBatch) -> None:
        """Add rows, of the columns' Arrow types; a few thousand at a time."""
        ids = range(self.rows + 1, self.rows + batch.num_rows + 1)
        self.rows += batch.num_rows
        shapes = self._shapes(batch)
        cells = [_cells(array) for array in batch.columns]
        marks = ", ".join("?" * (2 + len(cells)))
        self._connection.executemany(
            f"INSERT INTO {self._name} VALUES ({marks})", zip(ids, shapes, *cells, strict=True)
        )
        if self._rtree is None:
            return
        boxes = self._boxes(batch, shapes)
        places = np.flatnonzero(np.isfinite(boxes).all(axis=1))
        self._connection.executemany(
            f"INSERT INTO {self._rtree} VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (ids[place], *box)
                for place, box in zip(places.tolist(), boxes[places].tolist(), strict=True)
            ),
        )

    def _shapes(self, batch: pa.RecordBatch) -> list[bytes | None]:
        """Pack the geometries of the table's geometry column."""
        if self._place.region is None:
            return [None] * batch.num_rows
        column = self._columns[self._place.region]
        xtype = (column.xtype or "").lower().removeprefix("adql:")
        return [
            read_shape(cell, xtype) if isinstance(cell, str | bytes) else None
            for cell in _cells(batch.column(self._place.region))
        ]

    def _boxes(self, batch: pa.RecordBatch, shapes: Sequence[bytes | None]) -> NDArray[np.float64]:
        """Give the boxes around what each row has on the sky; NaN for nothing."""
        boxes = np.full((batch.num_rows, 6), np.nan)
        if self._place.point is not None:
            boxes = _point_boxes(*(batch.column(at) for at in self._place.point))
        for row, shape in enumerate(shapes):
            if shape is not None:
                box = np.array(cap_box(*bounding_cap(shape_from_bytes(shape))))
                # NaN gives way to a number.
                boxes[row, ::2] = np.fmin(boxes[row, ::2], box[::2])
                boxes[row, 1::2] = np.fmax(boxes[row, 1::2], box[1::2])
        return boxes


def _type_of(column: Column) -> str:
    kind = column.arrow_type()
    if pa.types.is_list(kind):
        return "BLOB"
    if pa.types.is_string(kind):
        return "TEXT"
    return "REAL" if pa.types.is_floating(kind) else "INTEGER"


def _cells(array: pa.Array) -> list[int | float | str | bytes | None]:
    """Give the cells of a column as SQLite keeps them."""
    if pa.types.is_list(array.type):
        return [*pack_lists(array)]
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    cells: list[int | float | str | bytes | None] = array.to_pylist()
    return cells


def _point_boxes(ra: pa.Array, dec: pa.Array) -> NDArray[np.float64]:
    ra_rad, dec_rad = (
        np.radians(
            pc.fill_null(array.cast(pa.float64(), safe=False), np.nan).to_numpy(
                zero_copy_only=False
            )
        )
        for array in (ra, dec)
    )
    with np.errstate(invalid="ignore"):
        # A declination beyond the pole is none, whatever its sine would be.
        dec_rad = np.where(np.abs(dec_rad) <= np.pi / 2, dec_rad, np.nan)
        xyz = (
            np.cos(dec_rad) * np.cos(ra_rad),
            np.cos(dec_rad) * np.sin(ra_rad),
            np.sin(dec_rad),
        )
    return np.stack([axis + side for axis in xyz for side in (-_SLACK, _SLACK)], axis=1)

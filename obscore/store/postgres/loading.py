"""Tables of any columns in PostgreSQL: types, spatial columns, rows as COPY reads them.

What columns are called stays out of the SQL: the physical ones are ``c1``, ``c2`` ...
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from obscore.adql.schema import SpatialIndex
from obscore.adql.types import Kind, kind_of
from obscore.store.places import Place
from vodal.tables.columns import Column

__all__ = ["cap_sql", "copied_lines", "made_column", "shape_sql", "spatial_index", "type_of"]

_CSV = pa.csv.WriteOptions(include_header=False, quoting_style="all_valid")
"""What has no quotes is NULL to COPY."""

_TYPES = {Kind.INTEGER: "bigint", Kind.REAL: "float8", Kind.TEXT: 'text COLLATE "C"'}


def spatial_index(
    columns: Sequence[Column], place: Place, *, shape: str, cap: str
) -> SpatialIndex | None:
    """Say how a table keeps its geometry; None if it has none.

    Parameters
    ----------
    columns
        Of the table.
    place
        Which of them tell where a row lies.
    shape, cap
        Names of the columns made by `shape_sql` and `cap_sql`.
    """
    if place.region is None and place.point is None:
        return None
    ra, dec = "", ""
    if place.point is not None:
        ra, dec = (columns[at].name for at in place.point)
    return SpatialIndex(
        region_column="" if place.region is None else columns[place.region].name,
        region_sql=shape,
        point_columns=(ra, dec),
        rtree="",
        key=cap,
    )


def type_of(column: Column) -> str:
    """Give the type that keeps a column's values."""
    kind = column.arrow_type()
    if pa.types.is_list(kind):
        return "float8[]" if pa.types.is_floating(kind.value_type) else "bigint[]"
    return _TYPES[kind_of(column)]


def made_column(name: str, kind: str, sql: str) -> str:
    """Declare a column that the database computes of the others of its row."""
    return f"{name} {kind} GENERATED ALWAYS AS ({sql}) STORED"


def shape_sql(columns: Sequence[Column], place: Place) -> str:
    """Compute the geometry of a row as the spatial functions read it."""
    if place.region is None:
        return "NULL::float8[]"
    column, text = columns[place.region], f"c{place.region + 1}"
    xtype = (column.xtype or "").lower().removeprefix("adql:")
    if kind_of(column) is Kind.OTHER:
        text = f"adql.numbers_text({text})"
    # Columns are places by their xtype, which is one of a few words.
    return f"adql.sky_parse({text}, '{xtype}')"


def cap_sql(columns: Sequence[Column], place: Place) -> str:
    """Compute the cap under which the spatial index keeps a row."""
    ra = dec = "NULL"
    if place.point is not None:
        ra, dec = (f"c{at + 1}" for at in place.point)
    return f"adql.row_cap({shape_sql(columns, place)}, {ra}::float8, {dec}::float8)"


def copied_lines(batch: pa.RecordBatch) -> bytes:
    """Write rows as COPY reads them."""
    written = BytesIO()
    cells = pa.RecordBatch.from_arrays(
        [_cells(array) for array in batch.columns], names=[str(i) for i in range(batch.num_columns)]
    )
    pa.csv.write_csv(cells, written, _CSV)
    return written.getvalue()


def _cells(array: pa.Array) -> pa.Array:
    if pa.types.is_list(array.type):
        return pa.array([None if cell is None else _list_text(cell) for cell in array.to_pylist()])
    if pa.types.is_boolean(array.type):
        return array.cast(pa.uint8())
    if pa.types.is_floating(array.type):
        # What is no number is NULL, as in the embedded store.
        wide = array.cast(pa.float64())
        return pc.if_else(pc.is_nan(wide), pa.scalar(None, pa.float64()), wide)
    if pa.types.is_string(array.type):
        # The one character that PostgreSQL cannot keep.
        return pc.replace_substring(array, pattern="\0", replacement="")
    return array


def _list_text(cell: Sequence[float | bool | None]) -> str:
    words = ["NULL" if item is None else repr(+item) for item in cell]
    return f"{{{','.join(words)}}}"

"""Separated text with a line of names (RFC 4180), types found by looking.

Two passes: the first sees which types every cell of a column can have, the second reads.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from vodal.errors import UsageError
from vodal.tables.columns import Column
from vodal.tables.readers.limits import ReadLimits, over
from vodal.tables.readers.sink import TableSink

__all__ = ["read_csv"]

_BLOCK_BYTES = 1 << 20
_INT_BITS = 32


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type that a column may turn out to have; every cell must match."""

    pattern: str
    column: Column
    cast: Callable[[pa.Array], pa.Array]


def _flags(array: pa.Array) -> pa.Array:
    return pc.equal(pc.ascii_lower(array), "true")


def _doubles(array: pa.Array) -> pa.Array:
    return pc.ascii_lower(array).cast(pa.float64())


_KINDS = (
    # A zero in front makes it a name: numbers of catalogues, postal codes.
    _Kind(
        r"^[+-]?(?:0|[1-9][0-9]{0,18})$",
        Column("", "long"),
        lambda array: pc.replace_substring_regex(array, r"^\+", "").cast(pa.int64()),
    ),
    _Kind(
        r"^(?i:[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan"
        r"|[+-]?inf(?:inity)?)$",
        Column("", "double"),
        lambda array: _doubles(pc.replace_substring_regex(array, r"^\+", "")),
    ),
    _Kind(r"^(?i:true|false)$", Column("", "boolean"), _flags),
    _Kind(
        r"^[0-9]{4}-[01][0-9]-[0-3][0-9](?:T[0-2][0-9]:[0-5][0-9](?::[0-6][0-9](?:\.[0-9]+)?)?Z?)?$",
        Column("", "char", "*", xtype="timestamp"),
        lambda array: array,
    ),
)
"""In the order of preference; what is none of them is text."""

_LONG = _KINDS[0]

_TEXT = _Kind("", Column("", "char", "*"), lambda array: array)


class _SeparatedText:
    """One file, as batches of texts."""

    def __init__(self, path: Path, separator: str, limits: ReadLimits) -> None:
        self._path = path
        self._separator = separator
        self._limits = limits
        with _explained(limits), path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=separator, strict=True)
            self.names = next((names for names in reader if names), [])
            self._skipped = reader.line_num

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Give the rows; a cell without anything is null, one of two quotes an empty text."""
        places = [str(place) for place in range(len(self.names))]
        with _explained(self._limits), self._path.open("rb") as file:
            # The names are read by the other parser, since they may repeat.
            for _ in range(self._skipped):
                file.readline()
            if not file.read(1):
                return
            file.seek(-1, 1)
            reader = arrow_csv.open_csv(
                file,
                read_options=arrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=_BLOCK_BYTES + self._limits.max_cell_bytes,
                    column_names=places,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._separator,
                    newlines_in_values=True,
                    # A line without anything is a null where there is one column.
                    ignore_empty_lines=len(places) > 1,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(places, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
            with reader:
                yield from reader


@contextmanager
def _explained(limits: ReadLimits) -> Iterator[None]:
    """Say what is wrong with a file.

    Raises
    ------
    UsageError
        If it is not UTF-8, or rows differ in length.
    TooLargeError
        If a cell or row is over the limit.
    """
    try:
        yield
    except UnicodeDecodeError:
        raise UsageError("the text is not UTF-8") from None
    except csv.Error as error:
        if "field limit" in str(error):
            raise over("a longer cell", "max_cell_bytes", limits.max_cell_bytes) from None
        raise UsageError(f"the line of names cannot be read: {error}") from None
    except pa.ArrowInvalid as error:
        sentence = str(error).splitlines()[0]
        if "straddling" in sentence:
            raise over("a longer cell", "max_cell_bytes", limits.max_cell_bytes) from None
        if "UTF8" in sentence or "UTF-8" in sentence:
            raise UsageError("the text is not UTF-8") from None
        sentence = sentence.removeprefix("CSV parse error: ")
        raise UsageError(f"the text is no table: {sentence[:200]}") from None


def read_csv(
    source: Path,
    target: Path,
    limits: ReadLimits,
    *,
    separator: str = ",",
    texts: Collection[str] = (),
) -> TableSink:
    """Read separated text, UTF-8, with or without a byte order mark.

    The first line names the columns. A column is long (int if all fit), double, boolean or a
    timestamp if all its cells are, else text. Cells with nothing in them are null.

    Parameters
    ----------
    source
        The file.
    target
        The Arrow file to write.
    limits
        Of the table.
    separator
        Between cells, as `find_separator` tells it.
    texts
        Names, lower case, of columns that are texts whatever they look like.

    Raises
    ------
    UsageError
        If it is not UTF-8, its rows differ in length, or it ends within quotes.
    TooLargeError
        If it is over a limit.
    """
    csv.field_size_limit(limits.max_cell_bytes)
    _check_quotes(source, separator)
    text = _SeparatedText(source, separator, limits)
    if len(text.names) > limits.max_columns:
        raise over("more columns", "max_columns", limits.max_columns)
    kinds = _kinds(text, limits, texts)
    columns = [
        Column(name.strip(), kind.column.datatype, kind.column.arraysize, xtype=kind.column.xtype)
        for name, kind in zip(text.names, kinds, strict=True)
    ]
    sink = TableSink(target, columns, limits)
    with sink:
        for batch in text.batches():
            sink.write([kind.cast(array) for kind, array in zip(kinds, batch.columns, strict=True)])
    return sink


def _check_quotes(source: Path, separator: str) -> None:
    """Refuse a file that ends within quotes: all that follows the first would be one cell.

    Where the quotes are in pairs, the reader finds what else may be wrong.
    """
    with source.open("rb") as raw:
        count = sum(block.count(b'"') for block in iter(lambda: raw.read(_BLOCK_BYTES), b""))
    if count % 2 == 0:
        return
    begun = 1
    try:
        with source.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file, delimiter=separator, strict=True)
            for _ in reader:
                begun = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise UsageError(
                f"the text ends within quotes; those that open in the row of line {begun} are not"
                " closed"
            ) from None


def _kinds(text: _SeparatedText, limits: ReadLimits, texts: Collection[str]) -> list[_Kind]:
    """See which type each column has."""
    possible = [[] if name.strip().lower() in texts else list(_KINDS) for name in text.names]
    wide = [False] * len(possible)
    known = [False] * len(possible)
    rows = 0
    for batch in text.batches():
        rows += batch.num_rows
        if rows > limits.max_rows:
            raise over("more rows", "max_rows", limits.max_rows)
        for place, array in enumerate(batch.columns):
            kinds = possible[place]
            kinds[:] = [kind for kind in kinds if _all_match(array, kind.pattern)]
            known[place] = known[place] or array.null_count < len(array)
            if kinds and kinds[0] is _LONG:
                bits = _bits(array)
                wide[place] = wide[place] or bits > _INT_BITS
                if bits > 64:
                    del kinds[0]
    return [
        _TEXT if not kinds or not known[place] else _narrowed(kinds[0], wide=wide[place])
        for place, kinds in enumerate(possible)
    ]


def _all_match(array: pa.Array, pattern: str) -> bool:
    matches = pc.match_substring_regex(array, pattern)
    return bool(pc.all(matches, min_count=0).as_py())


def _bits(array: pa.Array) -> int:
    """Give how many bits the whole numbers of a column need: 32, 64, or more than there are."""
    try:
        bounds = pc.min_max(_LONG.cast(array)).as_py()
    except pa.ArrowInvalid:
        return 65
    limit = 1 << (_INT_BITS - 1)
    narrow = bounds["min"] is None or (-limit <= bounds["min"] and bounds["max"] < limit)
    return _INT_BITS if narrow else 64


def _narrowed(kind: _Kind, *, wide: bool) -> _Kind:
    """Give the kind with whole numbers of 32 bits where that is enough."""
    if kind is not _LONG or wide:
        return kind
    return _Kind(kind.pattern, Column("", "int"), lambda array: kind.cast(array).cast(pa.int32()))

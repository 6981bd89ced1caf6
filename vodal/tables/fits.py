"""A FITS binary table (FITS 4.0 section 7.3) after an empty primary HDU.

The header needs the number of rows, the lengths of texts and whether there are nulls, so the rows
are kept in a temporary file until the last is known. A failure before that is a normal error; an
overflow is told by the keyword QSTATUS and a COMMENT.

How each column is written is decided in `vodal.tables.fitscolumns`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from vodal.errors import UsageError
from vodal.fits.headers import BLOCK_BYTES, comment_cards, header_block, text_cards, value_card
from vodal.links import ServiceDescriptor
from vodal.tables.columns import Column, ResultStream, unique_names
from vodal.tables.fitscolumns import ColumnForm, Heap, Survey
from vodal.tables.frames import SpaceFrame, TimeFrame
from vodal.tables.packing import join_rows
from vodal.tables.spool import Spool
from vodal.tables.status import Status, status_of

__all__ = ["write_fits"]

_RADESYS = {"ICRS": "ICRS", "eq_FK5": "FK5", "eq_FK4": "FK4"}
"""What FITS 4.0 section 8.3 calls the systems of COOSYS."""

_MOST_COLUMNS = 999
"""FITS 4.0 section 7.3.1."""


def _primary() -> bytes:
    return header_block(
        [
            value_card("SIMPLE", "T", "conforms to FITS standard"),
            value_card("BITPIX", "8"),
            value_card("NAXIS", "0", "the table follows"),
            value_card("EXTEND", "T"),
        ]
    )


def _column_cards(number: int, form: ColumnForm) -> list[str]:
    column = form.column
    cards = [
        *text_cards(f"TTYPE{number}", column.name),
        *text_cards(f"TFORM{number}", form.tform),
    ]
    if form.null is not None:
        cards.append(value_card(f"TNULL{number}", str(form.null), "stands for null"))
    if form.tdim is not None:
        cards += text_cards(f"TDIM{number}", form.tdim)
    for keyword, value in (
        ("TUNIT", column.unit),
        ("TUCD", column.ucd),
        ("TUTYP", column.utype),
        ("TXTYP", column.xtype),
        ("TCOMM", column.description),
    ):
        if value:
            cards += text_cards(f"{keyword}{number}", " ".join(value.split()))
    return cards


def _frame_cards(columns: Sequence[Column]) -> list[str]:
    """Tell the frames, of which a header has room for one of each kind."""
    frames = {column.frame for column in columns}
    spaces = [frame for frame in frames if isinstance(frame, SpaceFrame)]
    times = [frame for frame in frames if isinstance(frame, TimeFrame)]
    cards = []
    if len(spaces) == 1 and (name := _RADESYS.get(spaces[0].system)):
        cards += text_cards("RADESYS", name, "frame of the positions")
    if len(times) == 1:
        cards += text_cards("TIMESYS", times[0].timescale, "scale of the times")
        if times[0].timeorigin == "MJD-origin":
            cards.append(value_card("MJDREF", "0.0", "the times are MJD"))
    return cards


def _header(survey: Survey, heap: Heap, status: Status, infos: Sequence[tuple[str, str]]) -> bytes:
    forms = survey.forms()
    cards = [
        *text_cards("XTENSION", "BINTABLE", "binary table"),
        value_card("BITPIX", "8"),
        value_card("NAXIS", "2"),
        value_card("NAXIS1", str(sum(form.width for form in forms)), "bytes of a row"),
        value_card("NAXIS2", str(survey.rows), "rows"),
        value_card("PCOUNT", str(heap.size), "bytes of the heap"),
        value_card("GCOUNT", "1"),
        value_card("TFIELDS", str(len(forms)), "columns"),
    ]
    for number, form in enumerate(forms, 1):
        cards += _column_cards(number, form)
    # Not needed since FITS 4.0; fitsverify 4.20 and older readers ask for it.
    cards += text_cards("LONGSTRN", "OGIP 1.0", "texts go on in CONTINUE cards")
    cards += text_cards("EXTNAME", "result")
    cards += text_cards("QSTATUS", status.value, "how the query ended")
    cards += _frame_cards([form.column for form in forms])
    for name in survey.replaced():
        cards += comment_cards("COMMENT", f"Characters beyond ASCII in {name} became '?'.")
    if status.message:
        cards += comment_cards("COMMENT", f"{status.value}: {status.message}")
    for name, value in infos:
        cards += comment_cards("COMMENT", f"{name}: {value}")
    return header_block(cards)


def write_fits(
    stream: ResultStream,
    *,
    resources: Sequence[ServiceDescriptor] = (),  # noqa: ARG001 - no place for them in this format
    infos: Sequence[tuple[str, str]] = (),
) -> Iterator[bytes]:
    """Write a result as a FITS binary table.

    Parameters
    ----------
    stream
        The result; its batches are closed when the writer ends or is closed.
    resources
        Taken as every writer takes them and left out.
    infos
        Written as COMMENT cards.

    Raises
    ------
    UsageError
        If there are more columns than FITS can have, or no number is free to stand for null.
    Exception
        What the stream raises, before anything is written.
    """
    if len(stream.columns) > _MOST_COLUMNS:
        raise UsageError(
            f"FITS takes at most {_MOST_COLUMNS} columns; there are {len(stream.columns)}"
        )
    named = zip(stream.columns, unique_names(stream.columns), strict=True)
    survey = Survey([replace(column, name=name) for column, name in named])
    with closing(stream), Spool(survey.schema) as spool:
        for part in stream.pieces():
            spool.add(survey.see(part))
        # What the query holds is free while the client reads.
        stream.close()
        spool.finish()
        status = status_of(stream, survey.rows)
        yield _primary() + _header(survey, survey.heap(), status, infos)
        forms, heap = survey.forms(), survey.heap()
        size = 0
        for batch in spool.batches():
            cells = [
                form.cells(array, heap) for form, array in zip(forms, batch.columns, strict=True)
            ]
            rows = join_rows(cells, batch.num_rows)
            size += len(rows)
            yield bytes(rows)
        if heap.size:
            for batch in spool.batches():
                for form, array in zip(forms, batch.columns, strict=True):
                    if form.on_heap:
                        yield form.heap_bytes(array)
        yield bytes(-(size + heap.size) % BLOCK_BYTES)

"""The XML of a VOTable, read as a stream on expat.

No document type is taken, and so no entity can be declared; nothing outside of the document is
ever looked at. The first TABLE that has FIELDs is read, whatever comes behind it only has to be
well-formed.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Literal, Protocol
from xml.parsers import expat

import pybase64

from vodal.errors import UsageError
from vodal.tables.frames import Frame
from vodal.tables.readers.fields import Field, make_field, make_frame
from vodal.tables.readers.limits import ReadLimits, over

__all__ = ["Cells", "Serialization", "VotableDocument"]

Serialization = Literal["TABLEDATA", "BINARY", "BINARY2", "FITS"]

_CHUNK_BYTES = 1 << 16
_MAX_DEPTH = 100
_MAX_DESCRIPTION = 10_000
_MAX_STREAM_TEXT = 1 << 20
"""Characters of base64 that are decoded together."""

_BLANKS = dict.fromkeys(map(ord, " \t\r\n"))


class Cells(Protocol):
    """Takes the cells of a table in one of its serialisations."""

    def row(self, cells: list[str]) -> None:
        """Take a row of TABLEDATA."""
        ...

    def feed(self, data: bytes) -> None:
        """Take bytes of a STREAM."""
        ...


class VotableDocument:
    """Reads one document.

    Parameters
    ----------
    limits
        Of columns and cells; who takes the cells watches the others.
    begin
        Called with the FIELDs, the serialisation and the number of the HDU (for FITS) when the
        cells begin; gives what takes them.
    """

    def __init__(
        self,
        limits: ReadLimits,
        begin: Callable[[Sequence[Field], Serialization, int], Cells],
    ) -> None:
        self.fields: list[Field] = []
        """Of the table, complete when its cells begin or it ends."""
        self._limits = limits
        self._begin = begin
        self._path: list[str] = []
        self._found = False
        self._in_table = False
        self._cells: Cells | None = None
        self._hdu = 1
        self._attributes: Mapping[str, str] | None = None
        self._frames: dict[str, Frame] = {}
        self._null: str | None = None
        self._about: list[str] | None = None
        self._described = ""
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._cell_length = 0
        self._stream: list[str] | None = None
        self._stream_length = 0
        self._padded = False
        self._parser = self._make_parser()

    def _make_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.buffer_size = _CHUNK_BYTES
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.EntityDeclHandler = _refuse_doctype
        parser.ExternalEntityRefHandler = _refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        return parser

    def read(self, file: IO[bytes]) -> None:
        """Read the document to its end.

        Raises
        ------
        UsageError
            If it is no VOTable, not well-formed, or has what is not taken.
        TooLargeError
            If it is over a limit.
        """
        try:
            while chunk := file.read(_CHUNK_BYTES):
                self._parser.Parse(chunk, False)
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise UsageError(
                f"the VOTable is not well-formed XML: {expat.ErrorString(error.code)} in line"
                f" {error.lineno}, column {error.offset + 1}"
            ) from None
        except LookupError:
            raise UsageError("the VOTable has a character encoding that is not known") from None
        if not self._found:
            raise UsageError("the VOTable holds no TABLE with FIELDs")

    # Elements ----------------------------------------------------------------------------------

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        path = self._path
        if not path and local != "VOTABLE":
            raise UsageError(f"the file is XML but no VOTable: it begins with <{name[:40]}>")
        parent = path[-1] if path else ""
        path.append(local)
        if len(path) > _MAX_DEPTH:
            raise UsageError(f"the VOTable's elements are more than {_MAX_DEPTH} deep")
        if self._in_table:
            self._start_within(parent, local, attributes)
        elif local in {"COOSYS", "TIMESYS"}:
            self._note_frame(local, attributes)
        elif local == "TABLE" and not self._found:
            self._in_table = True
            self.fields = []

    def _note_frame(self, local: str, attributes: dict[str, str]) -> None:
        frame = make_frame(local, attributes)
        name = attributes.get("ID", "")
        if frame is not None and len(self._frames) < self._limits.max_columns:
            self._frames[name] = frame

    def _start_within(self, parent: str, local: str, attributes: dict[str, str]) -> None:
        """See to an element of the table."""
        match parent, local:
            case "TR", "TD":
                self._start_cell(attributes)
            case "TABLEDATA", "TR":
                self._check_data("TR")
                self._row = []
            case "TABLE", "FIELD":
                self._start_field(attributes)
            case "FIELD", "VALUES":
                self._null = attributes.get("null", self._null)
            case "FIELD", "DESCRIPTION":
                self._about = []
            case "DATA", ("TABLEDATA" | "BINARY" | "BINARY2" | "FITS") as form:
                self._start_data(form, attributes)
            case (("BINARY" | "BINARY2" | "FITS"), "STREAM"):
                self._start_stream(attributes)
            case _, "TABLE":
                raise UsageError("the VOTable has a TABLE within a TABLE")
            case _:
                pass

    def _end(self, _name: str) -> None:
        local = self._path.pop()
        if not self._in_table:
            return
        match local:
            case "TD" if self._cell is not None:
                assert self._row is not None
                self._row.append("".join(self._cell))
                self._cell = None
            case "TR" if self._row is not None:
                self._end_row()
            case "FIELD" if self._attributes is not None:
                frame = self._frames.get(self._attributes.get("ref", ""))
                self.fields.append(
                    make_field(self._attributes, self._null, self._described, self._limits, frame)
                )
                self._attributes = None
            case "DESCRIPTION" if self._about is not None:
                self._described = " ".join("".join(self._about).split())[:_MAX_DESCRIPTION]
                self._about = None
            case "STREAM" if self._stream is not None:
                self._decode(last=True)
                self._stream = None
            case "TABLE":
                # A table without FIELDs only refers to another, or holds parameters.
                self._found = bool(self.fields)
                self._in_table = False
            case _:
                pass

    def _text(self, text: str) -> None:
        if self._cell is not None:
            self._cell_length += len(text)
            if self._cell_length > self._limits.max_cell_bytes:
                raise over("a longer cell", "max_cell_bytes", self._limits.max_cell_bytes)
            self._cell.append(text)
        elif self._stream is not None:
            self._stream.append(text)
            self._stream_length += len(text)
            if self._stream_length > _MAX_STREAM_TEXT:
                self._decode(last=False)
        elif self._about is not None and len(self._about) < _MAX_DESCRIPTION:
            self._about.append(text)

    # What the elements mean --------------------------------------------------------------------

    def _start_field(self, attributes: dict[str, str]) -> None:
        if self._cells is not None:
            raise UsageError("the VOTable has a FIELD behind its data")
        if len(self.fields) >= self._limits.max_columns:
            raise over("more columns", "max_columns", self._limits.max_columns)
        self._attributes, self._null, self._described = attributes, None, ""

    def _start_data(self, form: Serialization, attributes: dict[str, str]) -> None:
        if self._cells is not None:
            raise UsageError("the VOTable has a TABLE with more than one DATA")
        if not self.fields:
            raise UsageError("the VOTable has data but no FIELDs")
        hdu = attributes.get("extnum", "1").strip()
        if not (hdu.isascii() and hdu.isdigit() and len(hdu) < 5):
            raise UsageError("the VOTable's FITS element has an extnum that is no number")
        self._cells = self._begin(self.fields, form, int(hdu))

    def _check_data(self, local: str) -> None:
        if self._cells is None:
            raise UsageError(f"the VOTable has a {local} that is not within DATA")

    def _start_stream(self, attributes: dict[str, str]) -> None:
        self._check_data("STREAM")
        if attributes.get("href") is not None:
            raise UsageError(
                "the VOTable refers to another file (STREAM with href); send its data within"
            )
        encoding = attributes.get("encoding", "base64").strip() or "base64"
        if encoding != "base64":
            raise UsageError(f"the VOTable's STREAM is encoded as {encoding[:20]}; use base64")
        self._stream, self._stream_length = [], 0

    def _start_cell(self, attributes: dict[str, str]) -> None:
        if self._row is None:
            return
        if attributes.get("encoding"):
            raise UsageError("the VOTable has an encoded TD; send its cells as they are")
        if len(self._row) >= len(self.fields):
            raise UsageError(f"a row of the VOTable has more than {len(self.fields)} cells")
        self._cell, self._cell_length = [], 0

    def _end_row(self) -> None:
        assert self._row is not None
        assert self._cells is not None
        if len(self._row) != len(self.fields):
            raise UsageError(
                f"a row of the VOTable has {len(self._row)} cells for {len(self.fields)} FIELDs"
            )
        self._cells.row(self._row)
        self._row = None

    def _decode(self, *, last: bool) -> None:
        """Decode the base64 that has come, by four characters."""
        assert self._stream is not None
        assert self._cells is not None
        text = "".join(self._stream).translate(_BLANKS)
        whole = len(text) if last else len(text) - len(text) % 4
        if len(text) % 4 and last:
            raise UsageError("the VOTable's base64 is cut in the middle")
        if self._padded and text:
            raise UsageError("the VOTable's base64 goes on behind its end")
        try:
            data = pybase64.b64decode(text[:whole], validate=True)
        except (binascii.Error, ValueError):
            raise UsageError("the VOTable's STREAM is not base64") from None
        self._padded = text[:whole].endswith("=")
        self._stream = [text[whole:]]
        self._stream_length = len(text) - whole
        self._cells.feed(data)


def _refuse_doctype(*_: object) -> int:
    raise UsageError("the VOTable declares a document type (DOCTYPE); send it without")

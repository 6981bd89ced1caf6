"""Typed streams of Arrow record batches and their writers.

- `frames`    what positions and times refer to
- `columns`   metadata of a column; the stream that every writer takes
- `cells`     Arrow arrays as text, cell by cell
- `status`    how a result ended, as every format tells it
- `packing`   cells as big-endian bytes, joined to rows
- `binary`    Arrow batches as the rows of VOTable's BINARY2 and BINARY
- `few`       a few rows as BINARY2 or TABLEDATA, where that is faster
- `rowpack`   the same for many rows of the usual columns, compiled
- `markup`    elements of a VOTable: FIELD, INFO, service descriptors
- `votable`   whole VOTable documents, streamed
- `csv`       comma- and tab-separated text, streamed
- `json`      JSON, streamed
- `html`      a page for a browser, streamed
- `sink`      a file whose bytes are taken away while it is written
- `arrow`     Arrow's IPC stream with the metadata of the columns
- `parquet`   Parquet that carries a VOTable of its metadata, row group by row group
- `spool`     batches in a temporary file, for formats that begin with what is known at the end
- `text`      aligned text for a terminal
- `fitscolumns`  how each column is written in a FITS table
- `fits`      FITS binary tables
- `formats`   all of these
- `negotiation`  which of them a request asks for
- `uploads`   an uploaded table as a value; `readers`: files of every format to such a value
"""

"""Typed streams of Arrow record batches and their writers.

- `columns`   metadata of a column; the stream that every writer takes
- `cells`     Arrow arrays as text, cell by cell
- `status`    how a result ended, as every format tells it
- `packing`   cells as big-endian bytes, joined to rows
- `binary`    Arrow batches as the rows of VOTable's BINARY2 and BINARY
- `markup`    elements of a VOTable: FIELD, INFO, service descriptors
- `votable`   whole VOTable documents, streamed
- `csv`       comma- and tab-separated text, streamed
- `formats`   which of them a request asks for
- `uploads`   an uploaded table as a value; `readers`: files of every format to such a value
"""

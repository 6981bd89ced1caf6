"""Typed streams of Arrow record batches and their writers.

- `columns`   metadata of a column; the stream that every writer takes
- `cells`     Arrow arrays as text, cell by cell
- `binary2`   Arrow batches as the rows of VOTable's BINARY2
- `markup`    elements of a VOTable: FIELD, INFO, service descriptors
- `votable`   whole VOTable documents, streamed
- `csv`       comma- and tab-separated text, streamed
- `formats`   which of them a request asks for
"""

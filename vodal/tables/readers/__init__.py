"""Tables from elsewhere, read with suspicion.

Whatever a file claims is checked against a limit or against its bytes before memory is taken for
it. The readers run in a process of their own that may be killed; they import neither the web nor
a database.

- `limits`     how much is read
- `sniff`      which format a file has, by its first bytes
- `gunzip`     a whole-file gzip, decompressed up to a limit
- `fields`     FIELDs of a VOTable and what they declare
- `document`   the XML of a VOTable, on expat: no DTD, no entities, nothing from elsewhere
- `declared`   the columns that a VOTable without data describes
- `tabledata`  cells as text to Arrow
- `packed`     cells as bytes to Arrow; `rows`: the rows of BINARY and BINARY2
- `votable`    VOTables in every serialisation
- `separator`  what stands between the cells of a text
- `csv`        separated text, types found by looking
- `yamlheader` the header of an ECSV table, without objects
- `ecsv`       ECSV, its columns as the header declares them
- `parquet`    Parquet, with the metadata of VOParquet
- `bintable`   columns of a FITS table; `fits`: the first table of a file
- `sink`       where they all write: an Arrow file, limits watched
- `read`       a file to an `vodal.tables.uploads.UploadedTable`
"""

from __future__ import annotations

"""Tables of products as a source: each row, or several one after the other, tells of a file.

- `settings`  what a collection says of its table
- `rows`      the rows of a file or of an SQL query, some at a time
- `place`     where the file of a row lies
- `located`   rows with the files that they tell of, those of one file never apart
- `units`     units that a table declares, held against the columns of ObsCore
- `repeats`   files that were named before, in little memory
- `source`    rows as candidates
"""

from __future__ import annotations

"""Rows of what a source tells, many at once: the quick twin of `obscore.assembly.told`.

Files whose facts have the same names are made column by column. What is not plain (a value that
does not fit, a footprint that is not clearly convex, a rule that is broken) is left to the slow
twin, row by row, so that no row, note or refusal is another.

- `block`     files of one kind, their facts as columns
- `given`     columns that the mapping sets
- `outlines`  footprints
- `steps`     columns that follow from these
- `sound`     which rows clearly keep all rules
- `make`      the rows
"""

from __future__ import annotations

from obscore.assembly.columnwise.make import Made, make_columns, make_rows_of

__all__ = ["Made", "make_columns", "make_rows_of"]

"""Where the rows are kept.

- `schema`    the tables, declared once; the version of the layout
- `base`      the seam `Store` that the assembly line writes to
- `sqlite`    the embedded store: one writer, many readers, in several processes
- `resolver`  the seams of `vodal.products` on the embedded store
"""

"""Where the rows are kept.

- `schema`   the tables, declared once; the version of the layout
- `base`     the seams: what a store is to the assembly line, to queries and to the services
- `sqlite`   the embedded store: one writer, many readers, in several processes
"""

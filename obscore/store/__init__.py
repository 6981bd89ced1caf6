"""Where the rows are kept.

- `schema`   the tables, declared once; the version of the layout
- `facets`   how many products there are of each combination of the columns with few values
- `base`     the seams: what a store is to the assembly line, to queries and to the services
- `sqlite`   the embedded store: one writer, many readers, in several processes
"""

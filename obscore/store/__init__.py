"""Where the rows are kept.

- `schema`   the tables, declared once; the version of the layout
- `expectations` what SQLite's planner is told to expect of the rows
- `facets`   how many products there are of each combination of the columns with few values
- `rows`     files and products as rows of the tables
- `values`   what a column takes of a value
- `extra`    columns that the site adds to ``ivoa.obscore``
- `put`      what a writer's turn puts into the tables, by column
- `shapes`   footprints of many rows as arrays
- `products` rows of the tables as products
- `places`   which columns of an uploaded table tell where on the sky a row lies
- `cells`    the memory of a batch that compiled code fills
- `pace`     how long queries share the processors with short ones
- `base`     the seams: what a store is to the assembly line and to the services
- `engine`   the same to queries
- `publishing` tables of the site's own, loaded or kept
- `copy`     a catalogue copied to another store; `copytables`: the tables of the site's own
- `sqlite`   the embedded store: one writer, many readers, in several processes
- `postgres` the store in PostgreSQL with pg_sphere
"""

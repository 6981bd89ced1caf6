"""The store in PostgreSQL with pg_sphere.

- `pool`        connections, and a pool of them
- `tables`      the tables as PostgreSQL has them
- `extension`   pg_sphere in a database
- `migrations`  the revisions of the layout
- `layout`      which one a database has, and how it is brought up to date
- `publication` tables that the site has published itself
- `preparation` a database made ready
- `published`   publishes tables of the site's own
- `spheres`     footprints and positions of products, as the index has them
- `writing`     what a writer's turn puts into the tables, and takes away
- `store`       what the assembly line writes to
- `resolver`    products by identifier and place
- `deadline`    statements stopped when their time is over; `uploads`: tables that come with a query
- `plan`        what PostgreSQL intends to do for a query
- `libpq`       its C functions; `chunks`: compiled code that puts rows into columns with them
- `rows`        the rows of a query as batches
- `engine`      runs users' queries
- `backend`     all of these as one store
"""

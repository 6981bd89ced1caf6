"""The embedded store: SQLite.

- `authorizer` what a connection for users' queries may do
- `deadline`  an end to its statements
- `readers`   connections that can only read, and a pool of them
- `layouts`   former layouts, and the steps from each to the next
- `loading`   tables of any columns with their R*Tree
- `publication` tables that the site has published itself; TAP_SCHEMA
- `writing`   connections that write, and bring a file up to date
- `boxes`     boxes of products in the R*Tree
- `store`     what the assembly line writes to
- `published` publishes tables of the site's own
- `resolver`  products by identifier and place
- `uploads`   tables that came with a query, attached while it runs
- `plan`      what SQLite intends to do for a query
- `routines`  SQLite's C functions, for compiled code
- `stepping`  rows of a statement into that memory, compiled
- `rows`      rows of a query as Arrow batches
- `engine`    translated queries to Arrow batches
- `backend`   all of them together, of one database file
"""

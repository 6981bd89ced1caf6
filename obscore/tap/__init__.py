"""The TAP 1.1 service.

- `settings`      limits
- `tap_schema`    the tables of TAP_SCHEMA, declared
- `metadata`      the published tables: for the translator, TAP_SCHEMA and VOSI
- `request`       the parameters of a query as one value
- `turns`         who runs a query next
- `translations`  the last queries, translated
- `query`         a query's text to a stream of Arrow batches
- `batches`       rows of the database as Arrow batches
- `rights`        the rows of images that there are for who asks
- `visible`       the tables and rows that there are for who asks
- `access`        the addresses of products, made for whole columns
- `encoding`      percent-encoding of whole columns, compiled
- `answer`        a result as the document that was asked for
- `explained`     what would be done for a query, as the document that was asked for
- `metrics`       what is counted of the queries
- `sync`          a request's turn, its query, its answer
- `jobs`          what an asynchronous query does
- `capabilities`  what the service says it can
- `holdings`      what the site holds, as far as its examples need it
- `examples`      queries to start from, as a page
- `page`          the service as a page for a browser
- `async_routes`  the resources of asynchronous queries
- `routes`        the others
"""

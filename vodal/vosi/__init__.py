"""VOSI 1.1: what a service says of itself.

- `capabilities`  capabilities and interfaces as values, and their document
- `availability`  whether the service is up
- `tableset`      schemas, tables and columns as values, and their documents
- `routes`        the Starlette routes of the three

The documents are built with the standard library's ElementTree, not with vo-models: version 0.5 of
that escapes descriptions twice, delimits column names by itself and has no place for a column's
extended type that the XML schema accepts.
"""

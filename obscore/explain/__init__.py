"""Why a query takes as long as it does, said in the query's own names.

- `plans`        what a database intends to do, by our aliases
- `demands`      the conditions of a query one by one, and what an index has to do with each
- `explanation`  what is told, as values
- `hints`        what would be quicker
- `counting`     how many rows there are
- `compose`      all of these put together
- `told`         an explanation as text and as a table

Nothing of the SQL or of the database's own names is ever told.
"""

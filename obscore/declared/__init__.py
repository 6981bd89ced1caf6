"""Tables that a site publishes beside ``ivoa.obscore``, as it declares them.

- `tables`       a declared table as a value: columns, indices, keys
- `names`        which names can be given
- `check`        what a declaration must keep to
- `felis`        the form in which it is written: the YAML of Felis, as models
- `reading`      from YAML to values; `writing`: back
- `draft`        a declaration made from a file of data
- `rows`         the rows of a file as a declaration wants them
- `publication`  what a store has published, at one moment
"""

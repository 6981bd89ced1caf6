"""How a resolved query is told to SQLite.

- `values`     values; `printer`: whole queries
- `haversine`  distances as plain SQL
- `arrays`     how arrays are kept
- `functions`  the functions that this SQL calls, in Python
- `glance`     how most pairs of shapes lie, compiled
"""

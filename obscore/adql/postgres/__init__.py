"""How a resolved query is told to PostgreSQL.

- `values`     values; `printer`: whole queries
- `install`    puts the functions that this SQL calls into a database:
- `numbers.sql`  arithmetic without errors, casts; `sphere.sql`: the exact spherical predicates;
  `shapes.sql`: shapes from numbers and texts; `userdefined.sql`: the user-defined functions;
  `moc.sql`: coverage maps
"""

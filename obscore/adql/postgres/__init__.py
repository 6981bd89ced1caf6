"""How a resolved query is told to PostgreSQL.

- `shapes`     geometries as the numbers that the functions read, and caps around them
- `polygons`   those of many polygons at once
- `values`     values; `printer`: whole queries
- `install`    puts the functions that this SQL calls into a database:
- `numbers.sql`  arithmetic without errors, casts; `texts.sql`: texts in any case;
  `sphere.sql`: the exact spherical predicates;
  `shapes.sql`: shapes from numbers and texts; `userdefined.sql`: the user-defined functions;
  `moc.sql`: coverage maps
"""

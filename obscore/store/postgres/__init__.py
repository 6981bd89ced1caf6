"""The store in PostgreSQL with pg_sphere.

- `shapes`  footprints as the numbers and caps that its SQL functions and its index read
"""

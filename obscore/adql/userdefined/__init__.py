"""The user-defined functions that this service has: those of the IVOA's catalogue, version 1.2.

- `healpix`     cells of the sky by number; `frames`: rotations; `epochs`: motion in time
- `dates`       Julian dates; `sexagesimal`: angles in hours and degrees; `words`: texts searched
- `catalogue`   names, parameters and descriptions, as the capabilities declare them
- `calls`       a call checked, computed at once where it is made of constants

Each function but the random one and the aggregate is a plain function of Python, which SQLite
calls; PostgreSQL has its own of the same name and meaning.
"""

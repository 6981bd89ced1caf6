"""Coverage maps (IVOA MOC 2.0) in spatial conditions.

- `ranges`  a map as ranges of HEALPix cells: read, packed, joined, compared
- `cells`   cells as outlines on the sphere
- `cover`   what shapes and maps have to do with each other
"""

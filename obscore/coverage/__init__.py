"""Coverage maps (IVOA MOC 2.0) of collections, kept up to date as images come, change and go.

- `settings`  how fine maps are
- `touched`   which cells of HEALPix a footprint touches, in compiled code
- `extents`   times, wavelengths, telescopes and instruments of many images
- `ranges`    many ranges of cells as one map: joined, coarsened
- `kept`      maps of blocks of rows, kept on disk, made anew where a writer touched the block
- `maps`      the map of a collection, or of all, for who asks
- `capability` where maps are, for the capabilities of services
- `routes`    maps over HTTP
- `app`       the service
"""

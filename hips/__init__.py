"""HiPS: images as tiles of the sky, made, checked and served.

In the order data flows:

- `settings`    what can be set
- `choice`      which channels of cubes
- `names`       paths, NESTED numbers, which way up a tile is
- `cells`       the sky inside a HEALPix cell
- `frames`      equatorial or galactic cells
- `images`      the images that go in: headers, tiles they reach
- `recipe`      what is decided once and kept: depth, common scale, grey levels
- `progenitors` which images there are, and the tiles they reach
- `plan`        the images' scale and weight, the tiles of each shard
- `part`        which shards one of several builders makes
- `crew`        the processes that work
- `cluster`     the workers of a Dask cluster in their place
- `tile`        a tile as what `vodal.resample` brings images onto
- `weights`     how much each pixel of an image counts
- `background`  one sky for images that overlap
- `calibration` values brought to the common scale
- `decode`      pixels decoded once, for all processes
- `coadd`       mean, median or first of images that overlap
- `pyramid`     the coarser orders of a shard
- `stretch`     values to grey levels
- `encode`      FITS, PNG and JPEG, one by one
- `formats`     which of them are written
- `tiles`       how they are kept: as files or in ZIP files of many
- `records`     what is noted of tiles that are made
- `shard`       one unit of work: a run of tiles and the orders between
- `schedule`    decoding and rendering in order
- `upper`       the orders above the shards
- `view`        where to look first
- `coverage`    MOC and first view; `moc`: any MOC, read
- `allsky`      the picture of order 3
- `preview`     a small one of the first view
- `properties`  what clients know of a HiPS
- `keywords`    the same of built and live ones
- `metadata`    the images behind it
- `page`        its own page
- `describe`    writes MOC, properties, preview and page
- `publish`     a folder that takes its name in one step
- `build`       all of it
- `butler`      the same as tasks of an LSST pipeline (extra `skylane[butler]`)
- `color`       HiPS in colour of those of several bands
- `channels`    the channels of cubes, numbered once and kept
- `cubes`       which HiPS are made of cubes
- `collection`  the HiPS of a collection: bands, channels of cubes, and colour
- `check`       a check of a HiPS, on disk or on a server, whoever made it
- `cutout`      a HiPS on any grid of the sky, as FITS or a picture
- `links`       from a product to the HiPS that show it; `shown`: which do
- `media`       which files are served, as what, how long they may be kept
- `export`      the plain tree of a HiPS
- `upload`      a HiPS put into an object store
- `remote`      a HiPS that lies elsewhere
- `shelf`       those that are served, by name; `allowed`: who may have which
- `answers`     kept copies, ranges, what is not there
- `behind`      from a tile or a point to its images
- `live`        HiPS that nobody builds: tiles made on demand
- `archive`     what the server is given of the archive
- `capabilities` what the server is, for registries
- `routes`, `archive_routes`, `app`  the server
- `testing`     what tests compare

Modules that compute import neither Starlette nor SQLAlchemy; `routes` and `app` import no
numba (of `live` only what runs in workers does).
"""

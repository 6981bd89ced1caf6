"""What two or more of the services share (the Virtual Observatory data access layer).

In the order data flows:

- `errors`    the one tree of errors, each with its DALI label and HTTP status
- `outcomes`  how requests end, as metrics tell it
- `settings`  the frozen base of every settings class
- `extensions` classes of a site's own, which settings name
- `storage`   bytes by offset from wherever they lie
- `fits`      headers, the byte-offset index, pixels and footprints
- `resample`  images brought to other pixels: tiles, grids of any WCS
- `pictures`  from pixels to PNG and JPEG
- `projections` names of projections and frames that grids are asked for in
- `regions`   points, circles, polygons and ranges on the sphere
- `access`    who asks, and what they may see
- `products`  what a catalogued image is, and the seams `Resolver` and `Catalogue`
- `params`    DALI request parameters
- `links`     DataLink rows and service descriptors, and the seam `LinkMaker`
- `tables`    typed streams of Arrow batches and their writers
- `examples`  the page of a service's examples
- `ahead`     an iterator that works ahead in a thread
- `compiled`  how inner loops are compiled; `addresses`: memory and C functions by address in them;
  `later`: modules of such code, loaded in a thread
- `xmltext`   what XML can carry of a text
- `vosi`      capabilities, availability, tableset
- `parent`    processes that do not outlive who started them
- `pool`      warm worker processes
- `dask`      the connection to the scheduler of a Dask cluster
- `uws`       asynchronous jobs in a queue that server processes share
- `archives`  tar and zip, written piece by piece
- `filetypes` media types by the names of files
- `constants` the speed of light, Planck's constant
- `diskcache` what can be made again, kept on disk up to a size
- `web`       what every Starlette app of the suite does alike
- `testing`   servers, skies and validators for the tests of every package
"""

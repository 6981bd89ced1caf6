"""FITS files: from a path to places on the sky and pixels, without astropy opening the file.

In the order data flows:

- `source`      forward reading, plain or gzip; naming what is no FITS
- `cards`       structural keywords of a header, and the repair of broken cards
- `values`      the values of header cards, as they are asked for
- `tiletable`   the table of a tile-compressed image: where each tile lies
- `scan`        the walk over the HDUs that makes the index
- `index`       the byte-offset index, kept beside each catalogued row
- `stripped`    it without what one product has no use for
- `planes`      which HDUs make up one product
- `iraf`        TNX and ZPX as projections with SIP
- `tpv`         TPV with the latitude first, as wcslib understands it
- `frames`      celestial frames to ICRS
- `celestial`   the two celestial axes of coordinates that have more
- `lookup`      tables in other HDUs that coordinates refer to; `quicklookup`: plain ones, sooner
- `wcs`         pixels to ICRS and back, with every distortion
- `projected`   coordinates of a new grid about a place
- `spectral`    spectral coordinates to wavelengths in vacuum
- `stokes`      polarization states by their codes
- `cubes`       which planes an image has besides its two sky axes
- `timescale`   time scales to UTC and back
- `footprint`   the outline of an image on the sky
- `bend`        distortions that are polynomials
- `tangent`     headers of plain images, whose coordinates are a few sums
- `plainoutline` the outline of such an image
- `imageheader` the header of the image inside a tile-compressed table
- `compressed`  the decoding of its tiles
- `rice`        RICE_1 tiles decoded by compiled code
- `sections`    which bytes a section of an image needs, and where they go
- `tiled`       the same of a tile-compressed image
- `opening`     files opened by their index, which is held against them, or indexed on the spot
- `pixels`      sections of images through the index
- `opened`      the image plane of a product, or a plane of a cube, opened to be resampled
- `calibration` zero point, unit and mask bits that headers tell
- `headers`     header cards and blocks, written
- `bareprimary` a primary header without the image of the file's own
- `quiet`       silence for libraries that warn of what is handled
"""

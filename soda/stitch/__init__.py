"""Stitched cutouts: images of several detectors, exposures or patches on one grid of pixels.

In the order data flows:

- `request`  what is asked for, as frozen values
- `choose`   the images, by their identifiers or from the catalogue
- `inputs`   what the images' headers say, and their files
- `target`   the grid: projection, scale, orientation, size
- `scaling`  what each image's values are multiplied with
- `combine`  several images on one block of the grid
- `make`     block by block from the images to a FITS file
- `cards`    its headers and the table of its inputs
- `files`    the images of files that are named
- `routes`   the resource ``/stitched``

`request`, `choose` and `routes` run in the server, `files` on the command line, the rest in the
pool's processes, which hold the files against their indexes (`soda.files`).
"""

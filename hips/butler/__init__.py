"""HiPS by the LSST pipeline framework: images of a Butler collection, a quantum a HEALPix cell.

In the order data flows:

- `pipeline.yaml`  the three tasks
- `images`     datasets of a Butler as products
- `order`      what is to be made, as it travels
- `carton`     files of a HiPS in the making as one dataset
- `planning`   the task that reads all headers and decides
- `rendering`  the task that makes the tiles of a cell
- `finishing`  the task that makes the rest and publishes

Nothing of the Rubin stack is needed but daf_butler, pipe_base, pex_config and their like
(``skylane[butler]``); images are read by `vodal.fits` where the Butler says that they lie.
"""

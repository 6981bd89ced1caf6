"""Images brought from their own pixels to those of a target: HEALPix tiles, grids of any WCS.

A target is cut into blocks, and each block into cells between whose corners the way to an image's
pixels is interpolated, as far as that is right to 0.005 pixel. In the order data flows:

- `block`    what a target tells of itself
- `gnomonic` from the sky to the commonest images' pixels, compiled
- `mapping`  world coordinates of an image, whose pixels may be averaged first
- `reading`  its pixels, bad ones blank
- `grid`     where a block's pixels lie on an image
- `areas`    how large an image's pixels are on the sky
- `canvas`   sampling, and the weighted mean of images that overlap
- `medians`  their median
"""

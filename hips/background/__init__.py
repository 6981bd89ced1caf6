"""Background matching: images of a HiPS brought to one sky where they overlap.

In the order data flows:

- `kept`    the correction of each image, kept beside the recipe
- `pairs`   which images overlap
- `samples` an image's sky in coarse cells
- `fit`     differences of overlapping images, and the corrections that make them vanish
- `match`   all of it, for those images that have no correction yet
"""

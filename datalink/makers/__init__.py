"""Who makes the rows of a {links} answer; cutouts and HiPS have makers in their own packages.

- `file`         the file itself: ``#this``, and links to other products
- `preview`      ``#preview``, ``#preview-image`` and ``#thumbnail``
- `plane`        single HDUs of the file: ``#auxiliary``, ``#weight``, ``#error``
- `rules`        what a site tells of what belongs to products
- `related`      other products at the same place: ``#counterpart``, by rules ``#progenitor`` ...
- `template`     texts that are filled in from a product
- `declared`     what the rules tell of: addresses, files beside images, products by name
- `timed`        a maker that may take so long and no longer
- `own`          makers that a site has written itself
"""

"""Who makes the rows of a {links} answer; cutouts and HiPS have makers in their own packages.

- `file`         the file itself: ``#this``, and links to other products
- `preview`      ``#preview``, ``#preview-image`` and ``#thumbnail``
- `timed`        a maker that may take so long and no longer
- `own`          makers that a site has written itself
"""

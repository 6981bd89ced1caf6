"""A check of a HiPS, in a folder or on a server, whoever made it (HiPS 1.0 sections 4 and 5).

Aladin's ``Hipsgen ... LINT`` checks the properties and one tile; this also looks at the tree, the
MOC and the pixels. In the order of the check:

- `finding`   what is found
- `place`     a folder, or a server
- `picture`   a tile's pixels
- `survey`    what the properties say, which tiles there are, which are looked at
- `keywords`  rules of the properties
- `tree`      rules of folders, names and orders
- `tiles`     rules of single tiles
- `turning`   which way up a picture lies on another
- `pixels`    parents against children, pictures against FITS
- `allsky`    rules of the Allsky files
- `extras`    rules of the other files
- `lists`     rules of a node's list
- `run`       all of it
"""

from __future__ import annotations

from hips.check.finding import Finding, Level
from hips.check.lists import check_list
from hips.check.run import check_hips

__all__ = ["Finding", "Level", "check_hips", "check_list"]

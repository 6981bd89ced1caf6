"""The tiles of a HiPS: how they are kept.

- `base`    the seam: tiles that can be asked for and put
- `tree`    as files
- `pack`    many in one ZIP file
- `packed`  in packs
- `opening` finds out which of them a HiPS has, or chooses for one in the making
"""

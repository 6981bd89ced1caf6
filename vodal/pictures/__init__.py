"""Pictures of images: what previews, cutouts and HiPS in colour have in common.

In the order data flows:

- `resize`     smaller by averaging areas, larger by repeating pixels
- `levels`     black and white chosen from the data, and the stretch between
- `lupton`     three bands to one picture in colour
- `colormaps`  colours of levels
- `encode`     PNG, JPEG, WebP
"""

"""HiPS in colour, made of the HiPS of bands.

- `settings` what can be set of one
- `bands`    which ones a collection has, and of which bands
- `scale`    how values become colours: chosen once and kept
- `paint`    its tiles, from the FITS tiles of the bands
- `build`    the whole HiPS, order by order

`settings`, `bands` and `scale` import no numba, as the server and links need them.
"""

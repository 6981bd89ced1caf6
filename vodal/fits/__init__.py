"""FITS files: headers, the byte-offset index, pixels, world coordinates and footprints."""

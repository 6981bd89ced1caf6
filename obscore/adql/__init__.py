"""Part of Skylane: adql."""

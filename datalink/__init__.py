"""Part of Skylane: datalink."""

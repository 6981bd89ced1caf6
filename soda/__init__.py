"""Part of Skylane: soda."""

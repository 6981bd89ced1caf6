"""Part of Skylane: obscore."""

"""Part of Skylane: store."""

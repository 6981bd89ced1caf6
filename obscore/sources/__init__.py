"""Part of Skylane: sources."""

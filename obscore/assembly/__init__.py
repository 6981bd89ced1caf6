"""Part of Skylane: assembly."""

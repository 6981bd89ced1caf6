"""Part of Skylane: skylane."""

"""Part of Skylane: portal."""

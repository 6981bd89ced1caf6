"""Part of Skylane: tap."""

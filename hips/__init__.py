"""Part of Skylane: hips."""

"""Label sets: read, checked, changed and asked for. Needs no torch."""

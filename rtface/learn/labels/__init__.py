"""Label sets: read, checked, changed and prepared for a person to label. Needs no torch."""

"""NWB files: pynwb makes one with empty datasets, and the rows go into them in one pass."""

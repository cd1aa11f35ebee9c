"""Labelling in a browser: an append-only journal of what people did, and what is made of it."""

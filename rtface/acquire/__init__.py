"""Cameras, the ring of frames and the thread that fills it."""

"""Cameras that misbehave, for hours."""

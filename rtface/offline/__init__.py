"""Recordings: tracked, tried with rules before any light is switched on, and sessions run again."""

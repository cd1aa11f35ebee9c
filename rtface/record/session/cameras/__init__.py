"""Each camera of a session: what it is run with, and what is recorded of it."""

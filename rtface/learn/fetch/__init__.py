"""Public label sets: which there are, how they come, and under which licence."""

"""The closed loop: what is done with each pose, who may allow it, and what must be true before."""

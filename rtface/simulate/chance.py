"""Random numbers that can be drawn in any order."""

from __future__ import annotations

_MASK = (1 << 64) - 1


def uniform_hash(*keys: int) -> float:
    """Return a number in [0, 1) that depends on integer keys alone (splitmix64)."""
    state = 0
    for key in keys:
        state = (state + key + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return (state >> 11) / (1 << 53)

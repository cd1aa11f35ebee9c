"""The neural encoder: what it explains, what being causal costs it, and how long it takes."""

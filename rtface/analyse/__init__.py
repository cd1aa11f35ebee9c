"""What encoders explain and what populations do, offline: scores, baselines, simulated populations, clusters, states."""

"""Networks that find keypoints: their errors on labels and simulated mice, and how few labels they need."""

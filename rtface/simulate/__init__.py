"""A simulated mouse face whose true keypoints are known."""

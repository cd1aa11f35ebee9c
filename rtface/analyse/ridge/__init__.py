"""Ridge regression as the yardstick: from the keypoints of a recording that came without predictions, and its null."""

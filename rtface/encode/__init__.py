"""From keypoints to the state of the brain, frame by frame."""

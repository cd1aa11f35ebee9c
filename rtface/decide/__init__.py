"""From keypoints to decisions: features of the face, and the rules over them."""

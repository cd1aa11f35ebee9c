"""Facemap's tracker beside rtface: the same keypoints, and in what time."""

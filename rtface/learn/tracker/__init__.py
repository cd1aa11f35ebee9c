"""Keypoint networks trained, adapted and distilled. Needs torch."""

"""Keypoint networks trained, adapted and distilled. Needs torch, but for `calibration` and what splits recordings."""

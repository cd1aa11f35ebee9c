"""Outputs that act on the animal, and the safety gate that has the last word."""

"""What cameras cost."""

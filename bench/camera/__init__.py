"""What cameras cost, and cameras that misbehave for hours."""

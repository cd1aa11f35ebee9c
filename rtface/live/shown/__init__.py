"""What is shown to who looks on, and made only for them: features and rules of the loop, thresholds."""

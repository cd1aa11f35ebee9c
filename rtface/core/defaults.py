"""Where a service is found unless it was told otherwise."""

LOOPBACK_KEYPOINTS = "tcp://127.0.0.1:5570"
LOOPBACK_CONTROL = "tcp://127.0.0.1:5571"
SIMULATED_ENCODER = "simulated-mouse"
"""The encoder that comes with rtface: of a simulated population, for the demo."""

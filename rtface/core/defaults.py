"""Where a service is found unless it was told otherwise."""

LOOPBACK_KEYPOINTS = "tcp://127.0.0.1:5570"
LOOPBACK_CONTROL = "tcp://127.0.0.1:5571"
LOOPBACK_PICTURES = "tcp://127.0.0.1:5572"
"""Where a rig publishes pictures that does; most do not."""
SIMULATED_ENCODER = "simulated-mouse"
"""The encoder that comes with rtface: of a simulated population, for the demo."""

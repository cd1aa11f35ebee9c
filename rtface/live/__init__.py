"""A rig that runs: pipeline, service, closed loop, arming, self-test, and what puts them together."""

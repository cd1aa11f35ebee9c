"""Training encoders: recordings, targets, the training itself, bundles."""

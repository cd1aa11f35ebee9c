"""The networks of engines and encoders, in torch."""

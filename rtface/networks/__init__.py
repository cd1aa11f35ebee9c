"""Architectures in torch: what the torch back end runs and the training code trains."""

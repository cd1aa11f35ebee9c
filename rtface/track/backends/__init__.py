"""Inference back ends behind one contract."""

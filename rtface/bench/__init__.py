"""Benchmarks: one runnable module a question, results as JSON with the machine's facts."""

"""Recorded sessions looked at: outline, latency certificate, comparison, pictures, overlay video."""

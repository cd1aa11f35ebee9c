"""What a session on a rented GPU does: the steps of bench/gpu_session.sh."""

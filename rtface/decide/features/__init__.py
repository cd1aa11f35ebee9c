"""Features of the face, frame by frame: causal, at constant cost, without socket, thread or clock."""

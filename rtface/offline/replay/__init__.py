"""Replay of a session: its network on the recorded frames, its rules on the recorded poses, compared bit for bit."""

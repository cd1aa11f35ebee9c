"""The host side of the safety gate: its protocol, its output and its emulator."""

"""The host side of the safety gate: its protocol, its output, its emulator and the judge of its log."""

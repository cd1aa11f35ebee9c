"""The safety gate's firmware in emulation: random sessions, killed hosts, and who judges them."""

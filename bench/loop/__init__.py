"""What the closed loop costs a frame, and whether its record is whole and replays."""

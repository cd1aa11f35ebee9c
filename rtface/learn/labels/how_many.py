"""How many frames to label: one number and one reason for commands and pages."""

FRAMES_TO_LABEL = 20
"""Frames that are chosen unless another number is asked for: from so many on `rtface.learn.tracker.adapt` keeps enough back to
find the number of steps."""

ENOUGH_NEW = 40
"""Labelled frames beyond which more of a kind help little: no more are advised then."""

HOW_MANY = (
    f"Label all {FRAMES_TO_LABEL}: from {FRAMES_TO_LABEL} on, enough are kept back from learning to find how long to learn. "
    f"Where the result is not good enough, choose {FRAMES_TO_LABEL} more, best of another day."
)

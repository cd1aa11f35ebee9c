"""How many frames to label: one number and one sentence for commands and pages."""

FRAMES_TO_LABEL = 20
"""Frames that are chosen unless another number is asked for."""

ENOUGH_KNOWN = 10
"""Labelled frames that a new recording of a known rig needs."""

ENOUGH_NEW = 40
"""Labelled frames of a new kind of rig, beyond which more help little."""

HOW_MANY = "Ten are enough for a new recording of a known rig; a new kind of rig needs forty."

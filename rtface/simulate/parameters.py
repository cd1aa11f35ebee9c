"""The appearance of one simulated mouse and its rig."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class FaceParameters:
    """Appearance and habits of one simulated mouse; lengths are relative to the reference face.

    Attributes
    ----------
    scale : float
        Size of the face; 1 shows it as large as the reference frames do.
    x, y : float
        Position of the face within the play that the frame leaves it, from -1 (left, top) to 1.
    rotation_deg : float
        Rotation in the image plane in degrees, clockwise as seen.
    stretch : float
        Width of the face over its height, against the reference face.
    mirror : bool
        The nose points to the right of the image.
    eye_shift, snout_shift : tuple of float
        Where eye and snout sit against the reference face, in its pixels (x, y).
    eye_size : float
        Size of the eye.
    iris, pupil, glint : int
        Gray levels of iris, pupil and corneal reflection.
    pupil_size : float
        Mean radius of the pupil as a part of the eye's half length.
    fur : int
        Gray level of the fur of the cheek.
    light : float
        Strength of the light on snout and chin.
    gamma : float
        Exponent of the final gray levels; below 1 is brighter.
    texture : float
        Contrast of the fur.
    background : int
        Gray level behind the mouse.
    clutter : int
        Blurred things in the background: spots and rods by turns.
    patches : float
        Strength of irregular light and shade on the head.
    whiskers : int
        Whiskers that are drawn, three or more.
    whisker_contrast : float
        How far the whiskers stand out, 0 to 1.
    blur : float
        Standard deviation of the lens's blur, in pixels of the reference face.
    noise : float
        Standard deviation of the camera's noise in gray levels.
    movement : float
        Factor on every movement.
    blink_probability, paw_probability : float
        Of a blink in each 2.5 s, and of the paw coming up in each 5 s.
    """

    scale: float = 1.0
    x: float = 0.0
    y: float = 0.0
    rotation_deg: float = 0.0
    stretch: float = 1.0
    mirror: bool = False
    eye_shift: tuple[float, float] = (0.0, 0.0)
    snout_shift: tuple[float, float] = (0.0, 0.0)
    eye_size: float = 1.0
    iris: int = 24
    pupil: int = 6
    glint: int = 250
    pupil_size: float = 0.42
    fur: int = 46
    light: float = 1.0
    gamma: float = 1.0
    texture: float = 0.5
    background: int = 3
    clutter: int = 2
    patches: float = 0.15
    whiskers: int = 12
    whisker_contrast: float = 0.7
    blur: float = 1.0
    noise: float = 2.0
    movement: float = 1.0
    blink_probability: float = 0.4
    paw_probability: float = 0.25

    @classmethod
    def typical(cls, seed: int) -> FaceParameters:
        """Return a mouse as a careful experimenter would film it: nose left, dark background, small differences."""
        rng = np.random.default_rng([seed, 0xFACE])
        low_high = rng.uniform
        return cls(
            scale=low_high(0.88, 1.04),
            x=low_high(-0.6, 0.6),
            y=low_high(-0.6, 0.6),
            rotation_deg=low_high(-5, 5),
            stretch=low_high(0.96, 1.04),
            eye_shift=(low_high(-12, 12), low_high(-8, 8)),
            snout_shift=(low_high(-12, 12), low_high(-10, 10)),
            eye_size=low_high(0.9, 1.1),
            iris=int(low_high(16, 48)),
            pupil=int(low_high(2, 9)),
            glint=int(low_high(220, 256)),
            pupil_size=low_high(0.32, 0.5),
            fur=int(low_high(34, 70)),
            light=low_high(0.7, 1.2),
            gamma=low_high(0.85, 1.15),
            texture=low_high(0.35, 0.65),
            background=int(low_high(0, 10)),
            clutter=int(rng.integers(0, 4)),
            patches=low_high(0.05, 0.25),
            whiskers=int(rng.integers(9, 15)),
            whisker_contrast=low_high(0.5, 0.9),
            blur=low_high(0.6, 1.4),
            noise=low_high(1.0, 3.0),
            blink_probability=low_high(0.2, 0.6),
            paw_probability=low_high(0.1, 0.4),
        )

    @classmethod
    def randomised(cls, seed: int) -> FaceParameters:
        """Return a mouse from a much wider range, for training a network that must find faces it has not seen."""
        rng = np.random.default_rng([seed, 0xD0A1])
        low_high = rng.uniform
        bright = bool(rng.random() < 0.25)
        return cls(
            scale=low_high(0.65, 1.3),
            x=low_high(-1, 1),
            y=low_high(-1, 1),
            rotation_deg=float(np.clip(rng.normal(0, 9), -22, 22)),
            stretch=low_high(0.85, 1.18),
            mirror=bool(rng.random() < 0.5),
            eye_shift=(low_high(-40, 40), low_high(-25, 25)),
            snout_shift=(low_high(-40, 40), low_high(-30, 30)),
            eye_size=low_high(0.75, 1.25),
            iris=int(low_high(8, 90)),
            pupil=int(low_high(0, 16)),
            glint=int(low_high(120, 256)),
            pupil_size=low_high(0.2, 0.62),
            fur=int(low_high(22, 120)),
            light=low_high(0.25, 1.5),
            gamma=low_high(0.7, 1.4),
            texture=low_high(0.15, 0.9),
            background=int(low_high(60, 200) if bright else low_high(0, 40)),
            clutter=int(rng.integers(0, 8)),
            patches=low_high(0, 0.7),
            whiskers=int(rng.integers(3, 26)),
            whisker_contrast=low_high(0.2, 1.0),
            blur=low_high(0.4, 3.0),
            noise=low_high(0.5, 8.0),
            movement=low_high(0.6, 1.4),
            blink_probability=low_high(0.2, 0.8),
            paw_probability=low_high(0.1, 0.5),
        )

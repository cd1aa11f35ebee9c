"""The records that travel through rtface: frozen, with units and frames of reference said once, here.

Pixel coordinates are of the full camera frame: origin at the centre of the top left pixel, x to the right,
y down, pixel centres at integers. Times are nanoseconds of the host's monotonic clock unless said otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Image = NDArray[np.uint8]

FACEMAP_KEYPOINTS = (
    "eye(back)",
    "eye(bottom)",
    "eye(front)",
    "eye(top)",
    "lowerlip",
    "mouth",
    "nose(bottom)",
    "nose(r)",
    "nose(tip)",
    "nose(top)",
    "nosebridge",
    "paw",
    "whisker(I)",
    "whisker(III)",
    "whisker(II)",
)
"""Facemap's 15 keypoints in the order of its network's outputs and files (note I, III, II)."""


SHORT_STEP = 32
"""The shorter side of a network's input that is not square is a multiple of this many pixels."""

KNOWN_VIEW = 0.5
"""`Pose.view_ok` from which on a view is known."""

MINIMUM_CROP = 16
"""Smallest width and height in pixels of a crop that may be set."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of whole pixels of the full camera frame.

    Attributes
    ----------
    x, y : int
        The left and top pixel, inclusive.
    width, height : int
        Size in pixels, at least 1.
    mirrored : bool
        Whether the network is shown it mirrored, left for right; coordinates are those of the camera all the same.
    """

    x: int
    y: int
    width: int
    height: int
    mirrored: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, the order of numpy arrays."""
        return self.height, self.width

    @property
    def as_option(self) -> str:
        """As ``--crop`` takes it."""
        return f"{self.x},{self.y},{self.width},{self.height}{',mirrored' if self.mirrored else ''}"


@dataclass(frozen=True, slots=True)
class FrameMeta:
    """Identity and times of one frame, made by the camera and carried to every derived value.

    Attributes
    ----------
    frame_id : int
        Number given by the camera or its driver; a jump of more than one is a loss.
    exposure_ns : int
        When the exposure began. From the camera's clock, mapped to the host's, where there is one; else
        the arrival time (`CameraInfo.exposure_source` says which).
    arrival_ns : int
        When the frame was first known to this process, before any conversion.
    camera_ns : int or None
        The device's own time stamp in nanoseconds of its own clock, if it has one.
    trigger_id : int or None
        Number of the trigger that began the exposure, as the device counts them; one more than of the frame before unless
        the device could not take some. None from one that sends no count.
    exposure_us : float or None
        How long the exposure was, in microseconds, as the device measured it; None from one that does not send it.
    camera : str
        Name of the camera among those of its rig, whose frames are each numbered by themselves; empty for the only one.
    """

    frame_id: int
    exposure_ns: int
    arrival_ns: int
    camera_ns: int | None = None
    trigger_id: int | None = None
    exposure_us: float | None = None
    camera: str = ""


@dataclass(frozen=True, slots=True)
class Losses:
    """Frames lost so far in a session, by the place where they were lost.

    Attributes
    ----------
    camera : int
        Frames the camera says it did not deliver, or that were damaged.
    transport : int
        Gaps in the frame number between camera and host.
    ring : int
        Frames that a newer one displaced before the network could take them.
    publish : int
        Messages that could not be handed to the socket.
    transport_known : bool
        Whether `transport` counts all of them; a camera whose frames have no numbers, or numbers that stand still, loses
        frames unseen.
    missed_triggers : int or None
        Triggers that began no exposure, since the camera was busy: no frames that were lost. None where the camera
        sends no count of triggers.
    """

    camera: int = 0
    transport: int = 0
    ring: int = 0
    publish: int = 0
    transport_known: bool = True
    missed_triggers: int | None = None


@dataclass(frozen=True, slots=True)
class Stamps:
    """When a frame passed each stage, stamped where it happened and never rewritten.

    Attributes
    ----------
    exposure_ns, arrival_ns : int
        As in `FrameMeta`.
    taken_ns : int
        The processing thread took the frame out of the ring.
    prepared_ns : int
        Everything before the network (the frame's intensity levels) was done.
    inferred_ns : int
        The network's keypoints were in host memory.
    decided_ns : int
        Keypoints in pixels of the full frame, flags and all, were final.
    """

    exposure_ns: int
    arrival_ns: int
    taken_ns: int
    prepared_ns: int
    inferred_ns: int
    decided_ns: int


@dataclass(frozen=True, slots=True)
class Pose:
    """The keypoints of one frame.

    Attributes
    ----------
    frame : FrameMeta
        Which frame.
    stamps : Stamps
        When each stage was passed.
    xy : ndarray, shape (K, 2), float32
        Pixels of the full camera frame; NaN for a keypoint that the network was never trained on.
    score : ndarray, shape (K,), float32
        In [0, 1], as the engine's manifest defines it; 0 for a keypoint that was never trained.
    outside : ndarray, shape (K,), bool
        The point lies outside the camera frame; its coordinates are not clamped.
    likelihood : ndarray, shape (K,), float32, or None
        Facemap's legacy likelihood (0.5 or more), from engines that have one: for its file format only.
    same_pictures : int
        How many frames in a row, this one included, have shown pixels in the crop that one of the last frames had shown.
    view_ok : float
        How far the frame shows a view that the engine knows: 0 to 1, as float32 holds it; 0.5 and more is known. NaN
        from an engine that keeps no view.
    """

    frame: FrameMeta
    stamps: Stamps
    xy: FloatArray
    score: FloatArray
    outside: NDArray[np.bool_]
    likelihood: FloatArray | None = None
    same_pictures: int = 1
    view_ok: float = math.nan


@dataclass(frozen=True, slots=True)
class Pulse:
    """A pulse, or a train of them.

    Attributes
    ----------
    on_ns : int
        How long each pulse is.
    period_ns : int
        From the beginning of one to that of the next; `on_ns` for a single pulse.
    count : int
        How many pulses.
    amplitude : float
        In (0, 1], as part of the full power.
    """

    on_ns: int
    period_ns: int
    count: int
    amplitude: float

    @property
    def duration_ns(self) -> int:
        """From the beginning of the first pulse to the end of the last."""
        return (self.count - 1) * self.period_ns + self.on_ns


@dataclass(frozen=True, slots=True)
class Keypoint:
    """Name of a keypoint and whether the network was trained to find it on real frames."""

    name: str
    trained: bool = True


@dataclass(frozen=True, slots=True)
class TriggerInfo:
    """What begins the exposures of a camera that waits for triggers.

    Attributes
    ----------
    source : str
        The line, or ``Software``.
    rate_hz : float or None
        Triggers per second within a trial; None where they are irregular.
    longest_pause_s : float or None
        How long none may come before that is a fault, in seconds; None for ever.
    """

    source: str
    rate_hz: float | None
    longest_pause_s: float | None

    @property
    def longest_pause_ns(self) -> int | None:
        """`longest_pause_s` in nanoseconds."""
        return None if self.longest_pause_s is None else round(self.longest_pause_s * 1e9)


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """What a camera says of itself once it is open; every setting was read back from the device.

    Attributes
    ----------
    kind : str
        Name of the driver: ``simulated``, ``video``, ``images``, ``genicam``, ``aravis`` or ``opencv``.
    label : str
        What a person would call it: model and serial number, or a file's path.
    width, height : int
        Pixels of the frames it delivers (8-bit gray).
    rate_hz : float or None
        Frames per second, as read back; None where it is not known.
    frames : int or None
        How many frames there are in all, for a source that ends; None where it is not known or endless.
    live : bool
        True when frames come at their own pace and a slow reader must lose the oldest; False when the source
        waits for its reader and no frame may be lost.
    exposure_source : str
        ``camera`` when `FrameMeta.exposure_ns` comes from the camera, ``arrival`` when it is the arrival time.
    settings : dict
        Names and values that were read back, for the record.
    trigger : TriggerInfo or None
        What begins its exposures; None for a camera that runs at its own rate. `rate_hz` is then the triggers'.
    """

    kind: str
    label: str
    width: int
    height: int
    rate_hz: float | None
    frames: int | None
    live: bool
    exposure_source: str
    settings: dict[str, Any]
    trigger: TriggerInfo | None = None

"""The `camera:` section: where frames come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from rtface.config.section import Section, contradiction
from rtface.config.triggering import (
    SOFTWARE,
    ChunkName,
    LineSettings,
    PtpSettings,
    TriggerSettings,
    lines_differ,
)


class Faults(Section):
    """Faults that the simulated camera injects, as probabilities per frame."""

    lost: float = Field(0.0, ge=0, le=1)
    """Probability that a frame number is skipped."""
    late: float = Field(0.0, ge=0, le=1)
    """Probability that a frame is delivered late."""
    late_ms: float = Field(20.0, gt=0)
    """How late such a frame is, in milliseconds."""
    duplicated: float = Field(0.0, ge=0, le=1)
    """Probability that a frame's picture repeats the one before it."""
    black: float = Field(0.0, ge=0, le=1)
    """Probability that a frame is black."""
    disconnect_after: int | None = Field(None, ge=1)
    """The camera disappears after this many frames."""


class SimulatedCameraSettings(Section):
    """A rendered mouse face whose true keypoints are known."""

    kind: Literal["simulated"] = "simulated"
    width: int = Field(640, ge=64, le=8192)
    """Width of the frames in pixels."""
    height: int = Field(480, ge=64, le=8192)
    """Height of the frames in pixels."""
    rate_hz: float = Field(200.0, gt=0, le=100_000)
    """Frames per second."""
    paced: bool = True
    """Deliver at `rate_hz`; when false, as fast as the reader takes them, none lost."""
    seed: int = Field(0, ge=0)
    """The same seed gives the same mouse and the same movements."""
    repeat: int | None = Field(None, ge=1, le=4096)
    """Show only this many pictures, rendered beforehand, again and again: for rates that rendering cannot keep up with."""
    frames: int | None = Field(None, ge=1)
    """End after this many frames; endless when absent."""
    faults: Faults = Faults()
    trigger: TriggerSettings | None = None
    """Triggers, `source: Software`, in place of `rate_hz`."""
    reconnect_s: float = Field(0.0, ge=0)
    """How long a camera that was lost is tried to be opened anew, in seconds, disarmed; 0: it is the end of the service."""

    @property
    def frames_hz(self) -> float:
        """Frames per second: of the triggers, where there are some."""
        return self.rate_hz if self.trigger is None else self.trigger.expected_hz or self.rate_hz

    @model_validator(mode="after")
    def _triggers_are_simulated(self) -> SimulatedCameraSettings:
        if self.trigger is None:
            return self
        if self.trigger.source != SOFTWARE:
            raise contradiction(
                "a simulated camera has no lines; write Software", "camera", "trigger", "source"
            )
        if not self.paced:
            raise contradiction(
                "paced: false delivers without a trigger; remove one of the two", "camera", "paced"
            )
        return self


class VideoCameraSettings(Section):
    """A video file played as if it were a camera."""

    kind: Literal["video"]
    path: Path
    """The file, relative to the configuration file."""
    paced: bool = True
    """Play at the file's own rate (or `rate_hz`), dropping what is too slow; when false, every frame as fast as possible."""
    rate_hz: float | None = Field(None, gt=0, le=100_000)
    """Frames per second in place of the file's own, when paced."""
    loop: bool = False
    """Begin again at the end."""

    @model_validator(mode="after")
    def _rate_needs_pace(self) -> VideoCameraSettings:
        if self.rate_hz is not None and not self.paced:
            raise contradiction(
                "rate_hz says how fast to play the video, but paced: false plays it as fast as possible; "
                "remove one of the two",
                "camera",
                "rate_hz",
            )
        return self


class ImagesCameraSettings(Section):
    """A folder of images in the order of their names, played as if it were a camera."""

    kind: Literal["images"]
    path: Path
    """The folder, relative to the configuration file."""
    paced: bool = False
    """Play at `rate_hz`, dropping what is too slow; when false, every image as fast as possible."""
    rate_hz: float = Field(30.0, gt=0, le=100_000)
    """Images per second: gives image n its time in the recording, and the pace when paced."""
    loop: bool = False
    """Begin again at the end."""


NodeValue = bool | int | float | str
"""What a GenICam feature can be set to."""


def _kind_of_nodes(value: Any) -> str:
    return "[list]" if isinstance(value, list | tuple) else "[mapping]"


NodesChoice = Annotated[
    Annotated[dict[str, NodeValue], Tag("[mapping]")]
    | Annotated[tuple[dict[str, NodeValue], ...], Tag("[list]")],
    Discriminator(_kind_of_nodes),
]
"""GenICam features in their order: one map, or a list of maps, in which a selector may stand more than once."""


class MachineVisionSettings(Section):
    """What a rig sets of a machine-vision camera, by whichever library."""

    kind: Literal["genicam", "aravis"]
    serial: str | None = None
    """Serial number of the camera; may be absent when there is only one."""
    width: int | None = Field(None, ge=1)
    """Width in pixels; the camera's own when absent."""
    height: int | None = Field(None, ge=1)
    """Height in pixels; the camera's own when absent."""
    offset_x: int | None = Field(None, ge=0)
    """Left edge of the region of interest in sensor pixels."""
    offset_y: int | None = Field(None, ge=0)
    """Top edge of the region of interest in sensor pixels."""
    pixel_format: str = "Mono8"
    """Mono8 to Mono16, packed ones (Mono12p, Mono12Packed), Bayer of the same depths, RGB8 or BGR8; the upper 8 bits, as gray."""
    rate_hz: float | None = Field(None, gt=0)
    """Frames per second; the camera's own when absent."""
    exposure_us: float | None = Field(None, gt=0)
    """Exposure time in microseconds; the camera's own when absent."""
    gain: float | None = None
    """Gain in the camera's own unit, mostly dB; the camera's own when absent."""
    buffers: int = Field(8, ge=2, le=256)
    """Buffers announced to the driver."""
    trigger: TriggerSettings | None = None
    """What begins each exposure; the camera's own rate when absent."""
    lines: Annotated[tuple[LineSettings, ...], AfterValidator(lines_differ)] = ()
    """Its lines, such as an output that is high during the exposure."""
    chunks: tuple[ChunkName, ...] = ()
    """What it sends with each frame: `frame` and `trigger` counters (so that a missed trigger is told from a lost frame),
    `exposure` time, `timestamp`."""
    ptp: PtpSettings | None = None
    """Its clock follows a master's, and is watched; it is left alone when absent."""
    nodes: NodesChoice = Field(default_factory=dict)
    """Further GenICam features to set, by name, in this order, after the settings above: a map, or a list of maps, in which a
    selector may stand more than once; a command is executed with `true`. Those up to `UserSetLoad`, if it is there, come
    before everything else."""
    reconnect_s: float = Field(60.0, ge=0)
    """How long a camera that was lost is tried to be opened anew, in seconds, disarmed; 0: it is the end of the service."""

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if self.trigger is not None and self.rate_hz is not None:
            raise contradiction(
                "triggers begin the exposures, and camera.trigger.rate_hz says how often; remove it",
                "camera",
                "rate_hz",
            )
        return self

    @property
    def node_steps(self) -> tuple[tuple[str, NodeValue], ...]:
        """Name and value of each of `nodes`, in order."""
        maps = (self.nodes,) if isinstance(self.nodes, dict) else self.nodes
        return tuple(step for each in maps for step in each.items())


class GenicamCameraSettings(MachineVisionSettings):
    """A machine-vision camera behind a GenTL producer (GigE Vision, USB3 Vision, CoaXPress)."""

    kind: Literal["genicam"]
    producer: Path | None = None
    """The producer's .cti file; when absent, all in GENICAM_GENTL64_PATH. `viky` is the simulated one of the genicam package."""


class AravisCameraSettings(MachineVisionSettings):
    """A GigE Vision or USB3 Vision camera through Aravis, a library of Debian and Ubuntu: no vendor's producer."""

    kind: Literal["aravis"]
    simulated: bool = False
    """The camera that the library itself simulates, in place of real ones."""

    @model_validator(mode="after")
    def _no_chunks(self) -> Self:
        if self.chunks:
            raise contradiction("are not read by kind: aravis; use kind: genicam", "camera", "chunks")
        return self


class OpencvCameraSettings(Section):
    """A webcam or V4L device through OpenCV."""

    kind: Literal["opencv"]
    device: int | str = 0
    """Index or path of the device."""
    width: int | None = Field(None, ge=1)
    """Width in pixels; the device's own when absent."""
    height: int | None = Field(None, ge=1)
    """Height in pixels; the device's own when absent."""
    rate_hz: float | None = Field(None, gt=0)
    """Frames per second; the device's own when absent."""
    reconnect_s: float = Field(60.0, ge=0)
    """How long a camera that was lost is tried to be opened anew, in seconds, disarmed; 0: it is the end of the service."""


CameraSettings = Annotated[
    SimulatedCameraSettings
    | VideoCameraSettings
    | ImagesCameraSettings
    | GenicamCameraSettings
    | AravisCameraSettings
    | OpencvCameraSettings,
    Field(discriminator="kind"),
]

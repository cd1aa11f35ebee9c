"""The configuration of a rig: one YAML file, checked before anything is opened.

Every section refuses unknown keys. What a setting means, its unit and its default stand here and nowhere else:
`rtface config schema` prints them as JSON schema, and `rtface.rigfile` turns a violation into a message that
names the file, the line and the nearest right name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from rtface.budget import Budget
from rtface.defaults import LOOPBACK_CONTROL, LOOPBACK_KEYPOINTS
from rtface.errors import ConfigError
from rtface.records import MINIMUM_CROP, Crop


class Section(BaseModel):
    """A part of the configuration: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=False, use_attribute_docstrings=True, allow_inf_nan=False
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
            raise _contradiction(
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


class GenicamCameraSettings(Section):
    """A machine-vision camera behind a GenTL producer (GigE Vision, USB3 Vision, CoaXPress)."""

    kind: Literal["genicam"]
    producer: Path | None = None
    """The producer's .cti file; when absent, all in GENICAM_GENTL64_PATH. `viky` is the simulated one of the genicam package."""
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
    """Mono8, Mono10, Mono12 or Mono16; deeper ones are scaled to 8 bits by a fixed factor."""
    rate_hz: float | None = Field(None, gt=0)
    """Frames per second; the camera's own when absent."""
    exposure_us: float | None = Field(None, gt=0)
    """Exposure time in microseconds; the camera's own when absent."""
    gain: float | None = None
    """Gain in the camera's own unit, mostly dB; the camera's own when absent."""
    buffers: int = Field(8, ge=2, le=256)
    """Buffers announced to the producer."""
    nodes: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Further GenICam features to set, by name, in this order."""


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


CameraSettings = Annotated[
    SimulatedCameraSettings
    | VideoCameraSettings
    | ImagesCameraSettings
    | GenicamCameraSettings
    | OpencvCameraSettings,
    Field(discriminator="kind"),
]


class CropSettings(Section):
    """The part of the frame that shows the face; it should fill it."""

    x: int = Field(ge=0)
    """Left edge in pixels of the camera frame."""
    y: int = Field(ge=0)
    """Top edge in pixels of the camera frame."""
    width: int = Field(ge=MINIMUM_CROP)
    """Width in pixels."""
    height: int = Field(ge=MINIMUM_CROP)
    """Height in pixels."""

    def to_crop(self) -> Crop:
        """Return the crop as the record that the rest of rtface uses."""
        return Crop(self.x, self.y, self.width, self.height)


class BackendSettings(Section):
    """Where and how the network runs."""

    name: Literal["auto", "tensorrt", "openvino", "torch"] = "auto"
    """`auto` takes the first that can run here, a GPU's before a CPU's, and says which and why."""
    precision: Literal["engine", "f32", "bf16", "f16"] = "engine"
    """Arithmetic of the network; `engine` is what the engine's manifest asks for on a CPU, and half precision for a
    float engine on a GPU. Never changed silently."""
    threads: int | None = Field(None, ge=1, le=256)
    """Threads of the network on a CPU; the back end's own choice when absent."""
    device: str | None = None
    """The back end's name of the device: CPU, cuda:1. When absent CPU, or the first GPU."""


class PublishSettings(Section):
    """Where keypoints and status go out, and who may command."""

    keypoints: str = LOOPBACK_KEYPOINTS
    """ZeroMQ address that the keypoints and the status are published on; port * takes a free one."""
    control: str = LOOPBACK_CONTROL
    """ZeroMQ address of the control socket; port * takes a free one."""
    keys: Path | None = None
    """Folder made by `rtface keys new`; needed for any address beyond loopback."""
    queue: int = Field(1000, ge=100, le=1_000_000)
    """Messages kept for a slow subscriber before they are dropped for it; a keen one may need some hundred."""


class LatencySettings(Section):
    """The latency that the rig is held to."""

    deadline_ms: float = Field(10.0, gt=0)
    """From exposure to published keypoints, in milliseconds; later ones are counted as deadline misses."""
    budget: str | None = None
    """Such as `p99 < 15 ms`: what exposure to the hand-over to the output must keep, or the session is disarmed."""
    budget_frames: int = Field(1000, ge=10, le=1_000_000)
    """How many of the last frames the budget is held against."""

    @field_validator("budget")
    @classmethod
    def _is_a_budget(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                Budget.parse(text)
            except ConfigError as error:
                raise ValueError(str(error)) from error
        return text


class SessionSettings(Section):
    """What is recorded of each run, beside what is published."""

    folder: Path
    """Folder, relative to the configuration file, in which each session gets a folder of its own."""
    frames: Literal["none", "h264", "lossless", "ffv1"] = "none"
    """How frames are recorded: not at all; H.264 that looks the same; H.264 or FFV1 that are the same to the last bit, as
    an exact replay of the network needs."""
    min_free_gb: float = Field(2.0, ge=0)
    """With less room than this on the disk, in GB, no session begins, and one that runs is disarmed."""
    stall_s: float = Field(2.0, gt=0)
    """A disk that does not answer for this many seconds is a fault, and disarms."""


class _Output(Section):
    """What every output has."""

    liveness_ms: float = Field(250.0, ge=20, le=5000)
    """Without a sign of life of the thread that decides for this many milliseconds, the output is disarmed."""


class UnguardedOutput(_Output):
    """An output whose device has no limits or dead-man of its own; those here are kept by this computer alone."""

    allow_unguarded: bool = False
    """Allow arming although nothing turns the light off when this computer hangs or rtface is killed."""
    max_on_ms: float = Field(20.0, gt=0, le=60_000)
    """Longest pulse in milliseconds; longer ones are refused."""
    min_off_ms: float = Field(10.0, ge=0, le=600_000)
    """Shortest time in milliseconds between two pulses."""
    max_pulses: int = Field(1000, ge=1)
    """Most pulses while the output is open."""


class NullOutputSettings(_Output):
    """No output: every pulse is accepted, none is lit."""

    kind: Literal["null"] = "null"


class LogOutputSettings(_Output):
    """No light: what would be lit goes into a file."""

    kind: Literal["log"]
    path: Path
    """A text file, appended to, one JSON object a line."""


class GateOutputSettings(_Output):
    """The safety gate: limits and dead-man in a microcontroller between this computer and the light."""

    kind: Literal["gate"]
    port: str
    """Its serial port: /dev/serial/by-id/..., which stays the same when it is plugged in elsewhere."""
    heartbeat_ms: float = Field(10.0, ge=2, le=20)
    """Interval of the heartbeats; the gate's dead-man must be several times longer."""
    answer_ms: float = Field(20.0, ge=2, le=500)
    """How long to wait for the answer to a command before it is sent again, up to three times."""
    silence_ms: float = Field(200.0, ge=50, le=5000)
    """A gate that answers nothing for this long is lost."""
    open_s: float = Field(5.0, ge=0.5, le=60)
    """How long to wait for the gate after opening its port; an Uno is reset by that and takes two seconds."""
    build: Literal["packaged", "any"] = "packaged"
    """Refuse a gate with other firmware than this rtface's own, or accept any that speaks its protocol."""


class PulsePalOutputSettings(UnguardedOutput):
    """A Pulse Pal: times each train by itself, so a train ends even without this computer."""

    kind: Literal["pulsepal"]
    port: str
    """Its serial port."""
    channel: int = Field(1, ge=1, le=4)
    """The output channel of the light."""
    volts: float = Field(5.0, gt=0, le=10)
    """Voltage of amplitude 1."""


class LineOutputSettings(UnguardedOutput):
    """A serial device with text commands for on and off, timed by this computer."""

    kind: Literal["line"]
    port: str
    """Its serial port."""
    baud: int = Field(115_200, ge=300, le=12_000_000)
    """Bits per second."""
    light_on: str
    """Turns the light on, line end included. {amplitude} is 0 to 255, {percent} 0 to 100, {on_us} the pulse's length."""
    light_off: str
    """Turns it off, whatever it was; sent at the beginning and the end too."""
    ready_s: float = Field(0.0, ge=0, le=30)
    """How long the device needs after its port was opened (an Arduino starts anew: 2)."""


class DaqOutputSettings(UnguardedOutput):
    """A National Instruments device: trains timed by its hardware (`pip install rtface[daq]`)."""

    kind: Literal["daq"]
    channel: str
    """A counter (Dev1/ctr0: full light or none) or an analogue output (Dev1/ao0: any amplitude)."""
    volts: float = Field(5.0, gt=0, le=10)
    """Voltage of amplitude 1 on an analogue output."""
    rate_hz: float = Field(10_000.0, ge=1000, le=1_000_000)
    """Samples per second of an analogue output: pulses are rounded to them."""


OutputSettings = Annotated[
    NullOutputSettings
    | LogOutputSettings
    | GateOutputSettings
    | PulsePalOutputSettings
    | LineOutputSettings
    | DaqOutputSettings,
    Field(discriminator="kind"),
]


class ArmingSettings(Section):
    """Who may allow light, and what ends it."""

    clients: bool = True
    """Whether clients may arm; if not, only the operator at the terminal of `rtface run`. Anybody may disarm."""
    frame_timeout_ms: float = Field(500.0, ge=50, le=60_000)
    """While armed, a longer time without a frame disarms."""


class EncoderSettings(Section):
    """Neural activity predicted from the face, live."""

    path: Path
    """Folder of an encoder (made by `rtface encoder fit`), relative to the configuration file; `simulated-mouse` is the
    one of a simulated population that comes with rtface."""
    states: Path | None = None
    """A state model of its latents (.npz), relative to the configuration file; the encoder's own when absent."""
    outputs: int = Field(16, ge=1, le=1024)
    """How many of its components, the first ones, are published, recorded and known to rules: neural.pc1, ..."""
    latents: tuple[int, ...] = Field((), max_length=1024)
    """Numbers (from 0) of latents that rules may name too and that are recorded: neural.latent7."""
    neurons: tuple[int, ...] = Field((), max_length=4096)
    """Numbers (from 0) of neurons that are read out and published at the rate of the recording."""
    publish_hz: float | None = Field(None, gt=0)
    """Predictions published a second, at most; each one when absent."""
    min_score: float = Field(0.0, ge=0, le=1)
    """Keypoints of a lower score count as not seen. 0 is how encoders are trained."""


def _contradiction(message: str, *at: str) -> PydanticCustomError:
    """Return the error of two settings that exclude each other; `at` is the one whose line to name."""
    return PydanticCustomError("contradiction", "{text}", {"text": message, "at": at})


class Rig(Section):
    """A whole rig: camera, crop, engine, back end, addresses, deadline, output, rules, record."""

    camera: CameraSettings = SimulatedCameraSettings()
    crop: CropSettings | None = None
    """The face in the frame; the whole frame when absent."""
    engine: str = "default"
    """Name of an installed engine, or the path of an engine's folder."""
    backend: BackendSettings = BackendSettings()
    slots: int = Field(6, ge=3, le=1024)
    """Frames that the ring between camera and network can hold."""
    silence_s: float | None = Field(10.0, gt=0)
    """A camera that delivers nothing for this many seconds is lost; null for one that waits for triggers."""
    publish: PublishSettings = PublishSettings()
    latency: LatencySettings = LatencySettings()
    session: SessionSettings | None = None
    """What is recorded; nothing when absent."""
    output: OutputSettings = NullOutputSettings()
    """What makes light."""
    rules: Path | None = None
    """The rules file, relative to the configuration file; nothing is decided when absent."""
    arming: ArmingSettings = ArmingSettings()
    encoder: EncoderSettings | None = None
    """Predicts neural activity from the keypoints; nothing is predicted when absent."""

    @model_validator(mode="after")
    def _addresses_differ(self) -> Rig:
        same = self.publish.keypoints == self.publish.control
        if same and not self.publish.keypoints.endswith(":*"):
            raise _contradiction(
                "publish.keypoints and publish.control are the same address", "publish", "control"
            )
        return self

    @model_validator(mode="after")
    def _crop_fits_the_camera(self) -> Rig:
        camera, crop = self.camera, self.crop
        if crop is None or not isinstance(camera, SimulatedCameraSettings | GenicamCameraSettings):
            return self
        for end, size, axis in (
            (crop.x + crop.width, camera.width, "width"),
            (crop.y + crop.height, camera.height, "height"),
        ):
            if size is not None and end > size:
                raise _contradiction(f"ends at pixel {end}, beyond camera.{axis} {size}", "crop", axis)
        return self

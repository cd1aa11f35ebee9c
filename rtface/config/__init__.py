"""The configuration of a rig: one YAML file, checked before anything is opened.

Every section refuses unknown keys. What a setting means, its unit and its default stand here and nowhere else:
`rtface config schema` prints them as JSON schema, and `rtface.config.yamlfile` turns a violation into a message that
names the file, the line and the nearest right name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from rtface.config.bridges import (
    BridgeSettings,
    JsonBridgeSettings,
    LslBridgeSettings,
    OpenEphysBridgeSettings,
    OscBridgeSettings,
)
from rtface.config.cameras import (
    AravisCameraSettings,
    CameraSettings,
    Faults,
    GenicamCameraSettings,
    ImagesCameraSettings,
    MachineVisionSettings,
    OpencvCameraSettings,
    SimulatedCameraSettings,
    VideoCameraSettings,
)
from rtface.config.outputs import (
    DaqOutputSettings,
    GateOutputSettings,
    LineOutputSettings,
    LogOutputSettings,
    NullOutputSettings,
    OutputSettings,
    PulsePalOutputSettings,
    UnguardedOutput,
)
from rtface.config.section import Section, contradiction
from rtface.config.triggering import LineSettings, PtpSettings, TrialSettings, TriggerSettings
from rtface.core.budget import Budget
from rtface.core.defaults import LOOPBACK_CONTROL, LOOPBACK_KEYPOINTS, LOOPBACK_PICTURES
from rtface.core.errors import ConfigError, UsageError
from rtface.core.records import MINIMUM_CROP, Crop

__all__ = [
    "AnimalSettings",
    "AravisCameraSettings",
    "ArmingSettings",
    "BackendSettings",
    "BridgeSettings",
    "CameraSettings",
    "CropSettings",
    "DaqOutputSettings",
    "EncoderSettings",
    "Faults",
    "GateOutputSettings",
    "GenicamCameraSettings",
    "ImagesCameraSettings",
    "JsonBridgeSettings",
    "LatencySettings",
    "LineOutputSettings",
    "LineSettings",
    "LogOutputSettings",
    "LslBridgeSettings",
    "MachineVisionSettings",
    "NullOutputSettings",
    "OpenEphysBridgeSettings",
    "OpencvCameraSettings",
    "OscBridgeSettings",
    "OutputSettings",
    "PicturesSettings",
    "PtpSettings",
    "PublishSettings",
    "PulsePalOutputSettings",
    "Rig",
    "Section",
    "SessionSettings",
    "SimulatedCameraSettings",
    "TrialSettings",
    "TriggerSettings",
    "UnguardedOutput",
    "VideoCameraSettings",
    "contradiction",
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
    mirrored: bool = False
    """Whether the network is shown the crop mirrored; coordinates stay the camera's."""

    def to_crop(self) -> Crop:
        """Return the crop as the record that the rest of rtface uses."""
        return Crop(self.x, self.y, self.width, self.height, self.mirrored)


def _kind_of_crop(value: object) -> str:
    return "auto" if isinstance(value, str) else "[numbers]"


CropChoice = Annotated[
    Annotated[CropSettings, Tag("[numbers]")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(_kind_of_crop),
]
"""Numbers, or `auto`: the face is found at the start."""


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


class PicturesSettings(Section):
    """Pictures for who looks on: made and sent only while somebody subscribes to them."""

    address: str = LOOPBACK_PICTURES
    """ZeroMQ address that pictures are published on, with the keys of publish.keys; port * takes a free one."""
    per_second: float = Field(30.0, gt=0, le=240)
    """Pictures published a second, at most, of each kind (whole frame, crop)."""
    quality: int = Field(80, ge=10, le=95)
    """JPEG quality."""
    width: int = Field(960, ge=64, le=4096)
    """Longer side of a picture in pixels, at most; larger ones are scaled down, smaller ones stay as they are."""


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
    features_hz: float = Field(60.0, ge=0, le=1000)
    """Features and rules published a second, at most, while somebody subscribes to them; never when 0."""
    pictures: PicturesSettings | None = None
    """Pictures of the camera; none when absent."""
    bridges: tuple[BridgeSettings, ...] = ()
    """Other forms in which what is published goes out (json, osc, lsl, openephys), each by a process of its own."""

    @property
    def addresses(self) -> dict[tuple[str, ...], str]:
        """Every ZeroMQ address that is bound, by where it stands in this section."""
        found: dict[tuple[str, ...], str] = {
            ("keypoints",): self.keypoints,
            ("control",): self.control,
        }
        if self.pictures is not None:
            found["pictures", "address"] = self.pictures.address
        for place, bridge in enumerate(self.bridges):
            if isinstance(bridge, JsonBridgeSettings | OscBridgeSettings):
                found["bridges", str(place), "address"] = bridge.address
        return found

    @field_validator("bridges")
    @classmethod
    def _one_of_a_kind(cls, bridges: tuple[BridgeSettings, ...]) -> tuple[BridgeSettings, ...]:
        kinds = [each.kind for each in bridges]
        for place, kind in enumerate(kinds):
            if kind in kinds[:place]:
                text = f"there is one of kind {kind} already, which is enough for any number of readers"
                raise contradiction(text, "publish", "bridges", str(place), "kind")
        return bridges


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
    subject: str | None = Field(None, min_length=1, max_length=100)
    """The animal, as the lab calls it; its light is added up over sessions (arming.animal)."""


class AnimalSettings(Section):
    """How much light one animal may have, over the sessions in session.folder."""

    max_s: float = Field(gt=0)
    """With this many seconds of light or more nobody can arm."""
    warn_s: float | None = Field(None, gt=0)
    """With this many seconds arming warns; never when absent."""
    hours: float = Field(24.0, gt=0, le=24 * 366)
    """Sessions that began in the last so many hours count."""


class ArmingSettings(Section):
    """Who may allow light, and what ends it."""

    clients: bool = True
    """Whether clients may arm; if not, only the operator at the terminal of `rtface run`. Anybody may disarm."""
    frame_timeout_ms: float = Field(500.0, ge=50, le=60_000)
    """While armed, a longer time without a frame disarms."""
    any_view: bool = False
    """Whether to arm even while the engine does not know what the camera shows."""
    animal: AnimalSettings | None = None
    """Light of session.subject beyond which nobody can arm; not limited when absent."""
    alert: tuple[str, ...] | None = Field(None, min_length=1)
    """Program and arguments that are run, without a shell, when the loop faults or its device disarms by itself; the
    environment has RTFACE_EVENT, RTFACE_WHY and RTFACE_SERVICE."""


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


def _setting(place: tuple[str, ...]) -> str:
    """Return the name of a setting of `publish` for messages: ``publish.bridges.1.address``."""
    return ".".join(("publish", *place))


class Rig(Section):
    """A whole rig: camera, crop, engine, back end, addresses, deadline, output, rules, record."""

    camera: CameraSettings = Field(examples=["camera: {kind: simulated} for the simulated mouse"])
    """Where frames come from; there is no default, for rules must never decide on a mouse that nobody chose."""
    crop: CropChoice | None = None
    """The face in the frame; `auto` finds it at the start; the whole frame when absent."""
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
    """Who may allow light, and what ends it."""
    encoder: EncoderSettings | None = None
    """Predicts neural activity from the keypoints; nothing is predicted when absent."""

    @property
    def fixed_crop(self) -> Crop | None:
        """The crop in numbers, None for the whole frame; `UsageError` where the face has yet to be found."""
        if self.crop == "auto":
            raise UsageError("the crop is auto: the face has not been found yet")
        return None if self.crop is None else self.crop.to_crop()

    @model_validator(mode="after")
    def _addresses_differ(self) -> Rig:
        seen: dict[str, tuple[str, ...]] = {}
        for place, address in self.publish.addresses.items():
            if address.endswith(":*"):
                continue
            if (other := seen.setdefault(address, place)) != place:
                raise contradiction(
                    f"{_setting(place)} and {_setting(other)} are the same address", "publish", *place
                )
        return self

    @model_validator(mode="after")
    def _bridges_can_be_reached(self) -> Rig:
        if self.publish.bridges:
            for place, address in self.publish.addresses.items():
                if place != ("control",) and address.startswith("inproc://"):
                    text = (
                        "inproc:// stays within one process, and a bridge is another; write ipc:// or tcp://"
                    )
                    raise contradiction(text, "publish", *place)
        return self

    @model_validator(mode="after")
    def _limits_of_an_animal_name_it(self) -> Rig:
        if self.arming.animal is not None and (self.session is None or self.session.subject is None):
            raise contradiction("needs session.subject, the animal", "arming", "animal")
        return self

    @model_validator(mode="after")
    def _crop_fits_the_camera(self) -> Rig:
        camera, crop = self.camera, self.crop
        if not isinstance(crop, CropSettings) or not isinstance(
            camera, SimulatedCameraSettings | MachineVisionSettings
        ):
            return self
        for end, size, axis in (
            (crop.x + crop.width, camera.width, "width"),
            (crop.y + crop.height, camera.height, "height"),
        ):
            if size is not None and end > size:
                raise contradiction(f"ends at pixel {end}, beyond camera.{axis} {size}", "crop", axis)
        return self

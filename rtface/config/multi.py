"""A rig of several cameras: `cameras:` in place of `camera:`, each with a crop, an engine and a back end of its own."""

from __future__ import annotations

import keyword
import re
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from rtface.config import (
    AravisCameraSettings,
    BackendSettings,
    CameraSettings,
    CropChoice,
    CropSettings,
    GenicamCameraSettings,
    ImagesCameraSettings,
    MachineVisionSettings,
    OpencvCameraSettings,
    Rig,
    RigSettings,
    Section,
    SimulatedCameraSettings,
    VideoCameraSettings,
    contradiction,
    crop_beyond,
)

MOST_CAMERAS = 8
"""Of one rig."""

LONGEST_NAME = 16

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN = frozenset(
    {"rule", "neural", "picture", "view", "baseline", "sd", "age", "score", "true", "false", "all"}
)
"""What already has a meaning in conditions, topics and files."""

_SETTINGS: TypeAdapter[CameraSettings] = TypeAdapter(CameraSettings)


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise contradiction(
            f"a camera's name is made of letters, digits and _, begins with a letter and has {LONGEST_NAME} characters at most"
        )
    if name.lower() in _TAKEN or keyword.iskeyword(name):
        raise contradiction(f"{name} means something else in conditions; take another name")
    return name


class AmongSeveral(Section):
    """What a camera among several has beside its own settings."""

    crop: CropChoice | None = None
    """The face in its frame; `auto` finds it at the start; the whole frame when absent."""
    engine: str | None = None
    """Name of an installed engine, or the path of an engine's folder; the rig's when absent."""
    backend: BackendSettings | None = None
    """Where and how its network runs; the rig's when absent."""
    cores: tuple[Annotated[int, Field(ge=0, le=1023)], ...] | None = Field(None, min_length=1)
    """Numbers of the processor's cores that its tracking process may use; its share of all when absent."""

    @property
    def camera(self) -> CameraSettings:
        """Its settings as those of the only camera of a rig."""
        own = self.model_dump(exclude_unset=True, exclude=set(AmongSeveral.model_fields))
        return _SETTINGS.validate_python(own | {"kind": cast(Any, self).kind})


class TrackedSimulatedCamera(SimulatedCameraSettings, AmongSeveral):
    """A rendered mouse face, among several cameras."""


class TrackedVideoCamera(VideoCameraSettings, AmongSeveral):
    """A video file played as if it were a camera, among several."""


class TrackedImagesCamera(ImagesCameraSettings, AmongSeveral):
    """A folder of images played as if it were a camera, among several."""


class TrackedGenicamCamera(GenicamCameraSettings, AmongSeveral):
    """A machine-vision camera behind a GenTL producer, among several."""


class TrackedAravisCamera(AravisCameraSettings, AmongSeveral):
    """A GigE Vision or USB3 Vision camera through Aravis, among several."""


class TrackedOpencvCamera(OpencvCameraSettings, AmongSeveral):
    """A webcam or V4L device, among several."""


TrackedCamera = Annotated[
    TrackedSimulatedCamera
    | TrackedVideoCamera
    | TrackedImagesCamera
    | TrackedGenicamCamera
    | TrackedAravisCamera
    | TrackedOpencvCamera,
    Field(discriminator="kind"),
]
CameraName = Annotated[str, AfterValidator(_checked_name)]


class SeveralCameras(Section):
    """The cameras of a rig that has several."""

    cameras: dict[CameraName, TrackedCamera] = Field(
        min_length=1,
        max_length=MOST_CAMERAS,
        examples=["cameras: {left: {kind: simulated}, right: {kind: simulated, seed: 1}}"],
    )
    """By name: each is tracked in a process of its own, and rules name its values by it (`left.nose.x`)."""


class MultiRig(RigSettings, SeveralCameras):
    """A whole rig of several cameras; all else as of `Rig`."""

    def of(self, name: str) -> Rig:
        """Return the rig as it would be with one camera alone, so that whatever concerns one can be asked of it."""
        tracked = self.cameras[name]
        shared = {each: getattr(self, each) for each in self.model_fields_set & set(RigSettings.model_fields)}
        shared |= {
            "engine": self.engine if tracked.engine is None else tracked.engine,
            "backend": self.backend if tracked.backend is None else tracked.backend,
        }
        return Rig(camera=tracked.camera, crop=tracked.crop, **shared)

    @model_validator(mode="after")
    def _names_differ(self) -> MultiRig:
        seen: dict[str, str] = {}
        for name in self.cameras:
            if name.lower() in seen:
                raise contradiction(
                    f"{seen[name.lower()]} and {name} differ in case alone, which files may not",
                    "cameras",
                    name,
                )
            seen[name.lower()] = name
        return self

    @model_validator(mode="after")
    def _devices_differ(self) -> MultiRig:
        seen: dict[tuple[Any, ...], str] = {}
        for name, camera in self.cameras.items():
            device = _device(camera)
            if device is None:
                continue
            if device in seen:
                raise contradiction(
                    f"is the same camera as {seen[device]}: {_in_words(device)}", "cameras", name
                )
            seen[device] = name
        machine_vision = {
            name: each for name, each in self.cameras.items() if isinstance(each, MachineVisionSettings)
        }
        for name, one in machine_vision.items():
            if len(machine_vision) > 1 and one.serial is None:
                raise contradiction("needs serial: there is more than one such camera", "cameras", name)
        return self

    @model_validator(mode="after")
    def _crops_fit(self) -> MultiRig:
        for name, each in self.cameras.items():
            if (beyond := crop_beyond(each, each.crop)) is not None:
                end, size, axis = beyond
                raise contradiction(
                    f"ends at pixel {end}, beyond cameras.{name}.{axis} {size}", "cameras", name, "crop", axis
                )
        return self

    @model_validator(mode="after")
    def _one_camera_alone(self) -> MultiRig:
        if self.encoder is not None:
            raise contradiction(
                "an encoder predicts from one camera's keypoints; it does not go with cameras", "encoder"
            )
        return self

    @model_validator(mode="after")
    def _bridges_take_one(self) -> MultiRig:
        if self.publish.bridges:
            raise contradiction(
                "hand on one camera's keypoints yet; leave them out with cameras", "publish", "bridges"
            )
        return self

    @model_validator(mode="after")
    def _addresses_of_pictures_are_free(self) -> MultiRig:
        others = {self.publish.keypoints, self.publish.control}
        for name, address in self.picture_addresses.items():
            if not address.endswith(":*") and address in others:
                raise contradiction(
                    f"pictures of {name} would be published at {address}, where something else is: each camera has the "
                    "port after that of the one before it",
                    *("publish", "pictures"),
                )
        return self

    @property
    def picture_addresses(self) -> dict[str, str]:
        """Where each camera's pictures are published: the first at the address, each other at the port after; empty without."""
        pictures = self.publish.pictures
        if pictures is None:
            return {}
        return {name: _behind(pictures.address, number) for number, name in enumerate(self.cameras)}

    def with_crops(self, crops: dict[str, CropSettings]) -> MultiRig:
        """Return the rig with other crops of some of its cameras."""
        cameras = {
            name: each.model_copy(update={"crop": crops[name]}) if name in crops else each
            for name, each in self.cameras.items()
        }
        return self.model_copy(update={"cameras": cameras})


def _behind(address: str, number: int) -> str:
    """Return an address so many ports, or so many files, behind one; a free port is any."""
    head, colon, port = address.rpartition(":")
    if not number or port == "*":
        return address
    return f"{head}{colon}{int(port) + number}" if port.isdigit() else f"{address}-{number}"


def _device(camera: TrackedCamera) -> tuple[Any, ...] | None:
    """Return what a device is known by; None for what can be opened any number of times, or is not known by anything."""
    match camera:
        case MachineVisionSettings(serial=str() as serial):
            return camera.kind, "serial", serial
        case OpencvCameraSettings():
            return camera.kind, "device", str(camera.device).removeprefix("/dev/video")
    return None


def _in_words(device: tuple[Any, ...]) -> str:
    _, field, value = device
    return f"{field} {value}"

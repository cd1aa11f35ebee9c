"""What a session is run with, as its recorder is given it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rtface.core.records import CameraInfo, Crop, Keypoint
from rtface.record.session.entries import ConfigurationEntry, Entry, HashesEntry, TrackedEntry


@dataclass(frozen=True)
class CameraSetup:
    """What one of several cameras is run with; fields as of `Setup`, and its `name`."""

    name: str
    keypoints: Sequence[Keypoint]
    score_definition: str
    camera: CameraInfo
    engine: str
    backend: Mapping[str, Any]
    crop: Crop
    features: Sequence[str] = ()
    given: Sequence[str] = ()
    units: Sequence[str] = ()
    rate_hz: float | None = None


@dataclass(frozen=True)
class Setup:
    """What a session is run with.

    Attributes
    ----------
    rig : str
        The rig's resolved configuration as text.
    keypoints : sequence of Keypoint
        In the order of the poses.
    score_definition : str
        What a keypoint's score means.
    camera : CameraInfo
        The open camera.
    engine : str
        Name of the engine.
    backend : mapping
        What runs it, as of `BackendInfo.as_dict`.
    crop : Crop
        The part of the frame that it is given.
    sha256 : mapping of str to str
        Of ``engine``, ``firmware`` and whatever else takes part; those of ``rig`` and ``rules`` are added.
    rules : str
        The rules file as text; empty without rules.
    resolved : str
        The rules as JSON that needs neither another file nor the camera; empty without rules.
    features, given : sequence of str
        Names of the features, and of further values that rules may use.
    units : sequence of str
        Of the features and the further values.
    rate_hz : float or None
        Frames per second that the features were made for.
    grace_ns, alike_ns : int
        As the rules were given it.
    blind : collection of str
        The rules whose light and shams nobody may tell apart: with any, what tells them apart is sealed.
    cameras : sequence of CameraSetup
        All cameras, where there are several; what is said of one above is then the first one's.
    """

    rig: str
    keypoints: Sequence[Keypoint]
    score_definition: str
    camera: CameraInfo
    engine: str
    backend: Mapping[str, Any]
    crop: Crop
    sha256: Mapping[str, str] = field(default_factory=dict)
    rules: str = ""
    resolved: str = ""
    features: Sequence[str] = ()
    given: Sequence[str] = ()
    units: Sequence[str] = ()
    rate_hz: float | None = None
    grace_ns: int = 0
    alike_ns: int = 0
    blind: Collection[str] = ()
    cameras: Sequence[CameraSetup] = ()


def only_camera(setup: Setup) -> CameraSetup:
    """Return what the only camera is run with."""
    return CameraSetup(
        "",
        setup.keypoints,
        setup.score_definition,
        setup.camera,
        setup.engine,
        setup.backend,
        setup.crop,
        setup.features,
        setup.given,
        setup.units,
        setup.rate_hz,
    )


def tracked_entry(now_ns: int, camera: CameraSetup, number: int) -> TrackedEntry:
    """Return what is recorded of one of several cameras at the beginning."""
    return TrackedEntry(
        now_ns,
        camera.name,
        number,
        tuple(each.name for each in camera.keypoints),
        tuple(each.trained for each in camera.keypoints),
        (*camera.features, *camera.given),
        tuple(camera.units),
        tuple(camera.given),
        camera.score_definition,
        camera.rate_hz,
        camera.camera.width,
        camera.camera.height,
    )


def said_of(camera: TrackedEntry, entry: Entry) -> Entry:
    """Return what an event of a session with several cameras would say of one that is alone."""
    if isinstance(entry, HashesEntry):
        own = f"{camera.camera_name}."
        return replace(
            entry, sha256={name.removeprefix(own): digest for name, digest in entry.sha256.items()}
        )
    if not isinstance(entry, ConfigurationEntry):
        return entry
    return replace(
        entry,
        keypoints=camera.keypoints,
        trained=camera.trained,
        features=camera.features,
        units=camera.units,
        given=camera.given,
        score_definition=camera.score_definition,
        rate_hz=camera.rate_hz,
    )

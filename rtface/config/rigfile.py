"""Reading a rig's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rtface.config import Rig
from rtface.config.multi import MultiRig
from rtface.config.yamlfile import Document, read_document
from rtface.core.defaults import SIMULATED_ENCODER
from rtface.core.errors import UsageError

_OF_CAMERA = ("path", "producer")
_PATHS = (
    ("publish", "keys"),
    ("output", "path"),
    ("rules",),
    ("session", "folder"),
    ("encoder", "path"),
    ("encoder", "states"),
)
_NAMES = ("viky", SIMULATED_ENCODER)
"""What may stand in place of a path and stays a name."""
_RIG = "a rig's configuration"
_RIG_SHAPE = "a rig is a map of sections such as camera: and engine:"


def load_rig(path: Path, camera: str | None = None) -> Rig:
    """Read and check the configuration of a rig that has one camera, or of one of its cameras.

    Paths in the file are relative to the file. ``camera.producer: viky`` and ``encoder.path: simulated-mouse`` stay names.

    Parameters
    ----------
    path : Path
        The rig's YAML file.
    camera : str or None
        Which of several cameras: the rig is returned as if it had that one alone.

    Raises
    ------
    ConfigError
        The file is missing or not YAML, a setting is unknown, of the wrong type, out of range or contradicts another, or the
        rig has several cameras and none of them is named. Each violation is named with file and line.
    UsageError
        There is no camera of that name.
    """
    if camera is not None:
        rig = load_any_rig(path)
        names = list(rig.cameras) if isinstance(rig, MultiRig) else []
        if not isinstance(rig, MultiRig) or camera not in names:
            there = ", ".join(names) or "one, without a name"
            raise UsageError(f"{path}: there is no camera {camera!r}; there are: {there}")
        return rig.of(camera)
    document = read_document(path, _RIG, shape=_RIG_SHAPE)
    if _has_several(document):
        raise document.refusal(
            "are several: this takes a rig with one camera, or the name of one (--camera)", "cameras"
        )
    return _resolve_paths(document.checked(Rig), path.parent)


def load_any_rig(path: Path) -> Rig | MultiRig:
    """Read and check the configuration of a rig, of one camera (`camera:`) or several (`cameras:`); else as `load_rig`."""
    rig = checked_rig(read_document(path, _RIG, shape=_RIG_SHAPE))
    return (
        _resolve_paths(rig, path.parent) if isinstance(rig, Rig) else _resolve_multi_paths(rig, path.parent)
    )


def checked_rig(document: Document) -> Rig | MultiRig:
    """Return what a rig's file holds, paths as they are written; `ConfigError` as of `load_any_rig`."""
    if not _has_several(document):
        return document.checked(Rig)
    if "camera" in document.values:
        raise document.refusal("camera and cameras exclude each other: a rig has one, or several", "camera")
    return document.checked(MultiRig)


def _has_several(document: Document) -> bool:
    return "cameras" in document.values


def _resolve_paths(rig: Rig, folder: Path) -> Rig:
    values = rig.model_dump(exclude_unset=True)  # what was not written stays so
    _resolve(values, folder)
    _resolve_camera(values["camera"], folder)
    return Rig.model_validate(values)


def _resolve_multi_paths(rig: MultiRig, folder: Path) -> MultiRig:
    values = rig.model_dump(exclude_unset=True)
    _resolve(values, folder)
    for camera in values["cameras"].values():
        _resolve_camera(camera, folder)
        _resolve_engine(camera, folder)
    return MultiRig.model_validate(values)


def _resolve(values: dict[str, Any], folder: Path) -> None:
    for *sections, key in _PATHS:
        inside: Any = values
        for section in sections:
            inside = inside.get(section) or {}
        _resolve_key(inside, key, folder)
    _resolve_engine(values, folder)


def _resolve_camera(values: dict[str, Any], folder: Path) -> None:
    for key in _OF_CAMERA:
        _resolve_key(values, key, folder)


def _resolve_key(values: dict[str, Any], key: str, folder: Path) -> None:
    value = values.get(key)
    if isinstance(value, Path) and not value.is_absolute() and str(value) not in _NAMES:
        values[key] = folder / value


def _resolve_engine(values: dict[str, Any], folder: Path) -> None:
    engine = values.get("engine")
    if engine is not None and "/" in engine and not Path(engine).is_absolute():
        values["engine"] = str(folder / engine)

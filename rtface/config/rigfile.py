"""Reading a rig's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rtface.config import Rig
from rtface.config.yamlfile import read_document
from rtface.core.defaults import SIMULATED_ENCODER

_PATHS = (
    ("camera", "path"),
    ("camera", "producer"),
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


def load_rig(path: Path) -> Rig:
    """Read and check a rig's configuration.

    Paths in the file are relative to the file. ``camera.producer: viky`` and ``encoder.path: simulated-mouse`` stay names.

    Raises
    ------
    ConfigError
        The file is missing or not YAML, or a setting is unknown, of the wrong type, out of range or contradicts
        another. Each violation is named with file and line.
    """
    return _resolve_paths(read_document(path, _RIG, shape=_RIG_SHAPE).checked(Rig), path.parent)


def _resolve_paths(rig: Rig, folder: Path) -> Rig:
    values = rig.model_dump(exclude_unset=True)  # what was not written stays so
    for *sections, key in _PATHS:
        inside: Any = values
        for section in sections:
            inside = inside.get(section) or {}
        value = inside.get(key)
        if isinstance(value, Path) and not value.is_absolute() and str(value) not in _NAMES:
            inside[key] = folder / value
    if "/" in rig.engine and not Path(rig.engine).is_absolute():
        values["engine"] = str(folder / rig.engine)
    return Rig.model_validate(values)

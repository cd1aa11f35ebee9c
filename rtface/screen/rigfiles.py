"""The rigs of the workspace: which files there are, and settings changed in them, shown first."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from rtface.config.changing import RigChange, changed_rig, write_rig_change
from rtface.config.rigfile import load_rig
from rtface.core.errors import ConfigError, UsageError
from rtface.screen.desk import Desk
from rtface.screen.folderwalk import files_below

_RIGS = (".yaml", ".yml")


def rigs_of(desk: Desk) -> list[dict[str, Any]]:
    """Return the rig files of the workspace: what is wrong with each, if anything is, its engine, and where it learns."""
    found = []
    for path in files_below(desk.folder, _looks_like_one):
        engine, fault = None, ""
        try:
            engine = load_rig(path).engine
        except ConfigError as error:
            fault = str(error)
        name = desk.name(path)
        found.append({"rig": name, "fault": fault, "engine": engine, "learning": learning_folder(name)})
    return found


def learning_folder(name: str) -> str:
    """Return the folder of the guided way of a rig's file."""
    return f"{PurePosixPath(name).with_suffix('')}-learn"


def crop_drawn_for(desk: Desk, folder: str) -> dict[str, Any] | None:
    """Return the crop in the file of the rig whose guided way a folder belongs to, and the file's name as ``rig``.

    None where the folder is of no rig, or the rig has no crop in numbers.
    """
    for rig in rigs_of(desk):
        if rig["fault"] or not PurePosixPath(folder).is_relative_to(rig["learning"]):
            continue
        crop = load_rig(rig_path(desk, rig["rig"])).fixed_crop
        return None if crop is None else asdict(crop) | {"rig": rig["rig"]}
    return None


def rig_path(desk: Desk, name: str) -> Path:
    """Return the path of a rig's file that a page names; `UsageError` where it cannot be one's."""
    path = desk.path(name)
    if path.suffix not in _RIGS:
        raise UsageError(f"{name}: a rig's file ends in .yaml")
    return path


def change_rig(desk: Desk, name: str, settings: Mapping[str, Any], *, seen: str = "") -> dict[str, Any]:
    """Return how a rig's file would change, or write it.

    Parameters
    ----------
    desk : Desk
    name : str
        Of the rig's file, in the workspace; it may not be there yet.
    settings : mapping
        As of `rtface.config.changing.changed_rig`.
    seen : str
        ``token`` of the difference that a person has seen: then it is written. Empty: it is shown alone.

    Raises
    ------
    ConfigError
        The change cannot be made, or is another than the one that was seen.
    """
    change = changed_rig(rig_path(desk, name), settings)
    token = _token(change)
    answer = {"rig": name, "difference": change.difference, "token": token, "written": False, "kept": None}
    if not seen or not change.difference:
        return answer
    if seen != token:
        raise ConfigError(f"{name} was changed meanwhile: look at the difference again")
    kept = write_rig_change(change)
    return answer | {"written": True, "kept": None if kept is None else desk.name(kept)}


def _token(change: RigChange) -> str:
    return hashlib.sha256(f"{change.before}\0{change.after}".encode("utf-8", "surrogatepass")).hexdigest()


def _looks_like_one(path: Path) -> bool:
    """Whether a file is YAML with the section that every rig has."""
    if path.suffix.lower() not in _RIGS:
        return False
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(100_000)
    except OSError:
        return False
    return any(line.startswith("camera:") for line in head.splitlines())

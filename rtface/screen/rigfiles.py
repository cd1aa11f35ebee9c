"""The rigs of the workspace: which files there are, and settings changed in them, shown first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rtface.config.changing import RigChange, changed_rig, write_rig_change
from rtface.config.rigfile import load_rig
from rtface.core.errors import ConfigError, UsageError
from rtface.screen.desk import Desk

_DEEPEST = 3
_MOST = 200
_RIGS = (".yaml", ".yml")


def files_below(folder: Path, suffixes: tuple[str, ...], *, deepest: int = _DEEPEST) -> Iterator[Path]:
    """Yield the files of some kinds in a folder and those below it, hidden ones left out; a bounded number."""
    found = 0
    folders = [(folder, 0)]
    while folders and found < _MOST:
        here, depth = folders.pop(0)
        try:
            entries = sorted(each for each in here.iterdir() if not each.name.startswith("."))
        except OSError:
            continue
        for each in entries:
            if each.is_dir() and not each.is_symlink():
                if depth < deepest:
                    folders.append((each, depth + 1))
            elif each.suffix.lower() in suffixes:
                found += 1
                yield each


def rigs_of(desk: Desk) -> list[dict[str, Any]]:
    """Return the rig files of the workspace: what is wrong with each, if anything is, its engine, and where it learns."""
    found = []
    for path in files_below(desk.folder, _RIGS):
        if not _looks_like_one(path):
            continue
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


def rig_path(desk: Desk, name: str) -> Path:
    """Return the path of a rig's file that a page names; `UsageError` where it cannot be one's."""
    path = desk.path(name)
    if path.suffix not in _RIGS:
        raise UsageError(f"{name}: a rig's file ends in .yaml")
    return path


def change_rig(
    desk: Desk, name: str, settings: Mapping[str, Any], *, seen: str | None = None
) -> dict[str, Any]:
    """Return how a rig's file would change, or write it.

    Parameters
    ----------
    desk : Desk
    name : str
        Of the rig's file, in the workspace; it may not be there yet.
    settings : mapping
        As of `rtface.config.changing.changed_rig`.
    seen : str or None
        ``token`` of the difference that a person has seen: then it is written.

    Raises
    ------
    ConfigError
        The change cannot be made, or is another than the one that was seen.
    """
    change = changed_rig(rig_path(desk, name), settings)
    token = _token(change)
    answer = {"rig": name, "difference": change.difference, "token": token, "written": False, "kept": None}
    if seen is None or not change.difference:
        return answer
    if seen != token:
        raise ConfigError(f"{name} was changed meanwhile: look at the difference again")
    kept = write_rig_change(change)
    return answer | {"written": True, "kept": None if kept is None else desk.name(kept)}


def _token(change: RigChange) -> str:
    return hashlib.sha256(f"{change.before}\0{change.after}".encode("utf-8", "surrogatepass")).hexdigest()


def _looks_like_one(path: Path) -> bool:
    """Whether a YAML file has the section that every rig has."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(100_000)
    except OSError:
        return False
    return any(line.startswith("camera:") for line in head.splitlines())

"""What lies where for a rig of the workspace: its file, its learning folder, its rules, pictures to look at."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rtface.acquire.picturefile import is_picture
from rtface.acquire.recording import is_video
from rtface.config import ImagesCameraSettings, Rig, VideoCameraSettings
from rtface.config.rigfile import load_rig
from rtface.core.errors import UsageError
from rtface.screen.desk import Desk
from rtface.screen.folderwalk import FolderWalk
from rtface.screen.rigfiles import learning_folder, rig_path

LOOKED = ".rtface/newrig"
"""Where in the workspace pictures lie that a page looks at."""

_RESTS_ON = {
    "camera": {"camera"},
    "crop": {"camera", "engine", "backend"},
    "engine": {"camera", "crop", "engine", "backend"},
    "verify": {"camera", "crop", "engine", "backend"},
    "rules": {"camera", "engine", "rules", "encoder"},
}
"""Sections of a rig's file, by step; those that are not named rest on all of it."""
_RESTS_ON_RULES = ("rules", "dry-run", "check")
RECORD_S = 60
"""Seconds that a camera is recorded for unless others are asked for."""

_RECORDED = 300
"""Pictures of such a recording."""

_KEPT = 4
_MOST_VIDEOS = 200
_MOST_FOLDERS = 50
_FEWEST_PICTURES = 5


@dataclass(frozen=True)
class RigPlaces:
    """Where what belongs to a rig lies; names are relative to the workspace.

    Attributes
    ----------
    desk : Desk
    name : str
        Of the rig's file.
    """

    desk: Desk
    name: str

    @property
    def path(self) -> Path:
        """The rig's file."""
        return rig_path(self.desk, self.name)

    @property
    def stem(self) -> str:
        """The file's name without its ending, with its folder."""
        return str(PurePosixPath(self.name).with_suffix(""))

    @property
    def learning(self) -> str:
        """The folder of the guided way of this rig."""
        return learning_folder(self.name)

    @property
    def recorded(self) -> str:
        """The folder of pictures that were recorded to choose frames from."""
        return f"{self.stem}-pictures"

    @property
    def rules(self) -> str:
        """The rules file that a template is written to."""
        return f"{self.stem}-rules.yaml"

    def load(self) -> Rig:
        """Return the rig; `ConfigError` where its file is none."""
        return load_rig(self.path)

    def recording(self, rig: Rig) -> str | None:
        """Return what frames can be chosen from: the recording that the rig plays, or what was recorded of its camera."""
        if isinstance(rig.camera, VideoCameraSettings | ImagesCameraSettings):
            return self.desk.name(rig.camera.path)
        return self.recorded if self.desk.path(self.recorded).is_dir() else None

    def digest(self, step: str, rig: Rig) -> str:
        """Return a hash of what the result of a step of the rig rests on: with another one it is to do again."""
        whole = hashlib.sha256(
            rig.model_dump_json(include=_RESTS_ON.get(step)).encode("utf-8", "surrogatepass")
        )
        if step in _RESTS_ON_RULES and rig.rules is not None and rig.rules.is_file():
            whole.update(rig.rules.read_bytes())
        return whole.hexdigest()

    def record_command(self, seconds: int) -> list[str]:
        """Return the command that records pictures of the camera, for frames to be chosen from."""
        wanted = ["--count", str(_RECORDED), "--seconds", str(seconds)]
        return ["cameras", "pictures", self.name, "--out", self.recorded, *wanted]

    def new_look(self) -> str:
        """Return a new folder for pictures to look at; the oldest of this rig's are deleted."""
        whole = self.desk.path(LOOKED) / self.stem.replace("/", "_")
        if whole.is_dir():
            older = sorted(whole.iterdir(), key=lambda each: each.stat().st_mtime)
            for each in older[: max(0, len(older) - _KEPT)]:
                shutil.rmtree(each, ignore_errors=True)
        return f"{LOOKED}/{whole.name}/{secrets.token_hex(6)}"


def looked_at(desk: Desk, name: str) -> Path:
    """Return a picture that a job saved to be looked at; `UsageError` where it is none."""
    path = desk.path(name)
    if not path.is_relative_to(desk.path(LOOKED)) or path.suffix != ".png" or not path.is_file():
        raise UsageError(f"{name} is no picture of a rig")
    return path


def recordings_of(desk: Desk) -> list[dict[str, Any]]:
    """Return the videos of the workspace, and its folders of images, by name."""
    videos: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for here, _, names in FolderWalk(desk.folder):
        paths = [here / name for name in names]
        videos += [
            {"path": desk.name(path), "kind": "video", "mb": round(path.stat().st_size / 1e6, 1)}
            for path in paths
            if is_video(path) and path.is_file()
        ]
        pictures = sum(map(is_picture, paths))
        if pictures >= _FEWEST_PICTURES and here != desk.folder:
            images.append({"path": desk.name(here), "kind": "images", "pictures": pictures})
    return [*videos[:_MOST_VIDEOS], *images[:_MOST_FOLDERS]]


def relative_to_rig(desk: Desk, rig: str, path: str) -> str:
    """Return a path of the workspace as it stands in a rig's file, relative to that file."""
    return Path(os.path.relpath(desk.path(path), rig_path(desk, rig).parent)).as_posix()

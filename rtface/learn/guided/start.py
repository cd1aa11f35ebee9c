"""What was asked for at the beginning of a guided way, and the file that keeps it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from rtface.core.errors import DataError
from rtface.core.files import kept_path, path_kept, read_fields, write_json
from rtface.core.records import Crop
from rtface.learn.labels.how_many import FRAMES_TO_LABEL
from rtface.learn.labels.keypoint_changes import KeypointChanges
from rtface.learn.labels.suggestion import recording_name
from rtface.track.store import user_folder

START_FILE = "start.json"


@dataclass(frozen=True, slots=True)
class GuidedStart:
    """What was asked for, once, at the beginning.

    Attributes
    ----------
    videos : tuple of Path
        Video files and folders of images of one rig.
    engine : str
        Name or folder of the engine to begin with.
    crop : Crop or None
        The face in the frames; settled once.
    name : str
        Of the engine that is to be; later attempts get a number behind it.
    count : int
        Frames to suggest.
    guesses : bool
        Whether to write the engine's points for DeepLabCut and napari as well.
    labels : tuple of Path
        Labels that lie elsewhere; then no frame is suggested.
    changes : KeypointChanges
        What is to become of the engine's keypoints.
    steps : int or None
        Most steps of a training; None: the recipe's.
    seed : int
        Of everything random.
    """

    videos: tuple[Path, ...]
    engine: str = "default"
    crop: Crop | None = None
    name: str = "rig-1"
    count: int = FRAMES_TO_LABEL
    guesses: bool = False
    labels: tuple[Path, ...] = ()
    changes: KeypointChanges = KeypointChanges()  # noqa: RUF009  (frozen)
    steps: int | None = None
    seed: int = 0


def default_folder(video: Path) -> Path:
    """Return the folder of the way from a recording: beside where the command runs."""
    return Path(f"{recording_name(video)}-learn")


def engine_name(videos: Sequence[Path]) -> str:
    """Return a name for the engine of a rig that is named after its recording, with the first number that no engine has."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", recording_name(videos[0]).lower()).strip("._-") if videos else ""
    return free_name(plain[:40] or "rig")


def free_name(stem: str) -> str:
    """Return an engine's name from a stem and the first number with which there is no engine yet."""
    return next(
        name for name in (f"{stem}-{each}" for each in count(1)) if not (user_folder() / name).exists()
    )


def kept_start(folder: Path) -> GuidedStart | None:
    """Return what was asked for in a folder; None where nothing was.

    Raises
    ------
    DataError
        The file is damaged, or the folder holds something else; named with the field.
    """
    file = folder / START_FILE
    if not file.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(
                f"{folder} holds files but no {START_FILE}: not begun here; name another --folder"
            )
        return None
    kept = read_fields(file)
    try:
        crop, changes = kept["crop"], kept["changes"]
        return GuidedStart(
            videos=tuple(map(path_kept, kept["videos"])),
            engine=str(kept["engine"]),
            crop=None if crop is None else Crop(**crop),
            name=str(kept["name"]),
            count=int(kept["count"]),
            guesses=bool(kept["guesses"]),
            labels=tuple(map(path_kept, kept["labels"])),
            changes=KeypointChanges(
                renames=dict(changes["renames"]),
                only=tuple(changes["only"]),
                only_labels=bool(changes["only_labels"]),
                add=tuple(changes["add"]),
                drop=tuple(changes["drop"]),
            ),
            steps=kept["steps"],
            seed=int(kept["seed"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{file}: {error!r}: the file is damaged; correct it, or begin in another --folder"
        ) from error


def write_start(folder: Path, start: GuidedStart) -> None:
    """Keep what was asked for; `DataError` where it cannot be written."""
    what = asdict(start) | {
        "videos": list(map(kept_path, start.videos)),
        "labels": list(map(kept_path, start.labels)),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / START_FILE, what)
    except OSError as error:
        raise DataError(f"{folder / START_FILE} cannot be written: {error.strerror or error}") from error

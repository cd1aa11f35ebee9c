"""What a network finds on the frames of a label set: kept beside the labels, in a file of its own, and never a label.

A guess becomes a label by a person's act alone, which then stands in the journal with the engine's name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from rtface.config import BackendSettings
from rtface.core.errors import DataError
from rtface.core.files import written_whole
from rtface.core.geometry import outside
from rtface.core.records import Crop
from rtface.learn.labels.formats.checks import read_image
from rtface.screen.label.project import LabelProject
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

GUESSES = PurePosixPath("labelling/guesses.json")
"""Where in a label set's folder the guesses are."""

_KEPT_EVERY = 25

Guess = tuple[float, float, float]
"""x and y in pixels of the frame, and the score."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """An engine's guesses.

    Attributes
    ----------
    engine, engine_sha256 : str
    crop : dict or None
        What the network was shown of each frame; None for the whole.
    points : dict
        By the short names of frame and keypoint.
    """

    engine: str
    engine_sha256: str
    crop: dict[str, int] | None
    points: dict[str, dict[str, Guess]]


def guess(
    project: LabelProject,
    engine: Engine,
    settings: BackendSettings,
    crop: Crop | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, of: None,
    stop: Callable[[], bool] = lambda: False,
) -> Guesses:
    """Find the keypoints of all frames that have no guesses of this engine and crop yet; what was found is kept as it goes.

    Parameters
    ----------
    project : LabelProject
    engine : Engine
        Its keypoints are the set's of the same names.
    settings : BackendSettings
        What runs it.
    crop : Crop or None
        The face in every frame; the whole frame when None.
    progress : callable
        Called with the frames that are done, and how many there are.
    stop : callable
        Called after each frame; True ends it.

    Raises
    ------
    DataError
        Engine and set have no keypoint of one name, or an image or the file of guesses cannot be read or written.
    BackendError, EngineError, UsageError
        The engine cannot be run so.
    """
    names = {name: point for point, name in project.points().items()}
    columns = {
        place: names[entry.name]
        for place, entry in enumerate(engine.manifest.skeleton)
        if entry.trained and entry.name in names
    }
    if not columns:
        raise DataError(
            f"{engine.manifest.name} finds none of the keypoints of this set ({', '.join(names)}): rename them, or take "
            "another engine"
        )
    shown = None if crop is None else asdict(crop)
    before = read_guesses(project.folder)
    same = before is not None and (before.engine_sha256, before.crop) == (engine.sha256, shown)
    points = dict(before.points) if before is not None and same else {}
    found = Guesses(engine.manifest.name, engine.sha256, shown, points)
    frames = project.frames(skipped=False)
    missing = [each for each in frames if not set(columns.values()) & set(points.get(each.frame, ()))]
    with PictureTracker(engine, settings, crop) as tracker:
        for done, frame in enumerate(missing, 1):
            pose = tracker.track(read_image(project.image(frame.frame), frame.file))
            beyond = outside(pose.xy, frame.width, frame.height)
            points[frame.frame] = {
                point: (float(pose.xy[place, 0]), float(pose.xy[place, 1]), float(pose.score[place]))
                for place, point in columns.items()
                if not beyond[place] and pose.xy[place, 0] == pose.xy[place, 0]
            }
            progress(done, len(missing))
            if done % _KEPT_EVERY == 0:
                _write(project.folder, found)
            if stop():
                break
    _write(project.folder, found)
    return found


def read_guesses(folder: Path) -> Guesses | None:
    """Return the guesses that are kept beside a label set; None where there are none.

    Raises
    ------
    DataError
        The file is damaged.
    """
    path = folder / GUESSES
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        points = {
            str(frame): {
                str(point): (float(x), float(y), float(score)) for point, (x, y, score) in each.items()
            }
            for frame, each in kept["points"].items()
        }
        return Guesses(str(kept["engine"]), str(kept["engine_sha256"]), kept["crop"], points)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read, and may be deleted: {error!r}") from error


def _write(folder: Path, found: Guesses) -> None:
    path = folder / GUESSES
    rounded = {
        frame: {point: (round(x, 2), round(y, 2), round(score, 4)) for point, (x, y, score) in each.items()}
        for frame, each in found.points.items()
    }
    try:
        with written_whole(path) as fresh:
            fresh.write_text(json.dumps({**asdict(found), "points": rounded}) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error

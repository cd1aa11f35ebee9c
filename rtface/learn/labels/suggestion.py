"""Suggesting frames to label, from recordings to the folder that a person fills in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtface import __version__
from rtface.acquire.recording import source_settings
from rtface.config import BackendSettings, ImagesCameraSettings
from rtface.core.errors import UsageError
from rtface.core.files import printable
from rtface.core.records import Crop
from rtface.learn.labels.how_many import FRAMES_TO_LABEL
from rtface.learn.labels.labelling_folder import (
    SuggestedFrame,
    check_folder,
    collect,
    write_labelling_folder,
)
from rtface.learn.labels.suggest import choose, frame_features
from rtface.learn.labels.survey import survey
from rtface.track.store import Engine

CANDIDATES = 600
"""Candidate frames in each recording, at most, unless another number is asked for."""

GUESSES_ABOVE = 0.5
"""Lowest score of a point that is given as a guess, unless another is asked for."""

VIDEO_GAP_S = 0.5
"""Seconds between two frames of one video, unless others are asked for; in folders of images 0."""

SurveyProgress = Callable[[str], Callable[[int, int | None], None]]
"""Called at the start of each recording with its name; returns what is called with the frames read and the total."""


@dataclass(frozen=True, slots=True)
class SuggestRequest:
    """What frames are to be suggested of.

    Attributes
    ----------
    videos : tuple of Path
        Video files and folders of images.
    folder : Path
        New, or empty.
    engine : Engine
        Whose doubt counts, and whose keypoints the table has.
    settings : BackendSettings
        What runs it.
    crop : Crop, optional
        The face in the frames.
    count : int
        Frames to suggest, of all recordings together.
    candidates : int
        Candidate frames in each recording, at most.
    min_gap_s : float, optional
        Seconds between two frames of a recording; else `VIDEO_GAP_S`, in folders of images 0.
    guesses_above : float, optional
        Lowest score of a point that is given as a guess; None for no guesses.
    fill : bool
        Whether to fill up to `count` with frames that are like others, spread in time.
    before : frozenset of (str, int)
        Frames that were chosen before, by the recording's name and the frame's number: these are others.
    """

    videos: tuple[Path, ...]
    folder: Path
    engine: Engine
    settings: BackendSettings = BackendSettings()  # noqa: RUF009  (frozen)
    crop: Crop | None = None
    count: int = FRAMES_TO_LABEL
    candidates: int = CANDIDATES
    min_gap_s: float | None = None
    guesses_above: float | None = None
    fill: bool = False
    before: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What was suggested.

    Attributes
    ----------
    frames : list of SuggestedFrame
        The most useful first.
    about : dict
        What stands at the head of ``chosen.json``.
    damages : tuple of str
        Why recordings ended early, where they did.
    """

    frames: list[SuggestedFrame]
    about: dict[str, Any]
    damages: tuple[str, ...]


class _Ended(Exception):  # noqa: N818  (a request, not an error)
    """The user ended it."""


def recording_name(video: Path) -> str:
    """Return what a recording is called in label sets."""
    return printable(video.name if video.is_dir() else video.stem)


def suggest_frames(
    request: SuggestRequest,
    *,
    progress: SurveyProgress = lambda name: lambda frames, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Suggestion | None:
    """Choose the frames of recordings that are worth labelling, and write the folder to label.

    Parameters
    ----------
    request : SuggestRequest
    progress : callable
        See `SurveyProgress`.
    stop : callable
        Called after each frame; True ends it, and nothing is written.

    Returns
    -------
    Suggestion or None
        None where `stop` ended it.

    Raises
    ------
    UsageError
        The folder holds something, two recordings have one name, or the crop reaches beyond the frames.
    RtfaceError
        A recording or the engine cannot be opened.
    DataError
        No frame is usable, or the folder cannot be written.
    """
    check_folder(request.folder)
    recordings = [source_settings(video) for video in request.videos]
    names = [recording_name(video) for video in request.videos]
    for video, name in zip(request.videos, names, strict=True):
        if names.count(name) > 1:
            raise UsageError(f"{video}: another recording has the same name, {name}; rename one")
    surveys = []
    try:
        for recording, name in zip(recordings, names, strict=True):
            update = progress(name)

            def read(
                frames: int, total: int | None, update: Callable[[int, int | None], None] = update
            ) -> None:
                if stop():
                    raise _Ended
                update(frames, total)

            surveys.append(
                survey(
                    recording,
                    request.engine,
                    request.settings,
                    crop=request.crop,
                    limit=request.candidates,
                    progress=read,
                )
            )
    except _Ended:
        return None
    gap = request.min_gap_s
    if gap is None:
        gap = 0.0 if all(isinstance(each, ImagesCameraSettings) for each in recordings) else VIDEO_GAP_S
    skeleton = request.engine.manifest.skeleton
    features = frame_features(surveys, np.array([point.trained for point in skeleton]))
    rows = [(seen.name, int(frame)) for seen in surveys for frame in seen.frame]
    before = [row for row, each in enumerate(rows) if each in request.before]
    chosen = choose(features, request.count, min_gap_s=gap, fill=request.fill, before=before)
    frames = collect(surveys, features, chosen)
    about = {
        "rtface": __version__,
        "engine": request.engine.manifest.name,
        "engine_sha256": request.engine.sha256,
        "recordings": [str(video) for video in request.videos],
        "candidates": sum(map(len, surveys)),
        "unusable": int((~features.usable).sum()),
        "min_gap_s": gap,
        "asked": request.count,
        "crop": None if request.crop is None else asdict(request.crop),
    }
    names_of_points = [point.name for point in skeleton]
    write_labelling_folder(
        request.folder, frames, names_of_points, about, guesses_above=request.guesses_above
    )
    damages = tuple(each.damage for each in surveys if each.damage is not None)
    return Suggestion(frames, about, damages)

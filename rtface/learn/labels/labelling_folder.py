"""The folder that a person labels: frames, an empty table, and on request the engine's guesses for DeepLabCut."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError, UsageError
from rtface.core.files import file_hash, folder_written_whole, write_json
from rtface.core.geometry import outside
from rtface.core.records import FloatArray, Image
from rtface.learn.labels.formats.deeplabcut_tables import write_labels
from rtface.learn.labels.formats.table import TABLE_FILE, write_table
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.labels.suggest import ChosenFrame, FrameFeatures
from rtface.learn.labels.survey import Survey, read_frames

CHOSEN_FILE = "chosen.json"
SHEET_FILE = "sheet.png"
DEEPLABCUT_FOLDER = "deeplabcut"
SCORER = "rtface"

_TILE_WIDTH, _COLUMNS, _CAPTION = 432, 4, 26
_SHIFT = 3


@dataclass(frozen=True, slots=True)
class SuggestedFrame:
    """One chosen frame, with what is needed to label it.

    Attributes
    ----------
    video : str
        The recording's name.
    frame : int
        Number in the recording, from 0.
    time_s : float
        Seconds since its first frame.
    choice : ChosenFrame
        Why it was chosen.
    xy : ndarray, shape (K, 2), float32
        What the engine found, in pixels of the camera frame; NaN where it was not trained.
    score : ndarray, shape (K,), float32
    image : ndarray, shape (height, width), uint8
        The whole camera frame.
    """

    video: str
    frame: int
    time_s: float
    choice: ChosenFrame
    xy: FloatArray
    score: FloatArray
    image: Image


def collect(
    surveys: Sequence[Survey], features: FrameFeatures, choices: Sequence[ChosenFrame]
) -> list[SuggestedFrame]:
    """Read the chosen frames again, in the order of the choices.

    Raises
    ------
    RtfaceError
        A recording can no longer be read.
    """
    first = np.concatenate([[0], np.cumsum([len(each) for each in surveys])])
    places = [(int(features.video[choice.index]), choice) for choice in choices]
    images = [
        read_frames(
            seen.recording,
            [int(seen.frame[choice.index - first[video]]) for video, choice in places if video == number],
        )
        if any(video == number for video, _ in places)
        else {}
        for number, seen in enumerate(surveys)
    ]
    suggested = []
    for video, choice in places:
        seen, row = surveys[video], choice.index - int(first[video])
        frame = int(seen.frame[row])
        suggested.append(
            SuggestedFrame(
                seen.name,
                frame,
                float(seen.time_s[row]),
                choice,
                seen.xy[row],
                seen.score[row],
                images[video][frame],
            )
        )
    return suggested


def check_folder(folder: Path) -> None:
    """Fail now as `write_labelling_folder` would fail after minutes of work.

    Raises
    ------
    UsageError
        The folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already; labels are never overwritten: name a new folder")


def write_labelling_folder(
    folder: Path,
    frames: Sequence[SuggestedFrame],
    keypoints: Sequence[str],
    about: dict[str, Any],
    *,
    guesses_above: float | None = None,
) -> None:
    """Write the folder, all of it or nothing.

    It holds ``labels.csv`` (no label yet) and ``frames`` as `rtface.learn.labels.formats.table` reads them, why each frame
    was chosen, and a sheet of all of them with what the engine found. With guesses also
    ``deeplabcut/labeled-data/VIDEO``: images, ``CollectedData_rtface.csv`` and ``.h5`` that DeepLabCut and napari open.

    Parameters
    ----------
    folder : Path
        New, or empty.
    frames : sequence of Suggested
        The most useful first.
    keypoints : sequence of str
        Names of the engine's K keypoints.
    about : dict
        What stands at the head of ``chosen.json``.
    guesses_above : float or None
        Lowest score of a point that is given as a guess; None for no guesses at all. Points beyond the frame are
        left empty too.

    Raises
    ------
    UsageError
        The folder exists and is not empty.
    DataError
        It cannot be written.
    """
    folder = folder.resolve()
    check_folder(folder)
    empty = np.full((len(keypoints), 2), np.nan, np.float32)
    labels = LabelSet(
        tuple(keypoints),
        tuple(LabelledFrame(_name(each), each.video, each.image, empty) for each in frames),
    )
    try:
        with folder_written_whole(folder) as fresh:
            write_table(labels, fresh)
            entries = [_entry(rank, each) for rank, each in enumerate(frames, 1)]
            (fresh / SHEET_FILE).write_bytes(_png(sheet(frames)))
            if guesses_above is not None:
                _write_guesses(fresh / DEEPLABCUT_FOLDER, frames, keypoints, guesses_above)
            tables = {
                str(PurePosixPath(table.relative_to(fresh))): file_hash(table) for table in _tables(fresh)
            }
            write_json(fresh / CHOSEN_FILE, {**about, "frames": entries, "tables": tables})
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error


def changed_tables(folder: Path) -> list[Path]:
    """Return the tables of labels in such a folder that are not as they were written: somebody labelled there.

    Raises
    ------
    DataError
        ``chosen.json`` is missing or damaged.
    """
    with _chosen_in(folder) as chosen:
        written = chosen.get("tables", {})
        return [
            table
            for table in _tables(folder)
            if written.get(str(PurePosixPath(table.relative_to(folder)))) != file_hash(table)
        ]


@dataclass(frozen=True, slots=True)
class HowChosen:
    """How many frames such a folder was given.

    Attributes
    ----------
    asked, frames, spread : int
        Asked for; chosen; of these, like others and spread in time.
    """

    asked: int
    frames: int
    spread: int

    def __str__(self) -> str:
        differ = self.frames - self.spread
        words = f"{differ} of {self.asked} differ"
        if self.spread:
            words += f", {self.spread} {'is' if self.spread == 1 else 'are'} spread in time"
        missing = self.asked - self.frames
        return words if missing <= 0 else f"{words}; no more than {self.frames} could be chosen"


def how_chosen(folder: Path) -> HowChosen:
    """Return how many frames such a folder was given, and of what kind; all zero where its ``chosen.json`` does not say."""
    try:
        with _chosen_in(folder) as chosen:
            frames = chosen["frames"]
            spread = sum(each.get("why") == "spread" for each in frames)
            return HowChosen(int(chosen.get("asked", len(frames))), len(frames), spread)
    except DataError:
        return HowChosen(0, 0, 0)


def frames_chosen(folder: Path) -> frozenset[tuple[str, int]]:
    """Return the frames of such a folder by the recording's name and the frame's number.

    Raises
    ------
    DataError
        ``chosen.json`` is missing or damaged.
    """
    with _chosen_in(folder) as chosen:
        return frozenset((str(each["video"]), int(each["frame"])) for each in chosen["frames"])


@contextmanager
def _chosen_in(folder: Path) -> Iterator[Any]:
    """Give what the ``chosen.json`` of such a folder says; what the block finds wrong with it is a `DataError`."""
    path = folder / CHOSEN_FILE
    try:
        yield json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _tables(folder: Path) -> list[Path]:
    guesses = folder / DEEPLABCUT_FOLDER
    return [folder / TABLE_FILE, *sorted(guesses.glob(f"labeled-data/*/CollectedData_{SCORER}.csv"))]


def sheet(frames: Sequence[SuggestedFrame]) -> NDArray[np.uint8]:
    """Draw all frames with what the engine found, from red (score 0) to green (score 1).

    Returns
    -------
    ndarray, shape (rows, columns, 3), uint8
        Blue, green, red.
    """
    tiles = [_tile(rank, each) for rank, each in enumerate(frames, 1)]
    columns = min(_COLUMNS, len(tiles))
    height = max(tile.shape[0] for tile in tiles)
    picture = np.zeros((-(-len(tiles) // columns) * height, columns * _TILE_WIDTH, 3), np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * height, place % columns * _TILE_WIDTH
        picture[top : top + tile.shape[0], left : left + _TILE_WIDTH] = tile
    return picture


def _tile(rank: int, each: SuggestedFrame) -> NDArray[np.uint8]:
    rows, columns = each.image.shape
    scale = _TILE_WIDTH / columns
    small = cv2.resize(each.image, (_TILE_WIDTH, max(1, round(rows * scale))), interpolation=cv2.INTER_AREA)
    tile = cv2.copyMakeBorder(cv2.cvtColor(small, cv2.COLOR_GRAY2BGR), _CAPTION, 0, 0, 0, cv2.BORDER_CONSTANT)
    for (x, y), score in zip(each.xy.tolist(), each.score.tolist(), strict=True):
        if not np.isfinite([x, y]).all():
            continue
        middle = [(x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5 + _CAPTION]
        place = np.round(np.clip(middle, -1e4, 1e4) * np.float64(1 << _SHIFT)).astype(int).tolist()
        color = 0, round(255 * min(1.0, 2 * score)), round(255 * min(1.0, 2 - 2 * score))
        cv2.circle(tile, place, 3 << _SHIFT, color, -1, cv2.LINE_AA, _SHIFT)
    text = f"{rank}  {each.video} {each.frame}  {each.choice.why}  doubt {each.choice.doubt:.2f}"
    cv2.putText(tile, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    drawn: NDArray[np.uint8] = np.asarray(tile, np.uint8)
    return drawn


def _name(each: SuggestedFrame) -> str:
    return f"frame{each.frame:06d}.png"


def _entry(rank: int, each: SuggestedFrame) -> dict[str, Any]:
    choice = each.choice
    return {
        "rank": rank,
        "video": each.video,
        "frame": each.frame,
        "time_s": round(each.time_s, 4),
        "why": choice.why,
        "doubt": round(choice.doubt, 4),
        "distance": round(choice.distance, 4) if np.isfinite(choice.distance) else None,
        "stands_for": choice.stands_for,
    }


def _png(image: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode(".png", image)
    if not done:
        raise DataError(f"a picture of shape {image.shape} cannot be written as png")
    return bytes(data.tobytes())


def _guess(each: SuggestedFrame, above: float) -> FloatArray:
    """Return the points worth dragging, shape (K, 2); NaN for those with a low score or beyond the frame."""
    height, width = each.image.shape
    good = (each.score >= above) & ~outside(each.xy, width, height)
    guess: FloatArray = np.where(good[:, None], each.xy, np.float32(np.nan))
    return guess


def _write_guesses(
    folder: Path, frames: Sequence[SuggestedFrame], keypoints: Sequence[str], above: float
) -> None:
    for video in dict.fromkeys(each.video for each in frames):
        here = sorted((each for each in frames if each.video == video), key=lambda each: each.frame)
        target = folder / "labeled-data" / video
        target.mkdir(parents=True)
        names = [f"img{each.frame:06d}.png" for each in here]
        for name, each in zip(names, here, strict=True):
            (target / name).write_bytes(_png(each.image))
        images = [("labeled-data", video, name) for name in names]
        guesses = np.stack([_guess(each, above) for each in here])
        write_labels(target / f"CollectedData_{SCORER}", SCORER, images, keypoints, guesses)

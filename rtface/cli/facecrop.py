"""What ``--crop`` stands for: numbers, or `auto`, for which the face is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rtface.acquire.recording import source_settings
from rtface.acquire.sampling import evenly_spaced
from rtface.cli.options import AUTO, parse_crop
from rtface.cli.terminal.screen import print_note
from rtface.config import BackendSettings
from rtface.core.errors import UsageError
from rtface.core.records import Crop, Image
from rtface.track.backends.factory import engine_for
from rtface.track.facefinder import FRAMES, find_face

if TYPE_CHECKING:
    from rtface.learn.labels.labelset import LabelSet


def crop_in(
    text: str | None,
    frames: Callable[[], Iterable[Image]],
    engine: str = "default",
    settings: BackendSettings | None = None,
) -> Crop | None:
    """Return the crop that an option stands for, having found the face in a few frames where it is `auto`.

    Raises
    ------
    DataError
        No face, or more than one.
    UsageError
        The option is neither.
    """
    if text != AUTO:
        return parse_crop(text)
    chosen = settings or BackendSettings()
    found = find_face(engine_for(engine, chosen), list(frames()), chosen)
    print_note(found.in_words())
    return found.crop


def frames_of(source: Path) -> list[Image]:
    """Return a few frames of a recording, spread over it."""
    return list(evenly_spaced(source_settings(source), FRAMES).values())


def frames_of_all(sources: Iterable[Path]) -> list[Image]:
    """Return a few frames of each of several recordings that share one crop.

    Raises
    ------
    UsageError
        They differ in size.
    """
    return of_one_size([frame for source in sources for frame in frames_of(source)])


def frames_of_labels(labels: LabelSet) -> list[Image]:
    """Return a few frames of a label set; `UsageError` where they differ in size."""
    return of_one_size([frame.image for frame in labels.frames])


def of_one_size(frames: list[Image]) -> list[Image]:
    """Return frames that can share one crop, few of them and spread.

    Raises
    ------
    UsageError
        They differ in size.
    """
    if len({frame.shape for frame in frames}) > 1:
        raise UsageError("--crop auto finds one crop, and these frames differ in size: take them one by one")
    step = max(1, len(frames) // (2 * FRAMES))
    return list(islice(frames[::step], 2 * FRAMES))

"""A film of frames with what was found in them: of a recorded session, or of a recording that was tracked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtface.core.clock import NS_PER_MS
from rtface.core.errors import DataError, UsageError
from rtface.core.files import written_whole
from rtface.core.records import FloatArray, Image
from rtface.offline.sessions.overlay_drawing import Told, draw_overlay, overlay_size
from rtface.record.session.encoder import PictureEncoder

Progress = Callable[[int, int], bool]
"""Called with frames written and how many there are; returning False ends it, and nothing is written."""


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame of a film.

    Attributes
    ----------
    image : ndarray, shape (height, width), uint8
    xy : ndarray, shape (K, 2), or None
        Keypoints in pixels of the frame; None for a frame without a pose.
    score : ndarray, shape (K,), or None
    told : Told
    t_ns : int
        When it was filmed.
    """

    image: Image
    xy: FloatArray | None
    score: FloatArray | None
    told: Told
    t_ns: int


def check_film(path: Path, *, overwrite: bool) -> None:
    """Fail now as `write_film` would fail later: `UsageError`."""
    if path.suffix.lower() != ".mp4":
        raise UsageError(f"the overlay is an MP4: {path.name} must end in .mp4")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; --overwrite replaces it")


def write_film(
    shots: Iterable[Shot],
    path: Path,
    total: int,
    *,
    names: Sequence[str] = (),
    speed: float = 1.0,
    overwrite: bool = False,
    progress: Progress = lambda done, total: True,
) -> int | None:
    """Write frames as an MP4 (H.264), one after another.

    Parameters
    ----------
    shots : iterable of Shot
        All of one size.
    path : Path
        The file to make: whole, or not at all.
    total : int
        How many there are, for `progress`.
    names : sequence of str, length K or 0
        Of the keypoints, which are written beside them with their scores; none are written without.
    speed : float
        0.25 plays it at a quarter of its pace.
    overwrite : bool
        Replace a file that is there.
    progress : callable

    Returns
    -------
    int or None
        Frames that were written; None where `progress` ended it.

    Raises
    ------
    UsageError
        The file is there, or is no MP4.
    DataError
        It cannot be written.
    """
    check_film(path, overwrite=overwrite)
    try:
        with written_whole(path) as fresh:
            written = _write(shots, fresh, total, names, speed, progress)
            if written is None:
                raise _FilmEndedError
    except _FilmEndedError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    return written


class _FilmEndedError(Exception):
    """Somebody ended it; the file must not appear."""


def _write(
    shots: Iterable[Shot], path: Path, total: int, names: Sequence[str], speed: float, progress: Progress
) -> int | None:
    encoder: PictureEncoder | None = None
    first_ns, written = 0, 0
    try:
        for shot in shots:
            if encoder is None:
                height, width = shot.image.shape
                encoder = PictureEncoder(path, *overlay_size(width, height)[:2])
                first_ns = shot.t_ns
            drawn = draw_overlay(shot.image, shot.xy, shot.score, shot.told, names)
            encoder.write(drawn, round((shot.t_ns - first_ns) / speed / NS_PER_MS))
            written += 1
            if not progress(written, total):
                return None
    finally:
        if encoder is not None:
            encoder.close()
    return written

"""A film of frames with what was found in them: of a recorded session, or of a recording that was tracked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtface.core.clock import NS_PER_MS
from rtface.core.errors import UsageError
from rtface.core.records import FloatArray, Image
from rtface.offline.sessions.overlay_drawing import Told, draw_overlay, overlay_size
from rtface.offline.wholefile import Progress, write_unless_ended
from rtface.record.session.encoder import PictureEncoder


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
    return write_unless_ended(lambda fresh: _write(shots, fresh, total, names, speed, progress), path)


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

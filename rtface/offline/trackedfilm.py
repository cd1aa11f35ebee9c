"""A recording that was tracked, as a film: each frame with its keypoints, names and scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rtface.acquire.recording import source_settings
from rtface.acquire.sampling import played
from rtface.core.clock import NS_PER_S
from rtface.core.errors import DataError, UsageError
from rtface.offline.film import Progress, Shot, check_film, write_film
from rtface.offline.sessions.overlay_drawing import Told
from rtface.record.table import PoseTable

_USUAL_HZ = 30.0
"""Frames per second of a recording without times."""


def plan_films(sources: Sequence[Path], out: Path, *, overwrite: bool) -> list[Path]:
    """Return the film of each recording: `out` for one, in the folder `out` for several, or where it has no ending.

    Raises
    ------
    UsageError
        `out` is a file for several recordings, a film is there, or is no MP4.
    DataError
        The folder cannot be made.
    """
    if out.is_dir() or out.suffix == "":
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"the folder {out} cannot be made: {error.strerror}") from error
        films = [out / f"{source.stem}.mp4" for source in sources]
    elif len(sources) > 1:
        raise UsageError(f"{out} is a file, but there are several recordings: name a folder")
    else:
        films = [out]
    for film in films:
        check_film(film, overwrite=overwrite)
        if films.count(film) > 1:
            raise UsageError(f"{film}: two recordings have the same name; track them into separate folders")
        for source in sources:
            if film.exists() and source.exists() and film.samefile(source):
                raise UsageError(f"{film} is the recording itself: choose another name for the film")
    return films


def write_tracked_film(
    source: Path,
    table: PoseTable,
    path: Path,
    *,
    names: bool = True,
    overwrite: bool = False,
    progress: Progress = lambda done, total: True,
) -> int | None:
    """Read a recording again and write it as an MP4 with the keypoints that were found in it, up to the last of them.

    Parameters
    ----------
    source : Path
        A video or a folder of images.
    table : PoseTable
        What was found in it.
    path : Path
        The file to make: whole, or not at all.
    names : bool
        Write names and scores beside the points.
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
        No frame was tracked, or the file cannot be written.
    CameraError
        The recording cannot be read any more.
    """
    if not len(table):
        raise DataError(f"{source}: no frame was tracked, so there is no film of it")
    return write_film(
        _shots(source, table),
        path,
        len(table),
        names=table.names if names else (),
        overwrite=overwrite,
        progress=progress,
    )


def _shots(source: Path, table: PoseTable) -> Iterator[Shot]:
    row = 0
    with played(source_settings(source)) as (info, frames):
        period_ns = round(NS_PER_S / (info.rate_hz or _USUAL_HZ))
        for number, (image, meta) in enumerate(frames):
            t_ns = number * period_ns if meta.camera_ns is None else meta.camera_ns
            tracked = int(table.frame_id[row]) == meta.frame_id
            told = Told(t_ns / NS_PER_S, meta.frame_id, (), fresh=False, lit=None, output=False)
            xy, score = (table.xy[row], table.score[row]) if tracked else (None, None)
            yield Shot(image, xy, score, told, t_ns)
            row += tracked
            if row == len(table):
                return

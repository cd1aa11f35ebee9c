"""A stretch of a session as a video: each recorded frame with its points, the newest decisions and the light."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from rtface.core.clock import NS_PER_MS, NS_PER_S
from rtface.core.errors import UsageError
from rtface.offline.film import Progress, Shot, check_film, write_film
from rtface.offline.sessions.certificate import is_blinded
from rtface.offline.sessions.lights import light_spans, lit_at
from rtface.offline.sessions.outline import Outline
from rtface.offline.sessions.overlay_drawing import Told
from rtface.offline.sessions.pictures import RecordedPicture, SessionPictures
from rtface.offline.sessions.rowindex import RowIndex
from rtface.record.session.entries import DecisionEntry
from rtface.record.session.rows import Rows
from rtface.record.session.summary import shown

FRESH_NS = 100 * NS_PER_MS
"""For so long a decision stands out."""


@dataclass(frozen=True)
class OverlayVideo:
    """What was written.

    Attributes
    ----------
    path : Path
    frames : int
    seconds : float
        Of the session that it shows.
    blinded : bool
        Light and sham are not told apart in it.
    """

    path: Path
    frames: int
    seconds: float
    blinded: bool


def write_overlay(
    found: Outline,
    path: Path,
    begin_s: float,
    end_s: float,
    *,
    speed: float = 1.0,
    unblind: bool = False,
    names: bool = True,
    overwrite: bool = False,
    progress: Progress = lambda done, total: True,
) -> OverlayVideo | None:
    """Write a stretch of a session as an MP4.

    Parameters
    ----------
    found : Outline
        With its seal opened, where light and sham of a sealed session are to be told.
    path : Path
        The file to make: whole, or not at all.
    begin_s, end_s : float
        Seconds since the session began.
    speed : float
        0.25 plays it at a quarter of its pace.
    unblind : bool
        Tell light and sham of blinded trials apart.
    names : bool
        Write names and scores beside the points.
    overwrite : bool
        Replace a file that is there.
    progress : callable
        Called with frames written and how many there are; returning False ends it, and nothing is written.

    Returns
    -------
    OverlayVideo or None
        None where `progress` ended it.

    Raises
    ------
    UsageError
        No frame was recorded in that stretch, or the file is there.
    DataError
        A frame cannot be read, or the file not be written.
    """
    if not end_s > begin_s:
        raise UsageError(f"a stretch ends after it begins, not from {begin_s:g} s to {end_s:g} s")
    if not speed > 0:
        raise UsageError(f"the speed is above 0, not {speed:g}")
    check_film(path, overwrite=overwrite)
    pictures = SessionPictures(found)
    begin_ns, end_ns = (found.began_ns + round(each * NS_PER_S) for each in (begin_s, end_s))
    total = found.index["frames"].count_between(found.log, begin_ns, end_ns)
    if not total:
        raise UsageError(
            f"no frame is recorded from {begin_s:g} s to {end_s:g} s of {found.session.folder.name}"
        )
    telling, said = _Telling(found, unblind), found.session.configuration
    try:
        written = write_film(
            map(telling.shot, pictures.between(begin_ns, end_ns)),
            path,
            total,
            names=said.keypoints if names and said is not None else (),
            speed=speed,
            overwrite=overwrite,
            progress=progress,
        )
    finally:
        pictures.close()
    if written is None:
        return None
    return OverlayVideo(path, written, (end_ns - begin_ns) / NS_PER_S, telling.blinded)


class _Telling:
    """What was known of each frame, for frames in order."""

    def __init__(self, found: Outline, unblind: bool) -> None:
        session = found.session
        self._found = found
        self._unblind = unblind
        self.blinded = is_blinded(session, unblind=unblind)
        self._spans = light_spans(session, blinded=self.blinded)
        self._thresholds = found.thresholds
        self._decisions = [each for each in session.decisions if each.action != "none"]
        self._times = [each.t_ns for each in self._decisions]
        self._poses = _InOrder(found.log, found.index["poses"])
        rate = found.rows.rate_hz
        self._period_ns = round(NS_PER_S / rate) if rate else 10 * NS_PER_MS

    def shot(self, picture: RecordedPicture) -> Shot:
        """Return a frame with its points and their scores, where they are recorded, and what is told of it."""
        row = self._poses.of(picture.frame_id)
        xy, score = (None, None) if row is None else (row["xy"][0], row["score"][0])
        return Shot(picture.image, xy, score, self._told(picture, row), picture.exposure_ns)

    def _told(self, picture: RecordedPicture, row: Rows | None) -> Told:
        now_ns = picture.exposure_ns if row is None else int(row["decided_ns"][0]) + self._period_ns
        last = bisect_right(self._times, now_ns)
        newest = self._decisions[max(0, last - 2) : last][::-1]
        begin_ns = picture.exposure_ns
        return Told(
            seconds=(picture.exposure_ns - self._found.began_ns) / NS_PER_S,
            frame_id=picture.frame_id,
            decided=[self._words(each) for each in newest],
            fresh=bool(newest) and now_ns - newest[0].t_ns < FRESH_NS,
            lit=None if self.blinded else lit_at(self._spans, begin_ns, begin_ns + self._period_ns),
        )

    def _words(self, decision: DecisionEntry) -> str:
        action, reason = shown(decision, unblind=self._unblind)
        at_s = (decision.t_ns - self._found.began_ns) / NS_PER_S
        values = ", ".join(each.in_words() for each in self._thresholds.beside(decision)[:3])
        return f"{at_s:.3f} s {decision.rule}: {action} ({reason})  {values}"


class _InOrder:
    """Poses by frame; asked for in order, each record is read once."""

    def __init__(self, log: Path, index: RowIndex) -> None:
        self._log, self._index = log, index
        self._rows: Rows | None = None

    def of(self, frame_id: int) -> Rows | None:
        rows = self._rows
        if rows is None or not rows["frame_id"][0] <= frame_id <= rows["frame_id"][-1]:
            found = self._index.find(self._log, frame_id)
            if found is None:
                return None
            (rows,) = self._index.read(self._log, found[0], found[0] + 1)
            self._rows = rows
        at = rows["frame_id"] == frame_id
        return rows[at][:1] if at.any() else None

"""The recorded pictures of a session: any frame by its number, proved by its checksum where the codec keeps every pixel."""

from __future__ import annotations

import threading
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.core.clock import NS_PER_MS
from rtface.core.errors import DataError, UsageError
from rtface.core.records import Image
from rtface.offline.sessions.outline import Outline
from rtface.offline.sessions.rowindex import RowIndex
from rtface.record.session.encoder import EXACT, FrameSeeker
from rtface.record.session.entries import VideoEntry
from rtface.record.session.rows import Rows


@dataclass(frozen=True, eq=False)
class RecordedPicture:
    """A recorded frame.

    Attributes
    ----------
    frame_id, exposure_ns : int
    image : ndarray, shape (height, width), uint8
    proved : bool
        Its pixels have the checksum that was recorded; False where the codec does not keep them.
    """

    frame_id: int
    exposure_ns: int
    image: Image
    proved: bool


class SessionPictures:
    """Reads the video of a session; any thread, one after another.

    Parameters
    ----------
    found : Outline

    Raises
    ------
    UsageError
        No frames were recorded.
    DataError
        The video is not there, or is none.
    """

    def __init__(self, found: Outline) -> None:
        video, index = found.session.last(VideoEntry), found.index["frames"]
        if video is None or not index.count or index.ends is None:
            raise UsageError(
                f"{found.session.folder.name} has no recorded frames; `session: {{frames: h264}}` in the rig's file records them"
            )
        if Path(video.file).name != video.file:
            raise DataError(f"{found.log}: the video's name {video.file!r} leads out of the session's folder")
        self._found, self._index = found, index
        self._exact = video.codec in EXACT
        self._path = found.session.folder / video.file
        self._seeker: FrameSeeker | None = FrameSeeker(self._path)
        self._times = _VideoTimes(found.log, index, int(index.ends["exposure_ns"][0]))
        self._lock = threading.Lock()

    def of(self, frame_id: int) -> RecordedPicture | None:
        """Return the picture of a frame; None where that frame was not recorded.

        Raises
        ------
        DataError
            It cannot be read, or is not what was recorded.
        """
        found = self._index.find(self._found.log, frame_id)
        if found is None or int(found[1]["frame_id"][0]) != frame_id:
            return None
        number, (row,) = found
        with self._lock:
            return self._picture(row, self._times.of(number, int(row["position"])))

    def between(self, begin_ns: int, end_ns: int) -> Iterator[RecordedPicture]:
        """Yield the pictures whose exposure began from one time to another, in order.

        Raises
        ------
        DataError
            One cannot be read, or is not what was recorded.
        """
        for number in range(*self._index.between(begin_ns, end_ns)):
            (rows,) = self._index.read(self._found.log, number, number + 1)
            for row in rows:
                if begin_ns <= row["exposure_ns"] <= end_ns:
                    with self._lock:
                        picture = self._picture(row, self._times.of(number, int(row["position"])))
                    yield picture

    def close(self) -> None:
        """Let the video go; it is opened again for whoever still asks."""
        with self._lock:
            if self._seeker is not None:
                self._seeker.close()
            self._seeker = None

    def _picture(self, row: np.void, t_ms: int) -> RecordedPicture:
        if self._seeker is None:
            self._seeker = FrameSeeker(self._path)
        image = self._seeker.at(t_ms)
        frame_id = int(row["frame_id"])
        if self._exact and zlib.crc32(image.data) != int(row["crc32"]):
            raise DataError(f"the picture of frame {frame_id} is not the one that was recorded")
        return RecordedPicture(frame_id, int(row["exposure_ns"]), image, self._exact)


class _VideoTimes:
    """When each picture stands in the video: at its exposure in whole milliseconds, moved on where two would be the same.

    RecordedPicture n stands at n plus the largest t - k over all k up to n, where t is picture k's exposure in milliseconds.
    """

    def __init__(self, log: Path, index: RowIndex, first_ns: int) -> None:
        self._log, self._index, self._first_ns = log, index, first_ns
        self._leads_before = array("q", [-(1 << 62)])
        self._number = -1
        self._of: dict[int, int] = {}

    def of(self, number: int, position: int) -> int:
        """Return the time in milliseconds of a picture whose row is in the record `number`."""
        if number != self._number:
            self._load(number)
        return self._of[position]

    def _load(self, number: int) -> None:
        before = self._leads_before
        while len(before) <= number:
            (rows,) = self._index.read(self._log, len(before) - 1, len(before))
            before.append(max(before[-1], int(self._leads(rows).max())))
        (rows,) = self._index.read(self._log, number, number + 1)
        leads = np.maximum(np.maximum.accumulate(self._leads(rows)), before[number])
        times = rows["position"] + leads
        self._of = dict(zip(rows["position"].tolist(), times.tolist(), strict=True))
        self._number = number

    def _leads(self, rows: Rows) -> NDArray[np.int64]:
        leads: NDArray[np.int64] = (rows["exposure_ns"] - self._first_ns) // NS_PER_MS - rows["position"]
        return leads

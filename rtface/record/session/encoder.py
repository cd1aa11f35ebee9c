"""Gray frames to and from a Matroska file. The only module that writes with PyAV.

Matroska because a file that was cut off anywhere plays up to there (`docs/sessions.md`).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from rtface.core.errors import DataError
from rtface.core.records import Image

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

VideoCodec = Literal["h264", "lossless", "ffv1"]

EXACT: frozenset[str] = frozenset({"lossless", "ffv1"})
"""The codecs that give back every pixel as it was."""

_X264 = {"preset": "ultrafast", "tune": "zerolatency", "g": "30"}
_ENCODERS: dict[VideoCodec, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {**_X264, "crf": "18"}),
    "lossless": ("libx264", {**_X264, "qp": "0"}),
    "ffv1": ("ffv1", {"level": "3", "slices": "4", "slicecrc": "1", "g": "1"}),
}
_CONTAINER = {"cluster_time_limit": "250", "flush_packets": "1"}
"""A cluster is written when it is whole: a quarter of a second is what a killed process can lose of the video."""
_FULL_RANGE = 2


class VideoEncoder:
    """Writes frames to a new file, one thread.

    Parameters
    ----------
    path : Path
        The file to make.
    width, height : int
        Pixels of the frames.
    codec : str
        ``h264``: H.264 that looks the same and is small. ``lossless``: H.264 that is the same. ``ffv1``: FFV1, as
        exact, at two or three times the cost, for archives and for a PyAV that was built without libx264.

    Raises
    ------
    DataError
        The file is there already or cannot be written, or PyAV lacks the encoder.
    """

    def __init__(self, path: Path, width: int, height: int, codec: VideoCodec = "h264") -> None:
        import av

        name, options = _ENCODERS[codec]
        self._path = path
        if path.exists():
            raise DataError(f"{path} exists already")
        if name not in av.codecs_available:
            raise DataError(f"this PyAV cannot encode {codec} ({name}); record frames with another codec")
        try:
            self._container = av.open(str(path), "w", format="matroska", container_options=_CONTAINER)
            self._stream = cast("VideoStream", self._container.add_stream(name, options=dict(options)))
            self._describe(width, height)
            self._container.start_encoding()
            self._handle = os.open(path, os.O_RDONLY)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DataError(f"cannot write {path}: {error}") from error
        self._last_ms = -1

    def _describe(self, width: int, height: int) -> None:
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "gray"
        self._stream.time_base = Fraction(1, 1000)
        context = self._stream.codec_context
        context.time_base = Fraction(1, 1000)
        context.color_range = _FULL_RANGE
        context.thread_count = 1

    def write(self, image: Image, t_ms: int) -> int:
        """Encode a frame.

        Parameters
        ----------
        image : ndarray, shape (height, width), uint8, C-contiguous
            The frame.
        t_ms : int
            Its time in the video in milliseconds; moved on where it is not after the last one.

        Returns
        -------
        int
            How many frames went into the file: the encoder may hold some back.

        Raises
        ------
        DataError
            The frame cannot be written.
        """
        import av

        frame = av.VideoFrame.from_ndarray(image, format="gray")
        frame.color_range = _FULL_RANGE
        self._last_ms = frame.pts = max(t_ms, self._last_ms + 1)
        frame.time_base = Fraction(1, 1000)
        return self._encode(frame)

    def sync(self) -> None:
        """Put on the disk what is in the file; `DataError` when that fails."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise DataError(f"cannot write {self._path}: {error.strerror or error}") from error

    def close(self) -> int:
        """Write what was held back and complete the file; return how many frames that were.

        Raises
        ------
        DataError
            That cannot be written; the file is closed all the same and holds what it held.
        """
        import av

        try:
            held = self._encode(None)
            self._container.close()
            self.sync()
        except (av.FFmpegError, OSError) as error:
            raise DataError(f"cannot complete {self._path}: {error}") from error
        finally:
            os.close(self._handle)
        return held

    def _encode(self, frame: VideoFrame | None) -> int:
        import av

        frames = 0
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
                frames += 1
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DataError(f"cannot write {self._path}: {error}") from error
        return frames


def count_frames(path: Path) -> int:
    """Return how many frames a video holds whole, without decoding them; it may be cut off.

    Raises
    ------
    DataError
        It is no video.
    """
    return sum(1 for _ in _packets(path))


def frame_checksums(path: Path) -> Iterator[int]:
    """Yield the CRC-32 of each frame's pixels; ends where the file is cut off or damaged.

    Raises
    ------
    DataError
        It is no video.
    """
    import av

    try:
        for packet in _packets(path):
            for frame in packet.decode():
                plane = frame.planes[0]
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
                yield zlib.crc32(np.ascontiguousarray(rows[: frame.height, : frame.width]).data)
    except av.FFmpegError:
        return


def _packets(path: Path) -> Iterator[Any]:
    import av

    try:
        container: InputContainer = av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be opened as a video: {error}") from error
    with container:
        if not container.streams.video:
            raise DataError(f"{path} has no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        try:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    return
                if packet.size:
                    yield packet
        except av.FFmpegError:
            return

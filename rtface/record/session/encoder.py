"""Gray frames to and from a Matroska file, and pictures to an MP4. The only module that writes with PyAV.

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
_PICTURES = {"preset": "veryfast", "crf": "20"}
_READ_ON_MS = 1000
"""A frame that is later by less is reached by decoding those between; else by a seek to the key frame before it."""


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
                yield zlib.crc32(_pixels(frame).data)
    except av.FFmpegError:
        return


class FrameSeeker:
    """Gives any frame of a recorded video by its time; one thread at a time.

    Parameters
    ----------
    path : Path
        As a `VideoEncoder` wrote it; it may be cut off.

    Raises
    ------
    DataError
        It is no video.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container, self._stream = _opened(path)
        self._frames: Iterator[VideoFrame] = iter(())
        self._shown: tuple[int, Image] | None = None

    def at(self, t_ms: int) -> Image:
        """Return the frame of a time.

        Parameters
        ----------
        t_ms : int
            Its time in the video, in milliseconds, as it was written.

        Returns
        -------
        ndarray, shape (height, width), uint8

        Raises
        ------
        DataError
            The video has no frame of that time: it was cut off, or is damaged.
        """
        import av

        if self._shown is None or not 0 <= t_ms - self._shown[0] <= _READ_ON_MS:
            self._seek(t_ms)
        try:
            while self._shown is None or self._shown[0] < t_ms:
                frame = next(self._frames)
                self._shown = (
                    round(float((frame.pts or 0) * (frame.time_base or 0)) * 1000),
                    _pixels(frame),
                )
        except (av.FFmpegError, StopIteration):
            self._shown = None
        if self._shown is None or self._shown[0] != t_ms:
            self._shown = None
            raise DataError(f"{self._path} has no frame at {t_ms} ms: it was cut off or changed")
        return self._shown[1]

    def close(self) -> None:
        """Let the file go."""
        self._container.close()

    def _seek(self, t_ms: int) -> None:
        import av

        self._shown = None
        try:
            self._container.seek(t_ms, stream=self._stream, backward=True)
        except av.FFmpegError:  # without an index, or behind its end: from the beginning
            self._container.close()
            self._container, self._stream = _opened(self._path)
        self._frames = self._container.decode(self._stream)


class PictureEncoder:
    """Writes colour pictures to a new MP4 (H.264) that browsers and players show, one thread.

    Parameters
    ----------
    path : Path
        The file to make.
    width, height : int
        Pixels of the pictures; even.

    Raises
    ------
    DataError
        The file cannot be written, or PyAV lacks the encoder.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        import av

        self._path = path
        if "libx264" not in av.codecs_available:
            raise DataError("this PyAV cannot encode H.264 (libx264)")
        try:
            options = {"movflags": "+faststart"}
            self._container = av.open(str(path), "w", format="mp4", container_options=options)
            self._stream = self._container.add_stream("libx264", options=dict(_PICTURES))
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, 1000)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DataError(f"cannot write {path}: {error}") from error
        self._last_ms = -1

    def write(self, picture: Image, t_ms: int) -> None:
        """Encode a picture.

        Parameters
        ----------
        picture : ndarray, shape (height, width, 3), uint8
            Blue, green, red.
        t_ms : int
            Its time in the video in milliseconds; moved on where it is not after the last one.

        Raises
        ------
        DataError
            It cannot be written.
        """
        import av

        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        self._last_ms = frame.pts = max(t_ms, self._last_ms + 1)
        frame.time_base = Fraction(1, 1000)
        self._encode(frame)

    def close(self) -> None:
        """Complete the file; `DataError` when that fails."""
        import av

        try:
            self._encode(None)
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise DataError(f"cannot complete {self._path}: {error}") from error

    def _encode(self, frame: VideoFrame | None) -> None:
        import av

        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DataError(f"cannot write {self._path}: {error}") from error


def _pixels(frame: VideoFrame) -> Image:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return np.ascontiguousarray(rows[: frame.height, : frame.width])


def _opened(path: Path) -> tuple[InputContainer, VideoStream]:
    import av

    try:
        container: InputContainer = av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be opened as a video: {error}") from error
    if not container.streams.video:
        container.close()
        raise DataError(f"{path} has no video stream")
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    return container, stream


def _packets(path: Path) -> Iterator[Any]:
    import av

    container, stream = _opened(path)
    with container:
        try:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    return
                if packet.size:
                    yield packet
        except av.FFmpegError:
            return

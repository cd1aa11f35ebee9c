"""A video file played as a camera. The only module that uses PyAV."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from rtface.acquire.mp4boxes import missing_bytes
from rtface.acquire.pacing import Advance, PlayedCamera, SourceFacts
from rtface.config import VideoCameraSettings
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import CameraError, CameraLostError
from rtface.core.files import printable
from rtface.core.records import Image

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

PERIODS_OF_SLACK = 3
"""How many frame periods before its estimated end a stream may stop and still count as complete."""
PERIODS_OF_ROUNDING = 0.5
"""The same where the container states the end of the last frame."""


class VideoCamera(PlayedCamera):
    """A camera (see `rtface.acquire.base.Camera`) that plays a video file; pace and losses as in `PlayedCamera`.

    Colour becomes gray as in OpenCV: the frame is converted to 8-bit BGR by the file's own matrix and range
    (limited range where it states none) and then weighted as `cv2.cvtColor` does. The values equal those of
    ``cv2.cvtColor(cv2.VideoCapture(path).read()[1], COLOR_BGR2GRAY)``, which is how Facemap reads. 8-bit gray
    frames are copied as they are. A frame whose metadata say that it is to be shown turned by 90, 180 or 270 degrees is
    turned, as players and OpenCV do; size and keypoints are of the turned picture.

    A file that ends before what its container states, or that has a damaged frame, raises CameraLostError after
    the last good frame before the damage; it never looks complete. To find that frame the file is read again from
    its beginning; meanwhile ``fill`` returns None at its time limit.

    Parameters
    ----------
    settings : VideoCameraSettings
        Which file, and how to play it.
    clock : Clock
        What paces and stamps.
    """

    def __init__(self, settings: VideoCameraSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(settings, _VideoSource(settings.path), clock)


class _DamagedError(Exception):
    """A frame cannot be decoded; the text is why."""


class _VideoSource:
    """The frames of a video file in order of presentation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container: InputContainer | None = None
        self._frames: Iterator[VideoFrame | Advance] = iter(())
        self._read = 0
        self._first_pts: int | None = None
        self._camera_ns: int | None = None
        self._stated: int | None = None

    @property
    def label(self) -> str:
        return printable(str(self._path))

    @property
    def camera_ns(self) -> int | None:
        return self._camera_ns

    def open(self) -> SourceFacts:
        stream = self._reopen("AUTO")
        context = stream.codec_context
        if not context.width or not context.height:
            self.close()
            raise CameraError(f"{self._path} states no size of its frames; is it a whole video?")
        self._stated = stream.frames or None
        facts = SourceFacts(
            width=context.width,
            height=context.height,
            rate_hz=float(stream.average_rate) if stream.average_rate else None,
            frames=self._stated,
            settings={"codec": context.name, "pixel_format": context.pix_fmt},
        )
        if self._first_turns() % 2:
            facts = replace(facts, width=facts.height, height=facts.width)
        self.rewind()
        return facts

    def rewind(self) -> None:
        self._read = 0
        self._frames = self._all_frames()

    def read(self, out: Image) -> Advance:
        frame = self._next()
        if isinstance(frame, Advance):
            return frame
        width, height = (frame.height, frame.width) if _turns(frame) % 2 else (frame.width, frame.height)
        if (height, width) != out.shape:
            raise CameraLostError(
                f"{self._path}: frame {self._read - 1} has {width}x{height} pixels, "
                f"the video {out.shape[1]}x{out.shape[0]}; re-encode it in one size"
            )
        _write_gray(frame, out)
        return Advance.FRAME

    def skip(self) -> Advance:
        frame = self._next()
        return frame if isinstance(frame, Advance) else Advance.FRAME

    def close(self) -> None:
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def _next(self) -> VideoFrame | Advance:
        frame = next(self._frames, Advance.END)
        if isinstance(frame, Advance):
            return frame
        if self._read == 0:
            self._first_pts = frame.pts
        self._read += 1
        if frame.pts is None or self._first_pts is None or frame.time_base is None:
            self._camera_ns = None
        else:
            self._camera_ns = round((frame.pts - self._first_pts) * frame.time_base * NS_PER_S)
        return frame

    def _reopen(self, threads: str) -> VideoStream:
        """Open the file at its beginning.

        Parameters
        ----------
        threads : str
            ``AUTO`` decodes frames in parallel, ``NONE`` one packet at a time.
        """
        import av

        if self._container is not None:
            self._container.close()
            self._container = None
        if not self._path.is_file():
            raise CameraError(f"there is no video file {self._path}")
        try:
            container = av.open(str(self._path))
        except (av.FFmpegError, ValueError) as error:
            raise CameraError(f"{self._path} cannot be opened as a video: {error}") from error
        if not container.streams.video:
            container.close()
            raise CameraError(f"{self._path} has no video stream")
        self._container = container
        stream = container.streams.video[0]
        stream.thread_type = threads
        return stream

    def _first_turns(self) -> int:
        """Return by how many quarters the first frame is turned; 0 where none can be decoded."""
        try:
            return next((_turns(frame) for frame in self._decode("NONE")), 0)
        except (_DamagedError, CameraLostError):
            return 0

    def _all_frames(self) -> Iterator[VideoFrame | Advance]:
        """Every frame, then an error if those were not all.

        Parallel decoding gives up a few good frames before a damaged one, so from the first damage the file is
        read again without it: busy for each frame that was there before.
        """
        delivered = 0
        try:
            for frame in self._decode("AUTO"):
                delivered += 1
                yield frame
        except _DamagedError:
            try:
                for number, frame in enumerate(self._decode("NONE")):
                    if number < delivered:
                        yield Advance.BUSY
                    else:
                        delivered += 1
                        yield frame
            except _DamagedError as damage:
                stated = f" of {self._stated}" if self._stated else ""
                raise CameraLostError(
                    f"{self._path} is damaged at frame {delivered}{stated}: {damage}"
                ) from damage

    def _decode(self, threads: str) -> Iterator[VideoFrame]:
        import av

        stream = self._reopen(threads)
        container = cast("InputContainer", stream.container)
        packets = frames = 0
        start_s = end_s = last_s = 0.0
        try:
            for packet in container.demux(stream):
                packets += packet.size > 0
                if packet.size and packet.pts is not None and not packet.is_discard:
                    last_s = max(last_s, float(packet.pts * (packet.time_base or Fraction(0))))
                try:
                    decoded = _decode_packet(packet)
                except (av.FFmpegError, _DamagedError):
                    if threads == "NONE":
                        yield from _held_back(stream, packet)
                    raise
                for frame in decoded:
                    if frame.is_corrupt:
                        raise _DamagedError("the decoder calls its picture corrupt")
                    frames += 1
                    if frame.time is not None:
                        lasts_s = float(frame.duration * (frame.time_base or Fraction(0)))
                        start_s, end_s = frame.time, max(end_s, frame.time + lasts_s)
                    yield frame
        except av.FFmpegError as error:
            raise _DamagedError(str(error)) from error
        short = _shortfall(stream, packets, frames, start_s, end_s) or self._undecoded(
            stream, packets, frames, last_s - start_s
        )
        if short is not None:
            raise CameraLostError(f"{self._path} is cut off after frame {frames - 1}: {short}")

    def _undecoded(self, stream: VideoStream, packets: int, frames: int, behind_s: float) -> str | None:
        """Say what shows that a stream which reaches its end lacks its last frames, or None.

        Parameters
        ----------
        stream, packets, frames
            As in `_shortfall`.
        behind_s : float
            By how much in seconds the last frame that was decoded comes before the last packet's.
        """
        period_s = 1 / float(stream.average_rate) if stream.average_rate else 0.0
        if frames < packets and behind_s > PERIODS_OF_ROUNDING * period_s:
            # A decoder may pass over an empty packet, such as a disk's zeros after a crash, without a word.
            return f"it holds {frames} frames that can be decoded of the {self._stated or packets} that it states"
        if not self._stated and "mov" in cast("InputContainer", stream.container).format.name:
            with contextlib.suppress(OSError):
                if missing := missing_bytes(self._path):
                    return f"it lacks {missing} bytes of the last part that it states"
        return None


def _decode_packet(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """Decode a packet, unless the file ends within it: some decoders would make up the rest of the picture."""
    if packet.is_corrupt:
        raise _DamagedError("the file ends within it")
    return packet.decode()


def _held_back(stream: VideoStream, damaged: Packet[VideoStream]) -> Iterator[VideoFrame]:
    """Yield the frames before a damaged packet that the decoder still held for reordering."""
    import av

    try:
        rest = stream.decode(None)
    except av.FFmpegError:
        return
    for frame in rest:
        if frame.is_corrupt or frame.pts is None or damaged.pts is None or frame.pts >= damaged.pts:
            return
        yield frame


def _shortfall(stream: VideoStream, packets: int, frames: int, start_s: float, end_s: float) -> str | None:
    """Say by how much a stream that has ended falls short of what its container states, or None.

    Parameters
    ----------
    stream : VideoStream
        The stream that has ended.
    packets, frames : int
        Its packets that were read and its frames that were decoded.
    start_s, end_s : float
        Times in seconds at which its last frame begins and, where the file says how long it lasts, ends.

    Returns
    -------
    str or None
        None for a complete stream. An MP4 file may state frames that its edit list cuts away: it is complete when
        it reaches its stated duration.
    """
    container = cast("InputContainer", stream.container)
    stated_s = _stated_end_s(stream)
    duration_s = (
        stated_s if stated_s is not None else container.duration / 1e6 if container.duration else None
    )
    period_s = 1 / float(stream.average_rate) if stream.average_rate else 0.0
    has_edit_list = "mov" in container.format.name
    exact = stated_s is not None or has_edit_list
    reaches_end = duration_s is not None and (
        max(end_s, start_s + period_s) + PERIODS_OF_ROUNDING * period_s >= duration_s
        if exact
        else start_s + PERIODS_OF_SLACK * period_s >= duration_s
    )
    if stream.frames:
        if packets >= stream.frames or (has_edit_list and reaches_end):
            return None
        return f"it holds {frames} of the {stream.frames} frames that it states"
    others = len(container.streams) > 1 and stated_s is None
    if duration_s is None or reaches_end or others:
        return None
    return f"it ends at {max(end_s, start_s + period_s):.3f} s of the {duration_s:.3f} s that it states"


def _stated_end_s(stream: VideoStream) -> float | None:
    """Return when a Matroska file's video stream ends by its own tag, in seconds; None without a tag."""
    tag = stream.metadata.get("DURATION", "")
    try:
        hours, minutes, seconds = tag.split(":")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return None


def _write_gray(frame: VideoFrame, out: Image) -> None:
    """Write a decoded frame as 8-bit gray (see `VideoCamera`)."""
    import cv2

    turns = _turns(frame)
    if frame.format.name == "gray":
        plane = frame.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        np.copyto(out, np.rot90(rows[: frame.height, : frame.width], turns))
    elif turns:
        gray = cv2.cvtColor(frame.to_ndarray(format="bgr24"), cv2.COLOR_BGR2GRAY)
        np.copyto(out, np.rot90(gray, turns))
    else:
        cv2.cvtColor(frame.to_ndarray(format="bgr24"), cv2.COLOR_BGR2GRAY, dst=out)


def _turns(frame: VideoFrame) -> int:
    """Return by how many quarters, counter-clockwise, a frame is to be turned; 0 for a tag of other angles."""
    return frame.rotation // 90 % 4 if frame.rotation % 90 == 0 else 0

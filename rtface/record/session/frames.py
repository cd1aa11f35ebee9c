"""The recorder of a session's frames: a thread that encodes, behind a queue that never makes wait, and one that syncs."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import DataError, UsageError
from rtface.core.records import FrameMeta, Image
from rtface.record.session import VIDEO_NAME
from rtface.record.session.encoder import VideoCodec, VideoEncoder
from rtface.record.session.entries import Entry, FaultEntry, VideoEntry
from rtface.record.session.rows import FRAMES, pack_frame_row

_WAIT_S = 0.25


class FrameSink(Protocol):
    """What encodes: see `rtface.record.session.encoder.VideoEncoder`."""

    def write(self, image: Image, t_ms: int) -> int:
        """Encode a frame; return how many went into the file."""

    def sync(self) -> None:
        """Put on the disk what is in the file."""

    def close(self) -> int:
        """Complete the file; return how many frames were still held back."""


class FrameIndex(Protocol):
    """Where the frame index goes: a `rtface.record.session.writer.SessionWriter`."""

    def put(self, entry: Entry) -> bool:
        """Take an event."""

    def put_row(self, kind: int, row: bytes) -> bool:
        """Take a row of the frame index."""


class FrameRecorder:
    """Records frames as a video beside the log.

    A frame is copied into one of `slots` buffers. When all wait to be encoded the new frame is dropped and counted:
    unlike a pose it cannot be had cheaper, and the frames before it are as good. What is dropped is in the log, since
    the frame index lacks it and the counts are recorded once a second.

    Parameters
    ----------
    folder : Path
        The session's folder.
    width, height : int
        Pixels of the frames.
    log : FrameIndex
        Where the frame index goes; closed after the recorder.
    codec : str
        See `VideoEncoder`.
    slots : int
        Frames that may wait.
    on_fault : callable
        Called once, in the recorder's thread, when frames can no longer be recorded.
    clock : Clock
        Source of time.
    make_encoder : callable
        Makes the encoder.
    file : str
        Its name in the folder.
    camera_name : str
        Of the camera among several; empty for the only one.
    shift : int
        What is added to the kind of its rows; see `rtface.record.session.rows.CAMERA_STEP`.
    """

    def __init__(
        self,
        folder: Path,
        width: int,
        height: int,
        log: FrameIndex,
        *,
        codec: VideoCodec = "lossless",
        slots: int = 64,
        on_fault: Callable[[FaultEntry], None] = lambda fault: None,
        clock: Clock = SYSTEM_CLOCK,
        make_encoder: Callable[[Path, int, int, VideoCodec], FrameSink] = VideoEncoder,
        file: str = VIDEO_NAME,
        camera_name: str = "",
        shift: int = 0,
    ) -> None:
        self._path = folder / file
        self._camera_name, self._kind = camera_name, FRAMES + shift
        self._shape = (height, width)
        self._log = log
        self._codec: VideoCodec = codec
        self._on_fault = on_fault
        self._clock = clock
        self._make_encoder = make_encoder
        self._free = deque(np.empty(self._shape, np.uint8) for _ in range(slots))
        self._full: queue.SimpleQueue[tuple[Image, int, int] | None] = queue.SimpleQueue()
        self._offered = self._encoded = self._dropped = 0
        self._held: deque[tuple[int, int, int]] = deque()
        self._first_ns: int | None = None
        self._counted_ns = 0
        self._encoder: FrameSink | None = None
        self._accepting = False
        self.fault: FaultEntry | None = None
        self._failing = threading.Lock()
        self._sync_wanted, self._ended = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="rtface-record-frames", daemon=True)
        self._syncing = threading.Thread(target=self._sync, name="rtface-record-sync", daemon=True)

    @property
    def dropped(self) -> int:
        """Frames that were offered and not taken."""
        return self._dropped

    def open(self) -> None:
        """Make the file and begin.

        Raises
        ------
        DataError
            The file cannot be made, or the codec is not there.
        """
        height, width = self._shape
        self._encoder = self._make_encoder(self._path, width, height, self._codec)
        self._counted_ns = self._clock.now_ns()
        self._accepting = True
        self._thread.start()

    def put(self, image: Image, frame: FrameMeta) -> bool:
        """Hand over a copy of a frame, from one thread; False when it was dropped and counted.

        Raises
        ------
        UsageError
            The image is of another shape or dtype.
        """
        if image.shape != self._shape or image.dtype != np.uint8:
            raise UsageError(f"a frame of {image.dtype} {image.shape} for a video of uint8 {self._shape}")
        self._offered += 1
        if not self._accepting or not self._free or self.fault is not None:
            self._dropped += 1
            return False
        slot = self._free.popleft()
        np.copyto(slot, image)
        self._full.put((slot, frame.frame_id, frame.exposure_ns))
        return True

    def close(self, timeout_s: float = 10.0) -> bool:
        """Encode what waits, complete the file and end the thread; True when all this was done in time.

        May be called any number of times. After a fault it returns False.
        """
        if self._encoder is None:
            return False
        if self._accepting:
            self._accepting = False
            self._full.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and self.fault is None

    def _run(self) -> None:
        encoder = self._encoder
        if encoder is None:
            return
        self._syncing.start()
        while (item := self._next()) is not None:
            if self.fault is None:
                self._guarded(functools.partial(self._encode, encoder, *item))
            self._free.append(item[0])
        self._ended = True
        self._sync_wanted.set()
        self._syncing.join()
        self._guarded(lambda: self._index(encoder.close()))
        self._record_counts(ended=True)

    def _sync(self) -> None:
        """Put on the disk what is in the file, when it is time: some disks take longer over it than frames can wait."""
        while self._sync_wanted.wait():
            self._sync_wanted.clear()
            if self._ended or self._encoder is None:
                return
            self._guarded(self._encoder.sync)

    def _next(self) -> tuple[Image, int, int] | None:
        """Wait for the next frame, None at the end; once a second record how far the video has come."""
        while True:
            now_ns = self._clock.now_ns()
            if now_ns - self._counted_ns >= NS_PER_S:
                self._counted_ns = now_ns
                if self.fault is None:
                    self._sync_wanted.set()
                self._record_counts(ended=False)
            with contextlib.suppress(queue.Empty):
                return self._full.get(timeout=_WAIT_S)

    def _encode(self, encoder: FrameSink, image: Image, frame_id: int, exposure_ns: int) -> None:
        if self._first_ns is None:
            self._first_ns = exposure_ns
        self._held.append((frame_id, exposure_ns, zlib.crc32(image.data)))
        self._index(encoder.write(image, (exposure_ns - self._first_ns) // NS_PER_MS))

    def _index(self, written: int) -> None:
        for _ in range(written):
            frame_id, exposure_ns, checksum = self._held.popleft()
            self._log.put_row(self._kind, pack_frame_row(frame_id, self._encoded, exposure_ns, checksum))
            self._encoded += 1

    def _record_counts(self, *, ended: bool) -> None:
        height, width = self._shape
        offered, encoded = self._offered, self._encoded
        self._log.put(
            VideoEntry(
                self._clock.now_ns(),
                self._path.name,
                self._codec,
                width,
                height,
                offered,
                encoded,
                offered - encoded if ended else self._dropped,
                ended,
                self._camera_name,
            )
        )

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do something that may fail; the first failure ends the recording of frames and is a fault."""
        try:
            step()
        except DataError as error:
            self._fail(str(error))
        except Exception as error:  # a silent end would be worse than any fault
            self._fail(f"the frames' recorder failed: {type(error).__name__}: {error}")

    def _fail(self, text: str) -> None:
        with self._failing:
            if self.fault is not None:
                return
            self.fault = FaultEntry(self._clock.now_ns(), "video", text)
        self._log.put(self.fault)
        self._on_fault(self.fault)

"""The thread that publishes pictures, and the copy that the processing thread makes for it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import msgpack
import numpy as np
import zmq

from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import UsageError
from rtface.core.geometry import whole_frame
from rtface.core.records import Crop, Image, Pose
from rtface.publish.keys import Guard
from rtface.publish.peers import SUBSCRIBER_LIMITS, PeerWatch, Takers
from rtface.publish.pictures.measures import fitted, focus_of, histogram_of, jpeg_of
from rtface.publish.pictures.message import SHOWS, TOPICS, PictureMessage, Shows, encode_picture
from rtface.publish.sockets import Context, Socket, bound_socket

SETTING = "publish.pictures.address"

_QUEUE = 4
"""Messages that wait for a slow subscriber: two pictures of each kind."""
_SEND_BUFFER = 1 << 17
"""Bytes that the system keeps for each subscriber: what waits there gets old."""
_LOOK_S = 0.1
"""How often the thread looks who subscribes and who has gone."""
_LOG_EVERY_NS = 10 * NS_PER_S
_CLOSE_WITHIN_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Copied:
    """Pixels of a frame from `area` on, with what was found on all of it."""

    pixels: Image
    area: Crop
    pose: Pose
    crop: Crop
    frame: Crop
    copied_ns: int

    def part(self, area: Crop) -> Image | None:
        """Return the pixels of a part of the frame; None where they were not copied."""
        x, y = area.x - self.area.x, area.y - self.area.y
        if min(x, y) < 0 or x + area.width > self.area.width or y + area.height > self.area.height:
            return None
        return self.pixels[y : y + area.height, x : x + area.width]


class PicturePublisher:
    """Publishes pictures to who subscribes to them; one thread makes, encodes and sends them.

    `offer` belongs to the processing thread and costs it one copy, `per_second` times a second at most, while somebody
    subscribes, and else a comparison. The thread has one picture at a time: a copy that it has not come round to is
    displaced by a newer one. What goes wrong in it is logged and counted, and stops nothing else.

    Parameters
    ----------
    address : str
        ZeroMQ address to bind; port ``*`` takes a free one.
    session : str
        Names this life of the service.
    context : zmq.Context
        Where the socket lives.
    per_second : float
        Pictures of each kind a second, at most.
    quality : int
        Of the JPEG, 1 to 100.
    longest : int
        Pixels of a picture's longer side, at most.
    guard : Guard, optional
        Admits known clients alone; needed for an address beyond loopback. It must be open.
    clock : Clock, optional
        Stamps the messages.
    """

    def __init__(
        self,
        address: str,
        session: str,
        context: Context,
        *,
        per_second: float = 30.0,
        quality: int = 80,
        longest: int = 960,
        guard: Guard | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._wanted_address, self._session, self._context = address, session, context
        self._every_ns = round(NS_PER_S / per_second)
        self._quality, self._longest = quality, longest
        self._guard, self._clock = guard, clock
        self._address = ""
        self._packer = msgpack.Packer()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._wanted: tuple[Shows, ...] = ()
        self._takers = Takers(tuple(TOPICS.values()))
        self._copies: SimpleQueue[_Copied | None] = SimpleQueue()
        self._free: SimpleQueue[Image] = SimpleQueue()
        self._due_ns = 0
        self._numbers: Counter[Shows] = Counter()
        self._sent = self._displaced = self._failed = 0
        self._error = ""
        self._log_ns = 0

    @property
    def address(self) -> str:
        """The address that is bound, with the port that was taken; empty before `open`."""
        return self._address

    def state(self) -> dict[str, Any]:
        """Return how it stands, as plain values for the status; may be called from any thread.

        Returns
        -------
        dict
            ``running``: the thread lives. ``subscribers``: of both kinds of pictures together. ``sent``, ``displaced`` (by
            a newer copy before the thread came round to them), ``failed``: pictures so far. ``error``: the last failure.
        """
        thread = self._thread
        return {
            "running": thread is not None and thread.is_alive(),
            "subscribers": sum(self._takers[topic] for topic in TOPICS.values()),
            "sent": self._sent,
            "displaced": self._displaced,
            "failed": self._failed,
            "error": self._error,
        }

    def open(self) -> None:
        """Bind the socket and start the thread.

        Raises
        ------
        AddressError
            The address cannot be bound, or would need keys.
        """
        if self._thread is not None:
            raise UsageError("the publisher of pictures is open already")
        watches: list[PeerWatch] = []

        def watch(socket: Socket) -> Callable[[], None]:
            socket.setsockopt(zmq.SNDBUF, _SEND_BUFFER)
            watches.append(PeerWatch(self._context, socket, SUBSCRIBER_LIMITS, SETTING))
            return watches[-1].close

        socket, self._address = bound_socket(
            self._context, zmq.XPUB, self._wanted_address, SETTING, _QUEUE, self._guard, watch
        )
        self._closing = False
        self._thread = threading.Thread(
            target=self._run, args=(socket, watches[0]), name="rtface-pictures", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread and give the address back; may be called any number of times."""
        thread, self._closing = self._thread, True
        if thread is None:
            return
        self._copies.put(None)
        thread.join(_CLOSE_WITHIN_S)
        if thread.is_alive():
            _log.error("the thread that publishes pictures did not end")
        self._thread = None

    def offer(self, image: Image, pose: Pose, crop: Crop) -> None:
        """Copy a frame if somebody takes pictures and one is due. Belongs to the processing thread; never waits or fails.

        Parameters
        ----------
        image : ndarray, shape (H, W), uint8
            The frame; may be reused by the caller when this returns.
        pose : Pose
            What was found on it.
        crop : Crop
            The part of it that the network was given.
        """
        wanted, now_ns = self._wanted, pose.stamps.decided_ns
        if not wanted or now_ns < self._due_ns:
            return
        self._due_ns = max(self._due_ns + self._every_ns, now_ns)
        try:
            self._put(image, pose, crop, whole="frame" in wanted)
        except Exception as error:  # of memory, or of a crop that is not the frame's
            self._fail(error)

    def _put(self, image: Image, pose: Pose, crop: Crop, *, whole: bool) -> None:
        frame = whole_frame(image.shape[1], image.shape[0])
        area = frame if whole else crop
        pixels = self._buffer(area.shape)
        np.copyto(pixels, image[area.y : area.y + area.height, area.x : area.x + area.width])
        try:
            displaced = self._copies.get_nowait()
        except Empty:
            displaced = None
        if displaced is not None:
            self._displaced += 1
            self._free.put(displaced.pixels)
        self._copies.put(_Copied(pixels, area, pose, crop, frame, self._clock.now_ns()))

    def _buffer(self, shape: tuple[int, int]) -> Image:
        """Return memory for a copy: new pages cost more than the copy itself."""
        while True:
            try:
                pixels = self._free.get_nowait()
            except Empty:
                return np.empty(shape, np.uint8)
            if pixels.shape == shape:
                return pixels

    def _run(self, socket: Socket, watch: PeerWatch) -> None:
        try:
            while not self._closing:
                if not self._wanted:
                    socket.poll(round(_LOOK_S * 1e3))
                    copied = None
                else:
                    copied = self._next_copy()
                self._takers.read(socket)
                self._wanted = tuple(shows for shows in SHOWS if self._takers[TOPICS[shows]])
                if copied is not None:
                    self._show(socket, copied)
        except zmq.ContextTerminated:
            _log.debug("the context ended before the publisher of pictures was closed")
        except BaseException as error:
            self._fail(error)
            _log.exception("the thread that publishes pictures has ended: there are none any more")
        finally:
            self._wanted = ()
            self._takers.clear()
            watch.close()
            socket.close(0)

    def _next_copy(self) -> _Copied | None:
        try:
            return self._copies.get(timeout=_LOOK_S)
        except Empty:
            return None

    def _show(self, socket: Socket, copied: _Copied) -> None:
        try:
            self._send(socket, copied)
        except zmq.ContextTerminated:
            raise
        except Exception as error:
            self._fail(error)
        finally:
            self._free.put(copied.pixels)
        if self._error and self._clock.now_ns() >= self._log_ns:
            _log.error("%d pictures could not be published so far; the last: %s", self._failed, self._error)
            self._log_ns = self._clock.now_ns() + _LOG_EVERY_NS

    def _fail(self, error: BaseException) -> None:
        self._failed += 1
        self._error = f"{type(error).__name__}: {error}"

    def _send(self, socket: Socket, copied: _Copied) -> None:
        crop = copied.part(copied.crop)
        focus = float("nan") if crop is None else focus_of(crop)
        for shows in self._wanted:
            area = copied.frame if shows == "frame" else copied.crop
            pixels = copied.part(area)
            if pixels is None:  # whoever takes the whole frame has only just come
                continue
            seq = self._numbers[shows]
            self._numbers[shows] += 1
            parts = encode_picture(self._packer, self._message(copied, shows, area, pixels, focus, seq))
            socket.send_multipart(parts, zmq.NOBLOCK)
            self._sent += 1

    def _message(
        self, copied: _Copied, shows: Shows, area: Crop, pixels: Image, focus: float, seq: int
    ) -> PictureMessage:
        pose = copied.pose
        histogram, saturated = histogram_of(pixels)
        picture = fitted(pixels, self._longest)
        jpeg = jpeg_of(picture, self._quality)
        return PictureMessage(
            shows=shows,
            frame_id=pose.frame.frame_id,
            camera_ns=pose.frame.camera_ns,
            stamps=pose.stamps,
            copied_ns=copied.copied_ns,
            published_ns=self._clock.now_ns(),
            width=picture.shape[1],
            height=picture.shape[0],
            area=Crop(area.x, area.y, area.width, area.height),
            frame_width=copied.frame.width,
            frame_height=copied.frame.height,
            crop=copied.crop,
            xy=pose.xy,
            score=pose.score,
            outside=pose.outside,
            view_ok=pose.view_ok,
            saturated=saturated,
            histogram=histogram,
            focus=focus,
            jpeg=jpeg,
            session=self._session,
            seq=seq,
        )

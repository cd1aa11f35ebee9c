"""The socket that a client receives pictures on: the newest one, however slow its reader is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import zmq

from rtface.core.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from rtface.core.defaults import LOOPBACK_PICTURES
from rtface.core.errors import UsageError, WireError
from rtface.publish.address import is_loopback
from rtface.publish.keys import load_client_keys
from rtface.publish.pictures.message import MAX_JPEG, SHOWS, TOPICS, PictureMessage, Shows, decode_picture
from rtface.publish.receiver import Ages, Gaps
from rtface.publish.sockets import Context, Socket, connected_socket

_QUEUE = 4
_RECEIVE_BUFFER = 1 << 17
"""Bytes that the system keeps: what waits there gets old."""
_LOOK_MS = 1_000
_SETTLE_MS = 2
"""Pictures that waited follow each other closer than this."""
_MOST_WAITING = 1_000
_FRESH_MS = 100
"""How long a reader that was slow waits for a picture that was sent while it waits."""


class PictureSubscriber:
    """Receives pictures from a service that publishes them. Belongs to one thread; use it in a ``with`` block.

    It connects at once and finds a service that is started later. Where a client has said `Client.hello`, its
    `pictures_address` is the address, and `Client.ping` measures the offset that `correct` takes.

    Parameters
    ----------
    address : str
        Where the service publishes pictures.
    shows : str or iterable of str
        What to receive: ``frame``, ``crop`` or both; see `show`.
    keys : path, optional
        The folder that was handed over to this client, for a service that needs keys.

    Attributes
    ----------
    malformed : int
        Messages so far that were not of rtface's protocol, and passed over.

    Raises
    ------
    AddressError
        The address is malformed, or the keys cannot be loaded.
    """

    def __init__(
        self,
        address: str = LOOPBACK_PICTURES,
        shows: Shows | Iterable[Shows] = "frame",
        keys: Path | str | None = None,
    ) -> None:
        loaded = None if keys is None else load_client_keys(Path(keys))
        self.malformed = 0
        self._ages = Ages(0 if is_loopback(address) else None)
        self._gaps: dict[Shows, Gaps] = {each: Gaps() for each in SHOWS}
        self._held: dict[Shows, PictureMessage] = {}
        self._shows: set[Shows] = set()
        self._context: Context = zmq.Context()
        try:
            self._socket: Socket = connected_socket(
                self._context, zmq.SUB, address, _QUEUE, loaded, longest=MAX_JPEG, buffer=_RECEIVE_BUFFER
            )
        except BaseException:
            self._context.destroy(0)
            raise
        self.show(shows)

    def __enter__(self) -> PictureSubscriber:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; may be called any number of times."""
        self._socket.close(0)
        self._context.term()

    def show(self, shows: Shows | Iterable[Shows]) -> None:
        """Receive these pictures from now on: ``frame`` (all that the camera sees), ``crop``, both, or none.

        Raises
        ------
        UsageError
            There is no such picture, or the subscriber is closed.
        """
        self._check_open()
        wanted: set[Shows] = {shows} if isinstance(shows, str) else set(shows)
        if strange := wanted - set(SHOWS):
            raise UsageError(f"a picture shows {' or '.join(SHOWS)}, not {', '.join(map(str, strange))}")
        for each in SHOWS:
            if each in wanted - self._shows:
                self._socket.setsockopt(zmq.SUBSCRIBE, TOPICS[each])
                self._gaps[each] = Gaps()  # what is sent while nobody asks is no loss
            elif each in self._shows - wanted:
                self._socket.setsockopt(zmq.UNSUBSCRIBE, TOPICS[each])
                self._held.pop(each, None)
        self._shows = wanted

    def correct(self, offset_ns: int, session: str | None = None) -> None:
        """Take a measured offset of the service's clock for the ages to come; as `rtface.publish.receiver.Ages.correct`."""
        self._ages.correct(offset_ns, session)

    def next(self, timeout_s: float | None = None) -> PictureMessage | None:
        """Wait for the newest picture.

        Of each kind that is received the newest counts: older ones that waited are passed over, and counted in its
        `skipped`. Where several waited, the queues were full and the newest was lost: then the next one is waited for, up
        to 0.1 s.

        Parameters
        ----------
        timeout_s : float, optional
            Seconds to wait; for ever when absent.

        Returns
        -------
        PictureMessage or None
            None when none came in time. What its `jpeg` holds is not checked.

        Raises
        ------
        UsageError
            The subscriber is closed.
        """
        self._check_open()
        deadline_ns = None if timeout_s is None else monotonic_ns() + round(timeout_s * NS_PER_S)
        while True:
            slow = self._take_all()
            if slow and (left_ms := _left_ms(deadline_ns, _FRESH_MS)) > 0 and self._socket.poll(left_ms):
                self._take_all()
            if self._held:
                return self._held.pop(next(iter(self._held)))
            if (left_ms := _left_ms(deadline_ns, _LOOK_MS)) <= 0:
                return None
            self._socket.poll(left_ms)

    def _check_open(self) -> None:
        if self._socket.closed:
            raise UsageError("the subscriber of pictures is closed")

    def _take_all(self) -> bool:
        """Take what is there, though never without end; return whether it had queued up.

        Then what still lies with the system is taken too.
        """
        queued = False
        for _ in range(_MOST_WAITING):
            if not self._socket.poll(_SETTLE_MS if queued else 0):
                break
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            queued = self._keep(parts) or queued
        return queued

    def _keep(self, parts: list[bytes]) -> bool:
        """Keep a picture in place of an older one; return whether there was one."""
        try:
            found = decode_picture(parts)
        except WireError:
            self.malformed += 1
            return False
        if found.shows not in self._shows:
            return False
        received_ns = monotonic_ns()
        missed, restarted = self._gaps[found.shows].before(found)
        if restarted:
            self._ages.restarted(found.session)
        older = self._held.pop(found.shows, None)
        self._held[found.shows] = replace(
            found,
            received_ns=received_ns,
            age_ns=self._ages.of(found.session, found.stamps.exposure_ns, received_ns),
            missed=missed + (0 if older is None else older.missed),
            skipped=0 if older is None else older.skipped + 1,
            restarted=restarted or (older is not None and older.restarted),
        )
        return older is not None


def _left_ms(deadline_ns: int | None, most_ms: int) -> int:
    """Return the milliseconds up to a deadline, `most_ms` at most."""
    if deadline_ns is None:
        return most_ms
    return min(most_ms, -(-(deadline_ns - monotonic_ns()) // NS_PER_MS))

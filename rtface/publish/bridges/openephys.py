"""The bridge to Open Ephys: light as TTL events, all other events as texts, by request and reply to its plug-in."""

from __future__ import annotations

from collections import deque

import zmq

from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import AddressError
from rtface.publish.address import is_address
from rtface.publish.as_json import Published
from rtface.publish.bridges.base import BridgeCounts
from rtface.publish.bridges.happenings import in_short
from rtface.publish.events import TOPIC_EVENTS, EventMessage
from rtface.publish.sockets import Context, Socket, connected_socket

_ANSWER_NS = 2 * NS_PER_S
_HANDLED = b"TTLHandled"
_LIGHT = {"light_on": 1, "light_off": 0, "train_ended": 0}
_MOST_CHARACTERS = 1_000
_NOBODY = "nobody listens there; is the plug-in Network Events in Open Ephys' signal chain?"


class OpenEphysBridge:
    """Sends each event as a request, and counts as sent what was answered; as `Bridge`.

    It waits for no answer. What cannot be handed over at once, since nobody is there, is given up: an event that comes late
    would be recorded at a wrong time.

    Parameters
    ----------
    context : zmq.Context
    address : str
        Where the plug-in listens.
    line : int
        The TTL line that follows the light, from 1.
    queue : int
        Requests that may wait for their answer.
    clock : Clock, optional
    """

    topics = (TOPIC_EVENTS,)

    def __init__(
        self, context: Context, address: str, line: int, queue: int, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.counts = BridgeCounts()
        self._context, self._address, self._line, self._queue = context, address, line, queue
        self._clock = clock
        self._socket: Socket | None = None
        self._asked: deque[tuple[int, bool]] = deque()

    def open(self) -> str:
        """As `Bridge.open`: connects, and binds nothing."""
        if not is_address(self._address):
            raise AddressError(f"{self._address!r} is not an address; write tcp://HOST:PORT")
        self._socket = connected_socket(self._context, zmq.DEALER, self._address, self._queue, None)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # keep nothing for a plug-in that is not there
        self._socket.disconnect(self._address)
        self._socket.connect(self._address)
        return ""

    def look(self) -> None:
        """As `Bridge.look`: takes the answers that have come, and gives up those that have not."""
        socket = self._socket
        if socket is None:
            return
        while self._asked and socket.poll(0):
            _, is_light = self._asked.popleft()
            answer = socket.recv_multipart(zmq.NOBLOCK)[-1]
            if is_light and not answer.startswith(_HANDLED):
                self.counts.fail(
                    f"Open Ephys answered {answer.decode(errors='replace')[:100]!r} to a TTL event"
                )
            else:
                self.counts.sent += 1
        if self._asked and self._clock.now_ns() - self._asked[0][0] > _ANSWER_NS:
            for _ in self._asked:
                self.counts.fail(f"{self._address}: no answer within {_ANSWER_NS // NS_PER_S} s")
            self.close()  # answers come in order, and one that is late would be taken for another's
            self.open()

    def takes_features(self) -> bool:
        """As `Bridge.takes_features`: there is no form for them."""
        return False

    def take(self, message: Published) -> None:
        """As `Bridge.take`."""
        if isinstance(message, EventMessage):
            self.look()
            text = self._text_of(message)
            self._send(text, text.startswith("TTL "))

    def close(self) -> None:
        """As `Bridge.close`."""
        socket, self._socket = self._socket, None
        self._asked.clear()
        if socket is not None:
            socket.close(0)

    def _text_of(self, event: EventMessage) -> str:
        """Return a request: of all that the plug-in takes for a command only TTL, whatever a client has marked."""
        of, what = in_short(event)
        if event.kind == "light" and what in _LIGHT:
            return f"TTL Line={self._line} State={_LIGHT[what]}"
        return f"rtface {event.t_ns} {event.kind}/{of}/{what}"[:_MOST_CHARACTERS].replace("\0", " ")

    def _send(self, text: str, is_light: bool) -> None:
        socket = self._socket
        if socket is None or len(self._asked) >= self._queue:
            self.counts.fail(f"{self._address}: {self._queue} requests wait for their answer")
            return
        try:
            socket.send_multipart((b"", text.encode(errors="replace")), zmq.NOBLOCK)
        except zmq.Again:
            self.counts.fail(f"{self._address}: {_NOBODY}")
            return
        self._asked.append((self._clock.now_ns(), is_light))

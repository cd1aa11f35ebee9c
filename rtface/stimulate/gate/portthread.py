"""The one thread that owns the gate's port: it writes, reads, and keeps the heartbeat's time."""

from __future__ import annotations

import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable

from rtface.core.clock import NS_PER_S, Clock
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputReason
from rtface.core.realtime import prefer_this_thread
from rtface.stimulate.gate.link import GateLink
from rtface.stimulate.serialport import SerialPort

Command = Callable[[GateLink, int], None]

_MOST_WAITING = 256


class PortThread:
    """Runs a link over a port until `end`.

    Parameters
    ----------
    port : SerialPort
        Closed when the thread ends.
    link : GateLink
        Touched by this thread alone, but for its public values.
    clock : Clock

    Attributes
    ----------
    priority : str
        What the system gave the thread; see `rtface.core.realtime.prefer_this_thread`.
    """

    def __init__(self, port: SerialPort, link: GateLink, clock: Clock) -> None:
        self.priority = "normal"
        self._port = port
        self._link = link
        self._clock = clock
        self._commands: deque[Command] = deque()
        self._ending = self._ended = False
        self._piping = threading.Lock()  # the sockets are closed once nobody writes to it
        self._wake_reader, self._wake_writer = socket.socketpair()  # a pipe cannot be waited for on Windows
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rtface-gate", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._began.wait()

    def hand(self, command: Command) -> bool:
        """Have the thread carry a command out at once; never waits. False: too many wait already, or the thread has ended."""
        if len(self._commands) >= _MOST_WAITING or self._ended:
            return False
        self._commands.append(command)
        self._wake()
        return True

    def end(self, timeout_s: float) -> bool:
        """Write what is left, end, and close the port; True when it has."""
        self._ending = True
        self._wake()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        with self._piping:
            self._wake_writer.close()
            self._wake_reader.close()
        return True

    def _wake(self) -> None:
        with self._piping:
            if self._wake_writer.fileno() < 0:
                return
            try:
                self._wake_writer.send(b"\0")
            except BlockingIOError:
                return

    def _run(self) -> None:
        self.priority = prefer_this_thread()
        self._began.set()
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._wake_reader, selectors.EVENT_READ)
                selector.register(self._port, selectors.EVENT_READ)
                self._serve(selector)
        finally:
            self._ended = True
            if not self._ending:  # killed: nobody carries anything out any more, and no heartbeat goes out
                self._link.lose(OutputReason.PORT, self._clock.now_ns(), "the port's thread has ended")
            self._port.close()

    def _serve(self, selector: selectors.BaseSelector) -> None:
        """Turn until `end`; a port that fails, or a fault in here, loses the gate, but not the thread."""
        reading = True
        while True:
            try:
                self._turn(selector)
            except OutputError as error:
                self._link.lose(OutputReason.PORT, self._clock.now_ns(), str(error))
            except Exception as error:  # whatever it is, the heartbeat must not go on without answers
                self._link.lose(OutputReason.PORT, self._clock.now_ns(), repr(error))
            if reading and self._link.failure is not None:
                reading = False
                selector.unregister(self._port)
            if self._ending and not self._commands:
                return

    def _turn(self, selector: selectors.BaseSelector) -> None:
        link, clock = self._link, self._clock
        while self._commands:
            self._commands.popleft()(link, clock.now_ns())
        if link.failure is None:
            if outgoing := link.requests.outgoing:
                link.wrote(self._port.write(outgoing), clock.now_ns())
            due_ns = link.due_ns
        else:
            due_ns = None
        if self._ending:
            return
        wait_s = None if due_ns is None else max(0.0, (due_ns - clock.now_ns()) / NS_PER_S)
        ready = {key.fd for key, _ in selector.select(wait_s)}
        if self._wake_reader.fileno() in ready:
            self._wake_reader.recv(4096)
        if link.failure is None:
            polled_ns = clock.now_ns()  # before the read: what had come until then is not silence
            if self._port.fileno() in ready and (data := self._port.read()):
                link.received(data, clock.now_ns())
            link.tick(polled_ns)

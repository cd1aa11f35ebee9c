"""A serial port where the system cannot wait for one as for a socket: read by a thread, handed on by a pair of sockets."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

_CHUNK = 4096
_LOOK_S = 0.1
"""How long the thread waits for bytes before it looks whether it is to end."""


class SerialRelay:
    """The bytes of an open port, which can be waited for with `selectors`.

    Parameters
    ----------
    port : serial.Serial
        Open; closed by `close`.
    """

    def __init__(self, port: Any) -> None:
        self._port = port
        self._port.timeout = _LOOK_S
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._closing = False
        self._thread = threading.Thread(target=self._read_on, name="rtface-serial", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Return the descriptor of a socket that has what the port has read."""
        return self._here.fileno()

    def read(self) -> bytes:
        """Return the bytes that are there; empty when the port has ended; `BlockingIOError` when there are none."""
        return self._here.recv(_CHUNK)

    def write(self, data: bytes) -> int:
        """Hand bytes to the port; return how many it took. `OSError` when it is gone."""
        return int(self._port.write(data) or 0)

    def close(self) -> None:
        """End the thread and give the port back; `OSError` where that fails."""
        self._closing = True
        self._thread.join()
        self._here.close()
        self._port.close()

    def _read_on(self) -> None:
        with self._there, suppress(OSError):  # a port that is gone: the other socket then reads as ended
            while not self._closing:
                if data := self._port.read(1):
                    self._there.sendall(data + self._port.read(self._port.in_waiting))

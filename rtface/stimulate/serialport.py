"""A serial port that `selectors` can wait for: opened by pyserial, which is imported here alone, and never waited for."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from rtface.core.errors import OutputError
from rtface.stimulate.serialrelay import SerialRelay

with suppress(ImportError):  # not on Windows
    import termios

RELAYED = sys.platform == "win32"
"""Whether this system's ports are no descriptors that can be waited for, so that a thread reads each."""

_CHUNK = 4096


class _Descriptor:
    """The bytes of an open port as its own file descriptor: nothing lies between."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self._number: int = port.fileno()
        if sys.platform == "win32":
            raise NotImplementedError("ports are RELAYED here")
        os.set_blocking(self._number, False)
        attributes = termios.tcgetattr(self._number)
        attributes[6][termios.VMIN] = 1  # so that an empty read means the end, not "nothing yet"
        termios.tcsetattr(self._number, termios.TCSANOW, attributes)

    def fileno(self) -> int:
        return self._number

    def read(self) -> bytes:
        return os.read(self._number, _CHUNK)

    def write(self, data: bytes) -> int:
        return os.write(self._number, data)

    def close(self) -> None:
        self._port.close()


class SerialPort:
    """An open port, exclusive to this process where the system can promise that.

    Parameters
    ----------
    path : str
        The device, for instance ``/dev/ttyACM0`` or ``COM3``.
    baud : int
        Bits per second.
    dtr : bool
        Level of the line that resets an Arduino when it rises at opening.

    Attributes
    ----------
    low_latency : bool
        The driver hands bytes over at once (an FTDI chip else waits 16 ms).

    Raises
    ------
    OutputError
        The port is not there, may not be used, is in use, or cannot run at `baud`.
    """

    def __init__(self, path: str, baud: int, *, dtr: bool = True) -> None:
        import serial

        self.path = path
        port: Any = serial.Serial()
        port.port, port.baudrate, port.timeout, port.write_timeout = path, baud, 0, 0
        port.exclusive = True
        if not dtr:
            port.dtr = False
        try:
            port.open()
            port.reset_input_buffer()
        except (serial.SerialException, OSError, ValueError) as error:
            raise OutputError(_why(path, error)) from error
        self.low_latency = _low_latency(port)
        self._bytes: SerialRelay | _Descriptor = SerialRelay(port) if RELAYED else _Descriptor(port)

    def fileno(self) -> int:
        """Return the descriptor to wait for; one line, for `selectors`."""
        return self._bytes.fileno()

    def read(self) -> bytes:
        """Return the bytes that are there; empty when none are.

        Raises
        ------
        OutputError
            The port is gone.
        """
        try:
            data = self._bytes.read()
        except BlockingIOError:
            return b""
        except OSError as error:
            raise OutputError(f"{self.path} is gone: {error.strerror or error}") from error
        if not data:
            raise OutputError(f"{self.path} is gone: it has ended")
        return data

    def write(self, data: bytes) -> int:
        """Hand bytes to the system; return how many it took.

        Raises
        ------
        OutputError
            The port is gone.
        """
        try:
            return self._bytes.write(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise OutputError(f"{self.path} is gone: {error.strerror or error}") from error

    def send(self, data: bytes) -> None:
        """Hand all bytes to the system.

        Raises
        ------
        OutputError
            The port is gone, or takes no more.
        """
        if self.write(data) != len(data):
            raise OutputError(f"{self.path} takes no more bytes: the device does not read them")

    def close(self) -> None:
        """Give the port back; never raises."""
        try:
            self._bytes.close()
        except OSError:
            return


def _low_latency(port: Any) -> bool:
    try:
        port.set_low_latency_mode(True)
    except (AttributeError, OSError, ValueError, NotImplementedError):
        return False
    return True


def _why(path: str, error: BaseException) -> str:
    number = getattr(error, "errno", None)
    if "exclusively lock" in str(error):
        return f"{path} is in use by another program; close that first"
    if isinstance(number, int):
        hint = {2: "; is it plugged in?", 13: "; add yourself to the group that owns it (often dialout)"}
        return f"{path} cannot be opened: {os.strerror(number)}{hint.get(number, '')}"
    return f"{path} cannot be opened: {error}"

"""Ports for what ends and begins again at the same address."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, suppress


def pair_of_ports() -> int:
    """Return a port that is free with the next one, where no other screen begins and no connection is given one."""
    for port in range(10_000 + os.getpid() % 5_000 * 2, 32_000, 2):
        with ExitStack() as tried, suppress(OSError):
            for each in (port, port + 1):
                tried.enter_context(socket.socket()).bind(("127.0.0.1", each))
            return port
    raise AssertionError("no port is free")

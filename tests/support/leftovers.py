"""A watch that nothing outlives its test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import zmq


@contextmanager
def nothing_left_behind(known: frozenset[str] = frozenset()) -> Iterator[None]:
    """Fail where the block leaves a thread, a child process, a ZeroMQ context or a listening socket behind.

    Parameters
    ----------
    known : frozenset of str
        Names of programs whose processes come and go: a browser's.
    """
    threads, children, sockets = set(threading.enumerate()), _children(known), _sockets()
    yield
    left = [thread for thread in threading.enumerate() if thread not in threads and thread.is_alive()]
    for thread in left:
        thread.join(timeout=2)
    left = [thread for thread in left if thread.is_alive()]
    assert not left, f"the test left threads behind: {left}"
    assert not (more := _children(known) - children), f"the test left processes behind: {more}"
    assert not (more := _sockets() - sockets), f"the test left listening sockets behind: {more}"
    instance = zmq.Context._instance
    assert instance is None or instance.closed, (
        "the test used the process-wide ZeroMQ context and left it open"
    )


def _children(known: frozenset[str]) -> set[int]:
    found = psutil.Process().children(recursive=True)
    return {child.pid for child in found if not known or _name(child) not in known}


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def _sockets() -> set[tuple[object, ...]]:
    """Listening sockets of this process: what a forgotten server leaves behind."""
    return {
        (connection.laddr, connection.type)
        for connection in psutil.Process().net_connections()
        if connection.status == psutil.CONN_LISTEN
    }

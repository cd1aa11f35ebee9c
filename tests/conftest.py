"""What all tests share: the real recordings, and a watch that nothing outlives its test."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import zmq

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the checkout; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("RTFACE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the real recordings (../shared/data or RTFACE_SHARED_DATA) are not on this machine")
    return folder


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def _sockets() -> set[tuple[object, ...]]:
    """Listening sockets of this process: what a forgotten server leaves behind."""
    return {
        (connection.laddr, connection.type)
        for connection in psutil.Process().net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, a child process, a ZeroMQ context or a listening socket behind."""
    threads, children, sockets = set(threading.enumerate()), _children(), _sockets()
    yield
    left = [thread for thread in threading.enumerate() if thread not in threads and thread.is_alive()]
    for thread in left:
        thread.join(timeout=2)
    left = [thread for thread in left if thread.is_alive()]
    assert not left, f"the test left threads behind: {left}"
    assert not (more := _children() - children), f"the test left processes behind: {more}"
    assert not (more := _sockets() - sockets), f"the test left listening sockets behind: {more}"
    instance = zmq.Context._instance
    assert instance is None or instance.closed, "the test used the process-wide ZeroMQ context and left it open"

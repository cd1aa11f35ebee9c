"""Bytes beside each frame travel with its slot, and a camera in a process of its own can be asked for more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.outside_cameras import outside, outside_beside

from rtface.acquire.outside.camera import OutsideCamera
from rtface.acquire.outside.passage import AVAILABLE
from rtface.core.errors import CameraLostError, UsageError

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="this system has no way for it")

BYTES = 24


@pytest.fixture
def camera() -> Iterator[OutsideCamera]:
    made = outside_beside(BYTES, width=33, height=31, every_ms=1.0)
    made.open()
    yield made
    made.close()


def frames(camera: OutsideCamera, count: int) -> Iterator[tuple[int, np.ndarray, set[int]]]:
    found = 0
    while found < count:
        slot = camera.take(1.0)
        if slot is None:
            continue
        assert slot.meta is not None
        yield (
            slot.meta.frame_id,
            np.frombuffer(slot.beside.tobytes(), np.int64),
            set(slot.pixels.ravel().tolist()),
        )
        camera.release(slot)
        found += 1


def test_what_lies_beside_a_frame_is_its_own(camera: OutsideCamera) -> None:
    camera.start()
    for number, beside, pixels in frames(camera, 200):
        assert beside.tolist() == [number] * (BYTES // 8)
        assert pixels == {number % 256}, "neither runs into the other"


def test_a_method_is_called_there_also_while_frames_come(camera: OutsideCamera) -> None:
    assert camera.call("added", 20.0, one=2, other=3)["sum"] == 5
    camera.start()
    for number, _, _ in frames(camera, 20):
        said = camera.call("added", 20.0, one=number, other=1)
        assert (said["sum"], said["pid"]) == (number + 1, camera.pid)
        assert said["pid"] != os.getpid()


@pytest.mark.parametrize(
    ("method", "said"), [("refused", "it will not"), ("_close", "nothing that is called _close")]
)
def test_what_is_refused_there_is_raised_here(camera: OutsideCamera, method: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        camera.call(method, 20.0)
    camera.start()
    assert next(frames(camera, 1))[1] is not None


def test_a_process_that_dies_while_it_is_asked_is_a_lost_camera(camera: OutsideCamera) -> None:
    camera.kill()
    with pytest.raises(CameraLostError, match="was ended by SIGKILL"):
        camera.call("added", 20.0, one=1, other=1)


def test_a_camera_that_has_nothing_beside_has_no_bytes_and_no_calls() -> None:
    camera: Any = outside(width=33, height=31)
    camera.open()
    try:
        with pytest.raises(UsageError, match="nothing that is called added"):
            camera.call("added", 20.0, one=1, other=1)
        camera.start()
        slot = camera.take(20.0)
        assert slot.beside.size == 0
        camera.release(slot)
    finally:
        camera.close()

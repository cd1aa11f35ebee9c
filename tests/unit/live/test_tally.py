"""What the pipeline counts, summed up about once a second."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
from support.manual_loop import CAMERA

from rtface.core.clock import NS_PER_MS, NS_PER_S
from rtface.core.records import FrameMeta, Pose, Stamps
from rtface.live.tally import Tally


def pose(number: int, exposure_ns: int, view_ok: float = 0.8) -> Pose:
    none = np.zeros(1, np.float32)
    return Pose(
        FrameMeta(number, exposure_ns, exposure_ns),
        Stamps(*([exposure_ns] * 6)),
        np.zeros((1, 2), np.float32),
        none,
        np.zeros(1, np.bool_),
        view_ok=view_ok,
    )


def test_a_gap_ends_rate_and_view_until_the_next_tick() -> None:
    stream: Any = SimpleNamespace(info=CAMERA)
    tally = Tally(stream, SimpleNamespace(lost=0), NS_PER_S)  # type: ignore[arg-type]
    tally.begin(0)
    for number in range(50):
        tally.add(pose(number, number * 20 * NS_PER_MS), 0, 0)
    assert not tally.tick(NS_PER_S - 1)
    assert (tally.rate_hz, tally.frames) == (0.0, 50)
    assert tally.tick(NS_PER_S)
    assert (tally.rate_hz, tally.view_ok) == (50.0, 0.8)
    tally.forget_rate()
    tally.forget_view()
    assert tally.rate_hz == 0.0
    assert math.isnan(tally.view_ok)
    assert tally.tick(2 * NS_PER_S)
    assert tally.rate_hz == 0.0, "no frame came"
    assert math.isnan(tally.view_ok)


def test_a_camera_that_is_back_exposes_as_fast_as_before_it_was_lost() -> None:
    tally = Tally(SimpleNamespace(info=CAMERA), SimpleNamespace(lost=0), NS_PER_S)  # type: ignore[arg-type]
    tally.exposures.begin(CAMERA)
    tally.begin(0)
    for number in range(15):
        tally.add(pose(number, number * 20 * NS_PER_MS), 0, 0)
    tally.forget_rate()
    for number in range(16, 31):
        tally.add(pose(number, number * 20 * NS_PER_MS + 120 * NS_PER_MS), 0, 0)
    tally.tick(NS_PER_S)
    assert tally.exposures.hz == 50.0

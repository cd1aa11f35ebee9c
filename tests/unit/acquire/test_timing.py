"""Triggers in trials, and the rate that a camera really has."""

from __future__ import annotations

import itertools
import logging
import math
from dataclasses import replace

import numpy as np
import pytest

from rtface.acquire.simulated import SimulatedCamera
from rtface.acquire.timing.exposures import ExposureRate, Warner
from rtface.acquire.timing.trials import TriggerTimes
from rtface.acquire.timing.trying import some_frames
from rtface.config import SimulatedCameraSettings, TrialSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S, ManualClock
from rtface.core.records import CameraInfo, FrameMeta, TriggerInfo
from rtface.core.status import CameraStatus

MS, S = NS_PER_MS, NS_PER_S
FREE = CameraInfo("test", "test 1", 64, 48, 100.0, None, True, "camera", {})
TRIGGERED = replace(FREE, trigger=TriggerInfo("Line0", 100.0, 5.0))
IRREGULAR = replace(FREE, rate_hz=None, trigger=TriggerInfo("Line0", None, None))


@pytest.mark.parametrize(
    "trials", [None, TrialSettings(frames=1, pause_s=0.5), TrialSettings(frames=7, pause_s=2)]
)
def test_times_of_triggers_and_their_numbers_belong_together(trials: TrialSettings | None) -> None:
    times = TriggerTimes(30.0, trials)
    at_ns = [times.at_ns(number) for number in range(50)]
    assert at_ns[0] == 0
    for number, each_ns in enumerate(at_ns):
        assert times.newest(each_ns + MS) == number
    gaps = [after - before for before, after in itertools.pairwise(at_ns)]
    pauses = [gap for gap in gaps if gap > S // 30 + 1]
    if trials is None:
        assert not pauses
    else:
        assert pauses == pytest.approx([trials.pause_s * S] * len(pauses), abs=1)
        assert len(pauses) == 49 // trials.frames


def measured(info: CameraInfo, *exposures: tuple[int, float]) -> ExposureRate:
    rate = ExposureRate()
    rate.begin(info)
    for frame_id, time_s in exposures:
        rate.add(frame_id, round(time_s * S))
    rate.tick()
    return rate


def steady(frames: int, hz: float, *, first: int = 0, begin_s: float = 0.0) -> list[tuple[int, float]]:
    return [(first + number, begin_s + number / hz) for number in range(frames)]


def test_a_rate_that_is_kept_is_no_problem_whatever_is_lost() -> None:
    lost = [each for each in steady(100, 100) if each[0] % 3]
    assert measured(FREE, *lost).hz == pytest.approx(100)
    assert measured(FREE, *lost).problem == ""


def test_a_rate_that_is_not_kept_is_said() -> None:
    found = measured(FREE, *steady(50, 50))
    assert found.problem.startswith("the camera exposes 50 frames per second, and says 100")
    assert found.status(CameraStatus(("before",))).problems == ("before", found.problem)


def test_pauses_between_trials_do_not_change_the_rate_of_a_triggered_camera() -> None:
    trials = steady(20, 100) + steady(20, 100, first=20, begin_s=3.0)
    assert measured(TRIGGERED, *trials).hz == pytest.approx(100)
    assert measured(TRIGGERED, *trials).problem == ""


def test_a_gap_of_any_camera_does_not_change_its_rate() -> None:
    assert measured(FREE, *steady(20, 100), *steady(20, 100, first=20, begin_s=9.0)).hz == pytest.approx(100)
    stalled = measured(FREE, *steady(20, 50), *steady(20, 50, first=20, begin_s=9.0))
    assert stalled.hz == pytest.approx(50)
    assert stalled.problem


@pytest.mark.parametrize("gap_s", [0.05, 0.2, 1.1, 9.0])
def test_a_loss_is_no_interval_however_short(gap_s: float) -> None:
    """Of a camera that is back the first frame has a number of its own, two after the last."""
    rate = ExposureRate()
    rate.begin(FREE)
    for number, time_s in steady(15, 100):
        rate.add(number, round(time_s * S))
    rate.interrupt()
    for number, time_s in steady(15, 100, first=16, begin_s=0.15 + gap_s):
        rate.add(number, round(time_s * S))
    rate.tick()
    assert rate.hz == pytest.approx(100)
    assert rate.problem == ""


@pytest.mark.parametrize("hz", [10.0, 50.0, 200.0])
def test_triggers_of_another_rate_are_said(hz: float) -> None:
    said = f"{hz:g} triggered frames come per second, and camera.trigger.rate_hz is 100"
    assert measured(TRIGGERED, *steady(60, hz)).problem == said


def test_irregular_triggers_can_have_any_rate() -> None:
    found = measured(IRREGULAR, *steady(60, 17))
    assert (found.problem, found.hz) == ("", pytest.approx(17))


def test_few_frames_and_those_of_a_file_say_nothing() -> None:
    assert math.isnan(measured(FREE, *steady(20, 50)).hz)
    assert math.isnan(measured(replace(FREE, live=False), *steady(60, 50)).hz)


def test_what_does_not_hold_is_logged_when_it_begins(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    warner = Warner()
    for status in (
        CameraStatus(("a",)),
        CameraStatus(("b",)),
        CameraStatus(),
        CameraStatus(clock="no clock"),
    ):
        warner.look(status)
    assert [record.message[-8:] for record in caplog.records] == ["a", "no clock"]


def simulated(clock: ManualClock, **changes: object) -> SimulatedCamera:
    trigger = {
        "source": "Software",
        "rate_hz": 50,
        "longest_pause_s": 3,
        "trials": {"frames": 4, "pause_s": 2},
    }
    settings = {"width": 64, "height": 64, "repeat": 4, "trigger": trigger, **changes}
    return SimulatedCamera(SimulatedCameraSettings.model_validate(settings), clock)


def test_a_simulated_camera_is_triggered_in_trials() -> None:
    clock = ManualClock(1)
    camera = simulated(clock)
    info = camera.open()
    assert (info.rate_hz, info.trigger) == (50.0, TriggerInfo("Software", 50.0, 3.0))
    metas = some_frames(camera, info, 9, clock)
    begins = [meta.exposure_ns - metas[0].exposure_ns for meta in metas]
    trial = [0, 20 * MS, 40 * MS, 60 * MS]
    assert begins == [*trial, *(2060 * MS + each for each in trial), 4120 * MS]
    assert [meta.trigger_id for meta in metas] == list(range(9))
    assert camera.status.missed_triggers == 0


def test_a_reader_of_trials_who_is_late_finds_the_last_frames_of_the_trial() -> None:
    clock = ManualClock(1)
    camera = simulated(clock, trigger={
        "source": "Software", "rate_hz": 50, "longest_pause_s": 3, "trials": {"frames": 20, "pause_s": 2},
    })  # fmt: skip
    camera.open()
    camera.start()
    clock.sleep_until_ns(clock.now_ns() + S)
    out = np.empty((64, 64), np.uint8)
    metas: list[FrameMeta | None] = [camera.fill(out, 0.01) for _ in range(5)]
    assert [None if meta is None else meta.frame_id for meta in metas] == [16, 17, 18, 19, None]
    assert camera.lost_in_transport == 16


def test_a_camera_whose_triggers_pause_is_waited_for_and_one_that_gets_none_is_not_for_ever() -> None:
    clock = ManualClock(1)
    camera = simulated(clock)
    info = camera.open()
    found = some_frames(camera, info, 100, clock)
    assert 20 < len(found) < 40, "for little longer than a pause and its patience"

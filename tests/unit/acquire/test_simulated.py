from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest

from rtface.acquire.base import EndOfStream
from rtface.acquire.lifecycle import DRIVER_BUFFERS
from rtface.acquire.simulated import SimulatedCamera
from rtface.config import Faults, SimulatedCameraSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S, ManualClock
from rtface.core.errors import CameraLostError, UsageError
from rtface.core.records import FrameMeta, Image
from rtface.simulate.face import MouseFace

START_NS = 5_000_000_123
SEED_LOSING_BOTH_ENDS = 6
"""With 0.6 lost, frames 0, 24 and 39 are among them."""


class SteppingClock(ManualClock):
    """A manual clock that can also be moved by hand, as if the reader had been busy."""

    def pass_ns(self, duration_ns: int) -> None:
        self._now_ns += duration_ns


def make(clock: ManualClock | None = None, **settings: object) -> SimulatedCamera:
    given = {"width": 64, "height": 64, "rate_hz": 300.0, "seed": 4, **settings}
    camera = SimulatedCamera(SimulatedCameraSettings.model_validate(given), clock or SteppingClock(START_NS))
    camera.open()
    camera.start()
    return camera


def memory() -> Image:
    return np.empty((64, 64), np.uint8)


def frames(camera: SimulatedCamera, timeout_s: float = 1.0) -> Iterator[tuple[FrameMeta, Image]]:
    """Yield every frame until the end of the stream."""
    while True:
        out = memory()
        try:
            meta = camera.fill(out, timeout_s)
        except EndOfStream:
            return
        if meta is not None:
            yield meta, out


def rendered(index: int) -> Image:
    out = memory()
    MouseFace(64, 64, 300.0, 4).render(index, out)
    return out


def test_what_the_camera_says_of_itself() -> None:
    camera = SimulatedCamera(
        SimulatedCameraSettings(width=70, height=66, rate_hz=50.0, frames=9, paced=False)
    )
    info = camera.open()
    assert (info.kind, info.width, info.height, info.rate_hz, info.frames) == ("simulated", 70, 66, 50.0, 9)
    assert not info.live
    assert info.exposure_source == "camera"
    assert info.settings["seed"] == 0
    assert SimulatedCamera(SimulatedCameraSettings(width=64, height=64)).open().live
    camera.close()


def test_frames_come_at_their_absolute_times_without_drift() -> None:
    clock = SteppingClock(START_NS)
    camera = make(clock, frames=400)
    for number, (meta, _) in enumerate(frames(camera)):
        due_ns = round(number * NS_PER_S / 300)
        assert meta == FrameMeta(number, START_NS + due_ns, START_NS + due_ns, due_ns)
        clock.pass_ns(number % 3 * NS_PER_MS)  # the reader works for up to 2 ms of the period of 3.3 ms
    assert number == 399
    assert camera.lost_in_transport == camera.lost_at_camera == 0


def test_pictures_are_those_of_the_face_and_so_is_the_truth() -> None:
    camera = make(paced=False, frames=5)
    face = MouseFace(64, 64, 300.0, 4)
    for meta, image in frames(camera):
        assert np.array_equal(image, rendered(meta.frame_id))
        assert np.array_equal(camera.truth(meta.frame_id), face.truth(meta.frame_id), equal_nan=True)


def test_the_picture_is_rendered_before_its_exposure(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteppingClock(START_NS)
    camera = make(clock, frames=20, rate_hz=100.0)
    monkeypatch.setattr(MouseFace, "render", lambda *_: clock.pass_ns(2 * NS_PER_MS))
    metas = [meta for meta, _ in frames(camera)]
    assert metas[0].arrival_ns - metas[0].exposure_ns == 2 * NS_PER_MS  # it was due at once
    assert all(meta.arrival_ns == meta.exposure_ns for meta in metas[1:])


def test_a_few_pictures_repeat_and_none_is_rendered_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = make(SteppingClock(START_NS), frames=20, repeat=7)
    face = MouseFace(64, 64, 300.0, 4)
    expected = [rendered(number) for number in range(7)]
    monkeypatch.setattr(MouseFace, "render", lambda *_: pytest.fail("rendered while it runs"))
    seen = list(frames(camera))
    assert [meta.frame_id for meta, _ in seen] == list(range(20))
    for meta, image in seen:
        assert np.array_equal(image, expected[meta.frame_id % 7])
        assert np.array_equal(camera.truth(meta.frame_id), face.truth(meta.frame_id % 7), equal_nan=True)


def test_fill_gives_up_at_its_timeout_and_loses_nothing() -> None:
    clock = SteppingClock(START_NS)
    camera = make(clock, rate_hz=10.0)
    assert camera.fill(memory(), 0.03) is not None
    for tick in (1, 2, 3):
        assert camera.fill(memory(), 0.03) is None
        assert clock.now_ns() == START_NS + tick * 30 * NS_PER_MS
    meta = camera.fill(memory(), 0.03)
    assert meta is not None
    assert (meta.frame_id, meta.exposure_ns) == (1, START_NS + 100 * NS_PER_MS)


def test_a_reader_within_the_driver_s_buffers_loses_nothing() -> None:
    clock = SteppingClock(START_NS)
    camera = make(clock, rate_hz=100.0)
    camera.fill(memory(), 1)
    clock.pass_ns(49 * NS_PER_MS)
    metas = [camera.fill(memory(), 1) for _ in range(6)]
    assert [meta.frame_id for meta in metas if meta] == [1, 2, 3, 4, 5, 6]
    assert camera.lost_in_transport == 0


def test_a_reader_beyond_them_loses_the_oldest_and_they_are_counted() -> None:
    clock = SteppingClock(START_NS)
    camera = make(clock, rate_hz=100.0)
    camera.fill(memory(), 1)
    clock.pass_ns(205 * NS_PER_MS)  # frames 1 to 20 were exposed meanwhile
    metas = [camera.fill(memory(), 1) for _ in range(DRIVER_BUFFERS + 1)]
    assert [meta.frame_id for meta in metas if meta] == [17, 18, 19, 20, 21]
    assert camera.lost_in_transport == 16
    assert metas[0] is not None
    assert metas[0].exposure_ns == START_NS + 170 * NS_PER_MS
    assert metas[0].arrival_ns == START_NS + 205 * NS_PER_MS


def test_a_reader_who_sleeps_past_the_end_still_gets_the_last_buffers() -> None:
    clock = SteppingClock(START_NS)
    camera = make(clock, rate_hz=100.0, frames=50)
    clock.pass_ns(10 * NS_PER_S)
    assert [meta.frame_id for meta, _ in frames(camera)] == [46, 47, 48, 49]
    assert camera.lost_in_transport == 46


def test_an_unpaced_camera_waits_for_its_reader() -> None:
    clock = SteppingClock(START_NS)
    camera = make(clock, paced=False, frames=30)
    identities = []
    for meta, _ in frames(camera):
        identities.append(meta.frame_id)
        assert meta.exposure_ns == meta.arrival_ns == clock.now_ns()
        clock.pass_ns(NS_PER_S)
    assert identities == list(range(30))
    assert camera.lost_in_transport == 0


@pytest.mark.parametrize("paced", [True, False])
def test_lost_frames_are_gaps_and_counted(paced: bool) -> None:
    camera = make(paced=paced, frames=500, faults={"lost": 0.1})
    identities = [meta.frame_id for meta, _ in frames(camera)]
    assert identities == sorted(set(identities))
    assert 420 < len(identities) < 480
    assert camera.lost_in_transport == 500 - len(identities)
    assert identities == [
        meta.frame_id for meta, _ in frames(make(paced=paced, frames=500, faults={"lost": 0.1}))
    ]
    other = make(paced=paced, frames=500, seed=5, faults={"lost": 0.1})
    assert identities != [meta.frame_id for meta, _ in frames(other)]


@pytest.mark.parametrize("paced", [True, False])
def test_a_camera_that_loses_everything_times_out(paced: bool) -> None:
    camera = make(paced=paced, faults={"lost": 1.0})
    for _ in range(3):
        assert camera.fill(memory(), 0.05) is None
    # paced, 15 frames fall due in each 50 ms and one at their end; else a fill gives up after a fixed number
    assert camera.lost_in_transport == (46 if paced else 3000)


@pytest.mark.parametrize("paced", [True, False])
@pytest.mark.parametrize("faults", [{"lost": 0.6}, {"lost": 0.6, "disconnect_after": 25}, {}])
@pytest.mark.parametrize("busy_ms", [0, 90, 2000])
def test_what_came_and_what_was_lost_add_up_to_all(
    paced: bool, faults: dict[str, float], busy_ms: int
) -> None:
    """The reader is as late before its first frame as after each; with these faults the first and the last are lost."""
    clock = SteppingClock(START_NS)
    camera = make(clock, seed=SEED_LOSING_BOTH_ENDS, paced=paced, rate_hz=100.0, frames=40, faults=faults)
    identities = []
    with contextlib.suppress(CameraLostError):
        clock.pass_ns(busy_ms * NS_PER_MS)
        for meta, _ in frames(camera):
            identities.append(meta.frame_id)
            clock.pass_ns(busy_ms * NS_PER_MS)
    if faults:
        assert identities[0] > 0
        assert identities[-1] < faults.get("disconnect_after", 40) - 1
    assert len(identities) + camera.lost_in_transport == faults.get("disconnect_after", 40)


def test_late_frames_keep_their_true_exposure_and_the_next_queue_behind_them() -> None:
    camera = make(frames=300, rate_hz=100.0, faults={"late": 0.1, "late_ms": 25.0})
    metas = [meta for meta, _ in frames(camera)]
    delays = [meta.arrival_ns - meta.exposure_ns for meta in metas]
    assert [meta.frame_id for meta in metas] == list(range(300))
    assert all(meta.exposure_ns == START_NS + meta.frame_id * 10 * NS_PER_MS for meta in metas)
    assert set(delays) == {delay * NS_PER_MS for delay in (0, 5, 15, 25)}
    assert 10 < delays.count(25 * NS_PER_MS) < 50
    arrivals = [meta.arrival_ns for meta in metas]
    assert arrivals == sorted(arrivals)
    assert camera.lost_in_transport == 0


def test_a_prompt_reader_loses_nothing_to_a_frame_that_is_later_than_the_buffers_are_long() -> None:
    camera = make(frames=300, rate_hz=100.0, faults={"late": 0.02, "late_ms": 20.0 * DRIVER_BUFFERS})
    metas = [meta for meta, _ in frames(camera)]
    assert max(meta.arrival_ns - meta.exposure_ns for meta in metas) == 20 * DRIVER_BUFFERS * NS_PER_MS
    assert [meta.frame_id for meta in metas] == list(range(300))


@pytest.mark.parametrize("paced", [True, False])
def test_a_late_frame_survives_shorter_timeouts(paced: bool) -> None:
    clock = SteppingClock(START_NS)
    camera = make(clock, paced=paced, frames=1, faults={"late": 1.0, "late_ms": 100.0})
    tries = [camera.fill(memory(), 0.04) for _ in range(3)]
    assert tries[:2] == [None, None]
    assert tries[2] == FrameMeta(0, START_NS, START_NS + 100 * NS_PER_MS, 0)


def test_duplicated_pictures_repeat_the_one_before_and_so_does_their_truth() -> None:
    camera = make(paced=False, frames=200, faults={"duplicated": 0.2})
    shown = list(frames(camera))
    same = [np.array_equal(shown[i][1], shown[i - 1][1]) for i in range(1, 200)]
    truths = [camera.truth(meta.frame_id) for meta, _ in shown]
    assert same == [np.array_equal(truths[i], truths[i - 1], equal_nan=True) for i in range(1, 200)]
    assert 20 < sum(same) < 65
    assert [meta.frame_id for meta, _ in shown] == list(range(200))


def test_a_camera_that_is_stuck_shows_its_first_picture() -> None:
    camera = make(paced=False, frames=5, faults={"duplicated": 1.0})
    assert all(np.array_equal(image, rendered(0)) for _, image in frames(camera))
    assert np.array_equal(camera.truth(10**9), camera.truth(0), equal_nan=True)


def test_black_frames_are_black_and_have_no_truth() -> None:
    camera = make(paced=False, frames=200, faults={"black": 0.2})
    black = {meta.frame_id for meta, image in frames(camera) if not image.any()}
    assert 20 < len(black) < 65
    assert black == {number for number in range(200) if np.isnan(camera.truth(number)).all()}


def test_a_disconnected_camera_stays_lost() -> None:
    camera = make(frames=50, faults={"disconnect_after": 7})
    for _ in range(7):
        assert camera.fill(memory(), 1) is not None
    for _ in range(2):
        with pytest.raises(CameraLostError, match="after 7 frames"):
            camera.fill(memory(), 1)


def test_stopping_and_starting_goes_on_with_the_numbers() -> None:
    clock = SteppingClock(START_NS)
    camera = make(clock, rate_hz=100.0)
    for _ in range(3):
        camera.fill(memory(), 1)
    camera.stop()
    camera.stop()
    with pytest.raises(UsageError):
        camera.fill(memory(), 1)
    clock.pass_ns(NS_PER_S)
    restart_ns = clock.now_ns()
    camera.start()
    metas = [camera.fill(memory(), 1) for _ in range(2)]
    assert [(meta.frame_id, meta.exposure_ns) for meta in metas if meta] == [
        (3, restart_ns),
        (4, restart_ns + 10 * NS_PER_MS),
    ]
    assert camera.lost_in_transport == 0
    assert metas[0] is not None
    assert metas[0].camera_ns == restart_ns - START_NS


def test_opening_again_begins_anew_and_closing_is_idempotent() -> None:
    camera = make(paced=False, frames=40, faults={"lost": 0.3})
    first = [meta.frame_id for meta, _ in frames(camera)]
    assert camera.lost_in_transport > 0
    camera.close()
    camera.close()
    for refused in (camera.start, lambda: camera.fill(memory(), 1), lambda: camera.truth(0)):
        with pytest.raises(UsageError):
            refused()
    camera.open()
    assert camera.lost_in_transport == 0
    camera.start()
    assert [meta.frame_id for meta, _ in frames(camera)] == first


def test_without_faults_none_is_drawn() -> None:
    assert Faults() == SimulatedCameraSettings().faults
    camera = make(paced=False, frames=60)
    assert all(image.any() for _, image in frames(camera))

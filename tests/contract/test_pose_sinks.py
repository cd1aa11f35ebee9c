"""One suite over everything that poses go out to: a socket, a table in memory, nowhere, and the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pytest
from support.fakes import FakeSink
from support.publishing import LOSSES, make_pose, zmq_context

from rtface.bench.measuring import Nowhere
from rtface.core.clock import SYSTEM_CLOCK, monotonic_ns
from rtface.core.errors import AddressError, RtfaceError, UsageError
from rtface.offline.tracking import TableSink
from rtface.publish.publisher import Publisher
from rtface.publish.sink import PoseSink
from rtface.record.table import PoseTableBuilder


class Sinks:
    """Makes sinks of one kind, for poses of so many keypoints."""

    refusal: type[RtfaceError] | None = None
    """What opening raises where an address, a device or a file cannot be had; None where there is none."""

    def __init__(self, stack: ExitStack) -> None:
        pass

    def make(self, keypoints: int = 15) -> PoseSink:
        raise NotImplementedError

    def unopenable(self) -> PoseSink:
        raise NotImplementedError


class Publishers(Sinks):
    refusal = AddressError

    def __init__(self, stack: ExitStack) -> None:
        self.context = stack.enter_context(zmq_context())

    def make(self, keypoints: int = 15) -> PoseSink:
        return Publisher("tcp://127.0.0.1:*", "session", self.context)

    def unopenable(self) -> PoseSink:
        return Publisher("tcp://*:*", "session", self.context)


class Tables(Sinks):
    def make(self, keypoints: int = 15) -> PoseSink:
        names = [f"point {number}" for number in range(keypoints)]
        return TableSink(PoseTableBuilder(names, [True] * keypoints, expected=None))


class Nowheres(Sinks):
    def make(self, keypoints: int = 15) -> PoseSink:
        return Nowhere()


class Fakes(Sinks):
    def make(self, keypoints: int = 15) -> PoseSink:
        return FakeSink(SYSTEM_CLOCK)


@pytest.fixture(params=[Publishers, Tables, Nowheres, Fakes])
def sinks(request: pytest.FixtureRequest) -> Iterator[Sinks]:
    with ExitStack() as stack:
        yield request.param(stack)


@pytest.fixture
def sink(sinks: Sinks) -> Iterator[PoseSink]:
    made = sinks.make()
    made.open()
    yield made
    made.close()


def test_poses_are_taken_without_anyone_listening(sink: PoseSink) -> None:
    before_ns = monotonic_ns()
    handed_over = [sink.publish(make_pose(frame_id), LOSSES) for frame_id in range(100)]
    assert handed_over == sorted(handed_over)
    assert before_ns <= handed_over[0] <= handed_over[-1] <= monotonic_ns()
    assert sink.lost == 0


@pytest.mark.parametrize("keypoints", [0, 1, 15, 100])
def test_any_number_of_keypoints_is_taken(sinks: Sinks, keypoints: int) -> None:
    sink = sinks.make(keypoints)
    sink.open()
    sink.publish(make_pose(keypoints=keypoints), LOSSES)
    assert sink.lost == 0
    sink.close()


def test_the_caller_may_reuse_the_arrays(sink: PoseSink) -> None:
    pose = make_pose()
    for _ in range(3):
        sink.publish(pose, LOSSES)
        pose.xy[:] += 1
        pose.score[:] = 0
    assert sink.lost == 0


def test_a_table_keeps_what_the_arrays_held_when_they_were_handed_over() -> None:
    builder = PoseTableBuilder(["nose", "paw"], [True, False], expected=None)
    sink, pose = TableSink(builder), make_pose(keypoints=2)
    sent = pose.xy.copy()
    sink.publish(pose, LOSSES)
    pose.xy[:] = -1
    np.testing.assert_array_equal(builder.build().xy[0], sent)


def test_close_is_idempotent_and_may_come_first(sinks: Sinks) -> None:
    sink = sinks.make()
    sink.close()
    sink.open()
    sink.close()
    sink.close()


def test_a_sink_opens_again_after_it_was_closed(sinks: Sinks) -> None:
    sink = sinks.make()
    for _ in range(3):
        sink.open()
        sink.publish(make_pose(), LOSSES)
        sink.close()


def test_what_is_not_open_takes_nothing(sinks: Sinks) -> None:
    if sinks.refusal is None:
        pytest.skip("has nothing to open")
    sink = sinks.make()
    with pytest.raises(UsageError, match="not open"):
        sink.publish(make_pose(), LOSSES)
    sink.open()
    sink.close()
    with pytest.raises(UsageError, match="not open"):
        sink.publish(make_pose(), LOSSES)


def test_opening_twice_is_refused_and_harmless(sinks: Sinks, sink: PoseSink) -> None:
    if sinks.refusal is None:
        pytest.skip("has nothing to open")
    with pytest.raises(UsageError, match="already"):
        sink.open()
    sink.publish(make_pose(), LOSSES)


def test_what_cannot_be_opened_says_so_and_leaves_nothing(sinks: Sinks) -> None:
    if sinks.refusal is None:
        pytest.skip("has nothing to open")
    sink = sinks.unopenable()
    for _ in range(2):
        with pytest.raises(sinks.refusal):
            sink.open()
    sink.close()

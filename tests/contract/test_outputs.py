"""One suite over every output of poses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.publishing import LOSSES, make_pose, zmq_context

from rtface.core.clock import monotonic_ns
from rtface.core.errors import AddressError, RtfaceError, UsageError
from rtface.publish.base import PoseSink
from rtface.publish.publisher import Publisher

Outputs = Callable[[], PoseSink]


def publisher(stack: ExitStack) -> Outputs:
    context = stack.enter_context(zmq_context())
    return lambda: Publisher("tcp://127.0.0.1:*", "session", context)


def unopenable_publisher(stack: ExitStack) -> Outputs:
    context = stack.enter_context(zmq_context())
    return lambda: Publisher("tcp://*:*", "session", context)


@pytest.fixture(params=[publisher])
def make(request: pytest.FixtureRequest) -> Iterator[Outputs]:
    with ExitStack() as stack:
        yield request.param(stack)


@pytest.fixture(params=[(unopenable_publisher, AddressError)])
def refused(request: pytest.FixtureRequest) -> Iterator[tuple[Outputs, type[RtfaceError]]]:
    kind, error = request.param
    with ExitStack() as stack:
        yield kind(stack), error


@pytest.fixture
def output(make: Outputs) -> Iterator[PoseSink]:
    sink = make()
    sink.open()
    yield sink
    sink.close()


def test_poses_are_taken_without_anyone_listening(output: PoseSink) -> None:
    before_ns = monotonic_ns()
    handed_over = [output.publish(make_pose(frame_id), LOSSES) for frame_id in range(100)]
    assert handed_over == sorted(handed_over)
    assert before_ns <= handed_over[0] <= handed_over[-1] <= monotonic_ns()
    assert output.lost == 0


def test_any_number_of_keypoints_is_taken(output: PoseSink) -> None:
    for keypoints in (0, 1, 15, 100):
        output.publish(make_pose(keypoints=keypoints), LOSSES)
    assert output.lost == 0


def test_the_caller_may_reuse_the_arrays(output: PoseSink) -> None:
    pose = make_pose()
    for _ in range(3):
        output.publish(pose, LOSSES)
        pose.xy[:] += 1
        pose.score[:] = 0
    assert output.lost == 0


def test_close_is_idempotent_and_may_come_first(make: Outputs) -> None:
    output = make()
    output.close()
    output.open()
    output.close()
    output.close()


def test_an_output_opens_again_after_it_was_closed(make: Outputs) -> None:
    output = make()
    for _ in range(3):
        output.open()
        output.publish(make_pose(), LOSSES)
        output.close()


def test_what_is_not_open_takes_nothing(make: Outputs) -> None:
    output = make()
    with pytest.raises(UsageError, match="not open"):
        output.publish(make_pose(), LOSSES)
    output.open()
    output.close()
    with pytest.raises(UsageError, match="not open"):
        output.publish(make_pose(), LOSSES)


def test_opening_twice_is_refused_and_harmless(output: PoseSink) -> None:
    with pytest.raises(UsageError, match="already"):
        output.open()
    output.publish(make_pose(), LOSSES)


def test_what_cannot_be_opened_says_so_and_leaves_nothing(refused: tuple[Outputs, type[RtfaceError]]) -> None:
    make, error = refused
    output = make()
    for _ in range(2):
        with pytest.raises(error):
            output.open()
    output.close()

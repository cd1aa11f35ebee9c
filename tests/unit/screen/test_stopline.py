"""The emergency stop's own way to a service that answers, is slow, is silent, refuses, or is not there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.fake_service import FakeService, agrees
from support.waits import LONG_S, wait_until

from rtface.core.errors import WireError
from rtface.publish.commands import NO_LOOP, Request, encode_refusal
from rtface.screen import stopline
from rtface.screen.stopline import StopLine


@pytest.fixture
def service() -> Iterator[FakeService]:
    made = FakeService()
    yield made
    made.close()


@contextmanager
def opened(address: str) -> Iterator[StopLine]:
    line = StopLine(address, None)
    line.open()
    try:
        yield line
    finally:
        line.close()
        line._thread.join(LONG_S)
        assert not line._thread.is_alive()


def test_a_stop_is_carried_out_under_the_name_of_who_pressed(service: FakeService) -> None:
    with opened(service.address) as line:
        wait_until(lambda: line.ready)
        answer = line.stop("ann").result(LONG_S)
        assert answer.ok
        assert answer.ms >= 0
        assert service.stops() == ["ann"]


def test_many_presses_are_one_and_each_is_answered(service: FakeService) -> None:
    waits, goes = threading.Event(), threading.Event()

    def held(request: Request) -> bytes:
        if request.op == "emergency_stop":
            waits.set()
            goes.wait(LONG_S)
        return agrees(request)

    with opened(service.address) as line:
        wait_until(lambda: line.ready)
        service.answer = held
        first = line.stop("ann")
        assert waits.wait(LONG_S)
        others = [line.stop("ann") for _ in range(50)]
        goes.set()
        assert all(each.result(LONG_S) for each in (first, *others))
        assert len(service.stops()) <= 3


def test_silence_is_an_answer_in_less_than_a_second_even_behind_a_question(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    real = stopline.Requester

    class Watched(real):  # type: ignore[misc, valid-type]
        def __init__(self, context: Any, address: str, keys: Any, timeout_s: float) -> None:
            asked.append(timeout_s)
            super().__init__(context, address, keys, timeout_s)

    monkeypatch.setattr(stopline, "Requester", Watched)
    service.answer = lambda request: None
    with opened(service.address) as line:
        answer = line.stop("ann").result(LONG_S)
        assert not answer.ok
        assert "no answer" in answer.text
        assert not line.ready
    assert 2 * asked[0] < 1.0, "a question and a stop, one after the other, are answered within the second"


def test_a_service_that_refuses_is_not_taken_for_one_that_stopped(service: FakeService) -> None:
    service.answer = lambda request: (
        agrees(request) if request.op == "ping" else encode_refusal(request.id, "internal", "it broke")
    )
    with opened(service.address) as line:
        answer = line.stop("ann").result(LONG_S)
        assert not answer.ok
        assert "it broke" in answer.text


def test_a_service_without_a_loop_has_no_light_to_stop(service: FakeService) -> None:
    service.answer = lambda request: encode_refusal(request.id, NO_LOOP, "this service decides nothing")
    with opened(service.address) as line:
        answer = line.stop("ann").result(LONG_S)
        assert answer.ok
        assert "decides nothing" in answer.text


def test_what_is_no_reply_and_what_fails_otherwise_leaves_the_line_open(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(service.address) as line:
        wait_until(lambda: line.ready)
        service.answer = lambda request: b"\xc1 no message"
        assert not line.stop("ann").result(LONG_S).ok
        for error in (WireError("odd"), RuntimeError("odd"), UnicodeEncodeError("utf-8", "x", 0, 1, "odd")):

            def fails(*_: object, error: Exception = error) -> Any:
                raise error

            with monkeypatch.context() as patched:
                patched.setattr(stopline.Requester, "request", fails)
                assert "odd" in line.stop("ann").result(LONG_S).text
        service.answer = agrees
        assert line.stop("ann").result(LONG_S).ok
        wait_until(lambda: line.ready)


def test_a_page_that_goes_while_it_waits_takes_nobody_with_it(service: FakeService) -> None:
    waits, goes = threading.Event(), threading.Event()

    def held(request: Request) -> bytes:
        waits.set()
        goes.wait(LONG_S)
        return agrees(request)

    with opened(service.address) as line:
        wait_until(lambda: line.ready)
        service.answer = held
        first = line.stop("ann")
        assert waits.wait(LONG_S)
        assert first.cancel()
        goes.set()
        service.answer = agrees
        assert line.stop("bob").result(LONG_S).ok


def test_a_service_that_comes_later_is_found(service: FakeService) -> None:
    service.answer = lambda request: None
    with opened(service.address) as line:
        assert not line.stop("ann").result(LONG_S).ok
        service.answer = agrees
        wait_until(lambda: line.ready)
        assert line.stop("ann").result(LONG_S).ok


def test_where_nothing_is_there_a_stop_fails_and_the_line_ends_when_it_is_told() -> None:
    with opened("tcp://127.0.0.1:1") as line:
        assert not line.stop("ann").result(LONG_S).ok
        assert not line.ready


def test_a_stop_that_was_asked_for_before_the_end_is_carried_out(service: FakeService) -> None:
    with opened(service.address) as line:
        wait_until(lambda: line.ready)
        answer = line.stop("ann")
        line.close()
        assert answer.result(LONG_S).ok
    assert service.stops() == ["ann"]

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from rtface.core.errors import ControlError, UsageError
from rtface.live.mailbox import _WAITING, Mailbox

LONG_S = 20.0
SOON_S = 0.01


def refuse() -> None:
    raise TimeoutError("the camera's own")


def test_a_command_is_carried_out_by_the_owner_and_its_result_returned() -> None:
    mailbox = Mailbox("owner")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(mailbox.ask, threading.get_ident)
        mailbox.serve(LONG_S)
        assert answer.result(LONG_S) == threading.get_ident()


def test_what_a_command_raises_belongs_to_whoever_asked_a_timeout_too() -> None:
    mailbox = Mailbox("owner")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(mailbox.ask, refuse)
        mailbox.serve(LONG_S)
        with pytest.raises(TimeoutError, match="the camera's own"):
            answer.result(LONG_S)


def test_a_command_that_was_given_up_is_never_carried_out() -> None:
    mailbox = Mailbox("owner", answer_within_s=SOON_S)
    done: list[str] = []
    for name in ("first", "second"):
        with pytest.raises(
            ControlError, match=r"the owner did not take the command within 0\.01 s"
        ) as caught:
            mailbox.ask(lambda name=name: done.append(name))  # type: ignore[misc]
        assert caught.value.code == "timeout"
    mailbox._answer_within_s = LONG_S
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(mailbox.ask, lambda: done.append("third"))
        while len(mailbox) < 3:
            assert not answer.done()
        mailbox.serve(0)
        answer.result(LONG_S)
    assert done == ["third"]
    mailbox.serve(0)
    assert done == ["third"]


def test_a_command_that_had_begun_is_told_to_be_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox = Mailbox("owner", answer_within_s=SOON_S)
    put = mailbox._commands.put_nowait
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert go_on.wait(LONG_S)
        done.set()

    def put_and_see_it_begin(item: tuple[Callable[[], object], Future[object]]) -> None:
        put(item)
        assert begun.wait(LONG_S)

    monkeypatch.setattr(mailbox._commands, "put_nowait", put_and_see_it_begin)
    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(mailbox.serve, LONG_S)
        try:
            with pytest.raises(ControlError, match="it may yet take effect") as caught:
                mailbox.ask(slow)
        finally:
            go_on.set()
        serving.result(LONG_S)
    assert caught.value.code == "timeout"
    assert done.is_set()


def test_closing_refuses_what_waits_and_what_would_come() -> None:
    mailbox = Mailbox("owner", answer_within_s=SOON_S)
    done: list[str] = []

    def command() -> None:
        done.append("done")

    with pytest.raises(ControlError):
        mailbox.ask(command)
    mailbox._answer_within_s = LONG_S
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(mailbox.ask, command)
        while len(mailbox) < 2:
            assert not answer.done()
        mailbox.close()
        with pytest.raises(UsageError, match="the owner has ended"):
            answer.result(LONG_S)
    mailbox.close()
    with pytest.raises(UsageError, match="the owner has ended"):
        mailbox.ask(command)
    mailbox.serve(0)
    assert not done


def test_a_posted_command_is_carried_out_and_nobody_waits_for_it() -> None:
    mailbox = Mailbox("owner")
    done: list[str] = []
    mailbox.post(lambda: done.append("posted"))
    assert done == []
    mailbox.serve(LONG_S)
    assert done == ["posted"]


def test_the_error_of_a_posted_command_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    mailbox = Mailbox("owner")
    mailbox.post(refuse)
    mailbox.serve(LONG_S)
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_posting_to_an_owner_who_has_ended_or_has_too_much_to_do_is_refused() -> None:
    mailbox = Mailbox("owner")
    for _ in range(_WAITING):
        mailbox.post(refuse)
    with pytest.raises(UsageError, match="too many"):
        mailbox.post(refuse)
    mailbox.close()
    with pytest.raises(UsageError, match="has ended"):
        mailbox.post(refuse)


def test_a_posted_command_that_the_owner_never_came_to_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    mailbox = Mailbox("owner")
    mailbox.post(refuse)
    mailbox.close()
    assert caplog.records == []

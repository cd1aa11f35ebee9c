"""What a page may ask of a service: each command once, disarm before all, and nothing after the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from support.waits import LONG_S, finishes, wait_until

from rtface.core.errors import ControlError, UsageError
from rtface.publish.commands import BUSY, MAX_NAME
from rtface.publish.control import ControlServer, LoopCommands, ServiceCommands
from rtface.screen import commands as module
from rtface.screen.commands import OPERATIONS, PageCommands, name_for_record
from rtface.screen.rigs import ShownRig

Reply = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class Asked:
    """In place of the connection to a service."""

    reply: Reply = staticmethod(lambda operation, args: dict(args))  # type: ignore[assignment]
    seen: list[tuple[str, Mapping[str, Any], float]]

    def __init__(self, context: Any, address: str, keys: Any, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.closed = False

    def request(self, operation: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        assert not self.closed
        Asked.seen.append((operation, args, self.timeout_s))
        return Asked.reply(operation, args)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Iterator[PageCommands]:
    Asked.seen = []
    monkeypatch.setattr(Asked, "reply", staticmethod(lambda operation, args: dict(args)))
    monkeypatch.setattr(module, "Requester", Asked)
    made = PageCommands(ShownRig("a", "rig", "tcp://127.0.0.1:1"))
    yield made
    made.close()


def in_background(work: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        except UsageError:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_only_what_is_for_pages_is_passed_on(commands: PageCommands) -> None:
    for operation in ("emergency_stop", "ping", "", "../arm", "shutdown"):
        with pytest.raises(UsageError, match="no operation"):
            commands.request(operation, {}, "ann")
    assert Asked.seen == []


def test_who_is_the_person_at_the_page_whatever_the_arguments_say(commands: PageCommands) -> None:
    assert commands.request("arm", {"who": "operator"}, "ann") == {"who": "ann"}
    assert commands.request("mark", {"text": "a", "details": {}}, "") == {
        "text": "a",
        "details": {},
        "who": "the screen",
    }
    assert commands.request("self_test", {}, "ann") == {}
    assert name_for_record("n" * 100) == "n" * MAX_NAME


def test_disarm_waits_for_no_other_command(commands: PageCommands, monkeypatch: pytest.MonkeyPatch) -> None:
    goes, begun = threading.Event(), threading.Event()

    def slow(operation: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "self_test":
            begun.set()
            goes.wait(LONG_S)
        return {"did": operation}

    monkeypatch.setattr(Asked, "reply", staticmethod(slow))
    thread = in_background(lambda: commands.request("self_test", {}, ""))
    assert begun.wait(LONG_S)
    assert finishes(lambda: commands.request("disarm", {"why": ""}, "ann")) == {"did": "disarm"}
    assert finishes(lambda: commands.request("status", {}, "")) == {"did": "status"}
    goes.set()
    thread.join(LONG_S)


def test_no_queue_is_unbounded_and_the_end_waits_for_nobody(
    commands: PageCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes = threading.Event()
    monkeypatch.setattr(Asked, "reply", staticmethod(lambda operation, args: goes.wait(LONG_S) and {}))
    threads = [in_background(lambda: commands.request("arm", {}, "ann")) for _ in range(module._MOST_WAITING)]
    wait_until(lambda: commands._in_turn._places._value == 0)
    with pytest.raises(ControlError) as refused:
        commands.request("arm", {}, "bob")
    assert refused.value.code == BUSY
    finishes(commands.close)
    goes.set()
    for thread in threads:
        thread.join(LONG_S)
        assert not thread.is_alive()
    assert commands._in_turn._requester.closed  # type: ignore[attr-defined]
    assert len(Asked.seen) == 1, "who waited when the end came asked nothing more"
    with pytest.raises(UsageError, match="ends"):
        commands.request("arm", {}, "ann")


def test_all_operations_are_those_that_a_service_knows_and_at_once_what_it_answers_at_once() -> None:
    assert set(dir(LoopCommands)) | set(dir(ServiceCommands)) >= OPERATIONS
    assert module._AT_ONCE == OPERATIONS & ControlServer.URGENT

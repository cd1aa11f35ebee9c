"""Keys at the terminal: what they do, at once, and that the terminal is as before afterwards."""

from __future__ import annotations

import io
import os
import pty
import select
import sys
import termios
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console
from support.waits import wait_until

from rtface.cli.terminal.keyboard import keys_do
from rtface.cli.terminal.operator import Operator
from rtface.core.errors import ControlError
from rtface.live.loop.status import LoopState, LoopStatus


class Terminal:
    """A pseudo-terminal as standard input."""

    def __init__(self) -> None:
        self.person, self.program = pty.openpty()
        self.stdin = os.fdopen(self.program, "r", closefd=False)

    def press(self, keys: str) -> None:
        os.write(self.person, keys.encode())

    def close(self) -> None:
        self.stdin.close()
        os.close(self.person)
        os.close(self.program)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal()
    monkeypatch.setattr(sys, "stdin", made.stdin)
    yield made
    made.close()


class Commands:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.heard = threading.Event()
        self.failure: ControlError | None = None
        self.loop_state = LoopState.DISARMED

    def _take(self, *what: object) -> dict[str, Any]:
        self.told.append(what)
        self.heard.set()
        if self.failure is not None:
            raise self.failure
        return {}

    def arm(self, who: str, *, operator: bool) -> dict[str, Any]:
        return self._take("arm", operator)

    def disarm(self, who: str, why: str) -> dict[str, Any]:
        return self._take("disarm", why)

    def emergency_stop(self, who: str) -> dict[str, Any]:
        return self._take("stop")

    def clear(self, who: str) -> dict[str, Any]:
        return self._take("clear")

    def mark(self, who: str, text: str, details: dict[str, Any]) -> dict[str, Any]:
        return self._take("mark", text)

    def state(self) -> dict[str, Any]:
        return LoopStatus(self.loop_state).as_map()


def shown(operator: Operator) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    for part in operator.view():
        console.print(part)
    return console.export_text()


def test_each_key_does_its_own(terminal: Terminal) -> None:
    commands = Commands()
    operator = Operator(commands)  # type: ignore[arg-type]
    with operator.keys():
        terminal.press("Ad cmmx")
        wait_until(lambda: len(commands.told) == 6)
        assert "keys: A arm" in shown(operator)
    assert commands.told == [
        ("arm", True),
        ("disarm", "key d"),
        ("stop",),
        ("clear",),
        ("mark", "mark 1"),
        ("mark", "mark 2"),
    ]


@pytest.mark.parametrize("keys", ["a\n", "\x1b[A", "\x1bOA", "\x1b[1;5A", "\x1bA", "\x1b"])
def test_neither_a_small_a_nor_an_arrow_arms(terminal: Terminal, keys: str) -> None:
    commands = Commands()
    with Operator(commands).keys():  # type: ignore[arg-type]
        terminal.press(keys)
        wait_until(lambda: not select.select([terminal.program], [], [], 0)[0])
        terminal.press("d")
        wait_until(lambda: bool(commands.told))
    assert commands.told == [("disarm", "key d")]


def test_what_is_refused_is_shown_and_the_keys_go_on(terminal: Terminal) -> None:
    commands = Commands()
    commands.failure = ControlError("not_ready", "engine: was never verified")
    operator = Operator(commands)  # type: ignore[arg-type]
    with operator.keys():
        terminal.press("A")
        wait_until(lambda: "not armed: engine: was never verified" in shown(operator))
        terminal.press(" ")
        wait_until(lambda: commands.told[-1] == ("stop",))


def test_the_terminal_is_as_before_afterwards(terminal: Terminal) -> None:
    before = termios.tcgetattr(terminal.program)
    with keys_do({}) as listens:
        assert listens
        assert termios.tcgetattr(terminal.program) != before
    assert termios.tcgetattr(terminal.program) == before
    assert not [thread for thread in threading.enumerate() if thread.name == "rtface-keys"]


def test_without_a_terminal_nothing_listens() -> None:
    operator = Operator(Commands())  # type: ignore[arg-type]
    with operator.keys():
        assert "use rtface loop" in shown(operator)


def test_what_a_key_did_is_not_shown_once_the_loop_has_left_it(terminal: Terminal) -> None:
    commands = Commands()
    operator = Operator(commands)  # type: ignore[arg-type]
    with operator.keys():
        commands.loop_state = LoopState.ARMED
        terminal.press("A")
        wait_until(lambda: shown(operator).rstrip().endswith("armed"))
        commands.loop_state = LoopState.FAULT
        assert not shown(operator).rstrip().endswith("armed")
        commands.loop_state = LoopState.ARMED
        assert not shown(operator).rstrip().endswith("armed"), "that was another time"

"""The operator at the terminal of `rtface run`: keys that arm, disarm and stop, and what came of the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.text import Text

from rtface.cli.loop import loop_view
from rtface.cli.opening import me
from rtface.cli.terminal.keyboard import keys_do
from rtface.core.errors import RtfaceError
from rtface.live.arming import Arming

_HELP = "keys: A arm, d disarm, space emergency stop, c clear, m mark, b baseline anew"


class Operator:
    """Commands a service from its own terminal.

    Parameters
    ----------
    arming : Arming
        Of a service that decides something.
    """

    def __init__(self, arming: Arming) -> None:
        self._arming = arming
        self._who = f"operator {me()}"[:64]
        self._outcome, self._outcome_in = "", ""
        self._marks = 0
        self._has_keyboard = False

    @contextmanager
    def keys(self) -> Iterator[None]:
        """Take keys while the block runs, where there is a keyboard."""
        who = self._who
        actions = {
            "A": self._guarded("armed", lambda: self._arming.arm(who, operator=True)),
            "d": self._guarded("disarmed", lambda: self._arming.disarm(who, "key d")),
            " ": self._guarded("stopped", lambda: self._arming.emergency_stop(who)),
            "c": self._guarded("cleared", lambda: self._arming.clear(who)),
            "m": self._guarded("marked", self._mark),
            "b": self._guarded("taken anew", lambda: self._arming.baseline(who)),
        }
        with keys_do(actions) as self._has_keyboard:
            yield

    def view(self) -> list[Any]:
        """Return what stands below the latency table."""
        state = self._arming.state()
        if state["state"] != self._outcome_in:  # what the last key did is over
            self._outcome = ""
        return [
            loop_view(state),
            Text(_HELP if self._has_keyboard else "no keyboard here: use rtface loop", style="dim"),
            Text(self._outcome),
        ]

    def _mark(self) -> None:
        self._marks += 1
        self._arming.mark(self._who, f"mark {self._marks}", {})

    def _guarded(self, done: str, command: Callable[[], Any]) -> Callable[[], None]:
        def act() -> None:
            try:
                command()
                outcome = done
            except RtfaceError as error:
                outcome = f"not {done}: {error}"
            self._outcome_in, self._outcome = self._arming.state()["state"], outcome

        return act

"""Asking a person at the terminal between the steps of a guided way, or nobody."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from rtface.cli.terminal.screen import print_note


class Left(Exception):  # noqa: N818  (a request, not an error)
    """The user does not want to go on now."""


class Asking:
    """Asks a person at the terminal, or nobody."""

    def __init__(self, *, yes: bool, quiet: bool, stop_if_wrong: bool = False) -> None:
        self.quiet, self._yes, self._stop_if_wrong = quiet, yes, stop_if_wrong
        self.somebody = not quiet and not yes and sys.stdin.isatty()

    def go_on(self, question: str = "go on?") -> None:
        """Return where the answer is yes; `Left` where it is no, or where nobody can be asked."""
        if self._yes:
            return
        if not self.somebody or not typer.confirm(question, default=True, err=True):
            raise Left

    def heed(self, serious: Sequence[str]) -> None:
        """Leave with what a check found where that was asked for; else go on."""
        if serious and self._stop_if_wrong:
            raise Left

    def line(self, question: str) -> str:
        """Return what was typed; `Left` for q, or where nobody can be asked."""
        if not self.somebody:
            raise Left
        answer = str(typer.prompt(question, default="", show_default=False, err=True)).strip()
        if answer == "q":
            raise Left
        return answer

    def say(self, text: str) -> None:
        """Print a note, except for machines."""
        if not self.quiet:
            print_note(text)

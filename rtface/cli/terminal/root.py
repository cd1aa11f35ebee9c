"""The command ``rtface`` itself: with ``--json`` whatever ends a command is told as JSON, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from rtface.cli.terminal.documents import begin
from rtface.cli.terminal.screen import print_error_document
from rtface.core.errors import RtfaceError


class Root(TyperGroup):
    """All commands. What `rtface.cli.main` tells of an error itself is left to it."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **more: Any) -> Any:
        """Read the options before a command."""
        begin(args)
        with _told():
            return super().make_context(info_name, args, *rest, **more)

    def invoke(self, ctx: Any) -> Any:
        """Read a command's own options, and run it."""
        with _told():
            return super().invoke(ctx)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (RtfaceError, typer.Exit, typer.Abort):
        raise
    except Exception as error:
        print_error_document(error)
        raise

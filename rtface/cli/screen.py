"""``rtface screen``: rigs seen and operated in a browser."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.options import SecondsOption
from rtface.cli.terminal.screen import print_line, print_note
from rtface.cli.terminal.signals import ending_on_signals
from rtface.core.errors import UsageError
from rtface.core.extras import needing


def screen(
    wheres: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RIG...]",
            help="Rigs to show: a rig's YAML file, or the address where a service takes commands. "
            "Else the service of this machine.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--folder", help="Recordings, labels, rigs and sessions that the pages work on.")
    ] = Path(),
    host: Annotated[str, typer.Option("--host", help="Address of this machine to serve at.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65534, help="Port; the emergency stop takes the next one."),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", help="TLS certificate, needed beyond this machine.")
    ] = None,
    private_key: Annotated[Path | None, typer.Option("--private-key", help="Its private key.")] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Folder of this client's keys, for services that need keys.")
    ] = None,
    seconds: SecondsOption = None,
    beside: Annotated[bool, typer.Option("--beside", hidden=True)] = False,
) -> None:
    """Show rigs in a browser: the picture with its points, crop, plots, arming and emergency stop, labelling, sessions.

    Prints a link that opens once; press Enter for another. A page is a client like any other: it may be slow or be closed,
    and the service does not notice. Runs until interrupted.
    """
    with needing("screen", UsageError):
        from rtface.screen.pages import PAGES
        from rtface.screen.rigs import shown_rigs
        from rtface.screen.serving import Address, screen_opened
    if (certificate is None) != (private_key is None):
        raise UsageError("--certificate and --private-key are given together")
    if not folder.is_dir():
        raise UsageError(f"--folder {folder}: no such folder")
    address = Address(host, port, certificate, private_key)
    threads = set(threading.enumerate())
    with (
        ending_on_signals() as ending,
        screen_opened(shown_rigs(wheres or [], keys), folder, address, PAGES) as opened,
    ):
        print_line(f"screen     {opened.new_link()}")
        if beside:
            _end_with_parent(ending)
        else:
            print_note("           the link opens once; press Enter for another")
            _more_links(opened.new_link)
        ending.wait(seconds)
    _leave_behind(threads)


def _leave_behind(before: set[threading.Thread]) -> None:
    """End the process here where a request still hangs in a thread that Python would wait for."""
    if any(not thread.daemon and thread.is_alive() for thread in set(threading.enumerate()) - before):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _end_with_parent(ending: threading.Event) -> None:
    """End when standard input does: with the command that this screen was started beside."""

    def wait() -> None:
        while sys.stdin.readline():
            pass
        ending.set()

    threading.Thread(target=wait, name="rtface-parent", daemon=True).start()


def _more_links(new_link: Callable[[], str]) -> None:
    """Print a link for each line that comes from a terminal."""
    if not sys.stdin.isatty():
        return

    def wait() -> None:
        while sys.stdin.readline():
            print_line(f"screen     {new_link()}")

    threading.Thread(target=wait, name="rtface-links", daemon=True).start()

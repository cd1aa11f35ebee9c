"""A screen that is started beside a service, and ends with it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TypeVar

from rtface.cli.terminal.screen import print_note
from rtface.config import PicturesSettings, RigSettings
from rtface.core.errors import UsageError
from rtface.core.extras import require

_END_S = 5.0


AnyRig = TypeVar("AnyRig", bound=RigSettings)


def with_pictures(rig: AnyRig) -> AnyRig:
    """Return the rig so that it publishes pictures, as its file says or as is usual; for a screen beside it.

    Raises
    ------
    UsageError
        What the screen needs is not installed.
    """
    require("screen", "starlette", "uvicorn", "websockets", error=UsageError)
    if rig.publish.pictures is not None:
        return rig
    publish = rig.publish.model_copy(update={"pictures": PicturesSettings()})
    return rig.model_copy(update={"publish": publish})


@contextmanager
def screen_beside(control: str, *, keys: Path | None = None) -> Iterator[None]:
    """Start `rtface screen` for a service as a process of its own, and end it with the block; its link is printed.

    Parameters
    ----------
    control : str
        Where the service takes commands.
    keys : path, optional
        Folder of a client's keys, for a service that needs keys.
    """
    command = [sys.executable, "-m", "rtface", "screen", control, "--beside"]
    if keys is not None:
        command += ["--keys", str(keys)]
    with ExitStack() as stack:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        stack.callback(_end, process)
        ending = threading.Event()
        stack.callback(ending.set)
        threading.Thread(
            target=_print, args=(process.stdout, ending), name="rtface-screen-link", daemon=True
        ).start()
        yield


def _print(lines: IO[str], ending: threading.Event) -> None:
    """Print what the screen says, its link above all; and that it is gone, where that was not its turn."""
    for line in lines:
        print_note(line.rstrip())
    if not ending.is_set():
        print_note(
            "screen     has ended; `rtface screen` starts another one, and nothing else is touched by it"
        )


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

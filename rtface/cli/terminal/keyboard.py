"""Single keys pressed at the terminal, read by a thread of its own."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

if sys.platform == "win32":
    import msvcrt
else:
    import termios
    import tty

_POLL_S = 0.1
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
"""What arrows and other special keys send; they hold letters that nobody pressed."""
_WINDOWS_SPECIAL = ("\0", "\xe0")
"""What such keys send before their letter on Windows."""


@contextmanager
def keys_do(actions: Mapping[str, Callable[[], None]]) -> Iterator[bool]:
    """Let keys do something while the block runs; gives whether there is a keyboard.

    Each action is called in the thread that reads the keys, so that it comes at once, whatever else is drawn or waited for.
    """
    if not sys.stdin.isatty():
        yield False
        return
    ended = threading.Event()
    if sys.platform == "win32":
        read: Callable[[], None] = partial(read_console, msvcrt.kbhit, msvcrt.getwch, actions, ended)
        restore: Callable[[], object] = ended.is_set  # nothing was changed
    else:
        terminal = sys.stdin.fileno()
        read = partial(_read_keys, terminal, actions, ended)
        restore = partial(termios.tcsetattr, terminal, termios.TCSADRAIN, termios.tcgetattr(terminal))
        tty.setcbreak(terminal)
    reader = threading.Thread(target=read, name="rtface-keys", daemon=True)
    reader.start()
    try:
        yield True
    finally:
        ended.set()
        reader.join()
        restore()


def read_console(
    waits: Callable[[], bool],
    pressed: Callable[[], str],
    actions: Mapping[str, Callable[[], None]],
    ended: threading.Event,
) -> None:
    """Carry out what keys of a Windows console ask for, until ended.

    Parameters
    ----------
    waits, pressed : callable
        Whether a key was pressed, and which: `msvcrt.kbhit` and `msvcrt.getwch`.
    actions : mapping
        What each key does.
    ended : Event
    """
    while not ended.wait(_POLL_S):
        while waits():
            key = pressed()
            if key in _WINDOWS_SPECIAL:
                pressed()
            elif key in actions:
                actions[key]()


def _read_keys(terminal: int, actions: Mapping[str, Callable[[], None]], ended: threading.Event) -> None:
    while not ended.is_set():
        if select.select([terminal], [], [], _POLL_S)[0]:
            pressed = os.read(terminal, 64).decode(errors="replace")
            if not pressed:
                return
            for key in _SEQUENCE.sub("", pressed):
                if key in actions:
                    actions[key]()

"""Single keys pressed at the terminal, read by a thread of its own."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

try:
    import termios
    import tty
except ImportError:  # Windows: there the loop is commanded by `rtface loop`
    _HAS_TERMINALS = False
else:
    _HAS_TERMINALS = True

_POLL_S = 0.1
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
"""What arrows and other special keys send; they hold letters that nobody pressed."""


@contextmanager
def keys_do(actions: Mapping[str, Callable[[], None]]) -> Iterator[bool]:
    """Let keys do something while the block runs; gives whether there is a keyboard.

    Each action is called in the thread that reads the keys, so that it comes at once, whatever else is drawn or waited for.
    """
    if not _HAS_TERMINALS or not sys.stdin.isatty():
        yield False
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    ended = threading.Event()
    reader = threading.Thread(
        target=_read_keys, args=(terminal, actions, ended), name="rtface-keys", daemon=True
    )
    tty.setcbreak(terminal)
    reader.start()
    try:
        yield True
    finally:
        ended.set()
        reader.join()
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _read_keys(terminal: int, actions: Mapping[str, Callable[[], None]], ended: threading.Event) -> None:
    while not ended.is_set():
        if select.select([terminal], [], [], _POLL_S)[0]:
            pressed = os.read(terminal, 64).decode(errors="replace")
            if not pressed:
                return
            for key in _SEQUENCE.sub("", pressed):
                if key in actions:
                    actions[key]()

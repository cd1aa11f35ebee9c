"""A client that measures in a process of its own, in turns: it obeys lines, and answers with lines of JSON."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from rtface.core.errors import DataError

_START_S = 60.0
_READY = "ready"

Kind = Literal["reader", "viewer", "listener"]


@dataclass(frozen=True, slots=True)
class Measurer:
    """The parent's side of one."""

    kind: Kind
    process: subprocess.Popen[str]

    def tell(self, order: str) -> None:
        """Have it do something."""
        assert self.process.stdin is not None  # stdin=PIPE below
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def answer(self, within_s: float = 10.0) -> Any:
        """Return its next line.

        Raises
        ------
        DataError
            It has failed, or does not answer.
        """
        assert self.process.stdout is not None  # stdout=PIPE below
        if not select.select([self.process.stdout], [], [], within_s)[0]:
            raise DataError(f"a measuring {self.kind} does not answer")
        line = self.process.stdout.readline()
        if not line:
            raise DataError(f"a measuring {self.kind} failed with status {self.process.wait(within_s)}")
        return json.loads(line)


@contextmanager
def measurer_process(kind: Kind, address: str) -> Iterator[Measurer]:
    """Start the module of that name in `rtface.bench`, which takes nothing yet; it never outlives the block."""
    command = [sys.executable, "-m", f"rtface.bench.{kind}", address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        measurer = Measurer(kind, process)
        if measurer.answer(_START_S) != _READY:
            raise DataError(f"a measuring {kind} did not start")
        yield measurer
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def say(value: Any = _READY) -> None:
    """Answer the parent; by the measuring process."""
    print(json.dumps(value), flush=True)  # noqa: T201  (the protocol with the parent)


def orders() -> Iterator[str | None]:
    """Yield the parent's next order, or None where it has none now, until the input ends; by the measuring process."""
    while True:
        if not select.select([sys.stdin], [], [], 0)[0]:
            yield None
        elif order := sys.stdin.readline().strip():
            yield order
        else:
            return

"""A viewer of pictures in a process of its own, for a measurement of what viewers cost.

Run as ``python -m rtface.bench.viewer ADDRESS``. It obeys lines on its standard input: ``on`` and ``off`` (subscribe or not),
``begin`` (count from here), ``end`` (write what came since as one line of JSON); the end of the input ends it.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rtface.core.clock import NS_PER_MS
from rtface.core.errors import DataError
from rtface.publish.pictures.subscriber import PictureSubscriber

_WAIT_S = 0.02
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class Viewer:
    """The parent's side of a viewer."""

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
            raise DataError("a measuring viewer does not answer")
        line = self.process.stdout.readline()
        if not line:
            raise DataError(f"a measuring viewer failed with status {self.process.wait(within_s)}")
        return json.loads(line)


@contextmanager
def viewer_process(address: str) -> Iterator[Viewer]:
    """Start a viewer that takes nothing yet; it never outlives the block."""
    with obeying_process("rtface.bench.viewer", address) as viewer:
        yield viewer


@contextmanager
def obeying_process(module: str, address: str) -> Iterator[Viewer]:
    """Start a module that measures what comes from an address and obeys lines; it never outlives the block."""
    command = [sys.executable, "-m", module, address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        viewer = Viewer(process)
        if viewer.answer(_START_S) != "ready":
            raise DataError("a measuring viewer did not start")
        yield viewer
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def look(address: str) -> None:
    """Obey until the input ends."""
    ages_ms: list[float] = []
    missed = skipped = 0
    with PictureSubscriber(address, ()) as pictures:
        print(json.dumps("ready"), flush=True)  # noqa: T201  (the protocol with the parent)
        while True:
            if select.select([sys.stdin], [], [], 0)[0]:
                order = sys.stdin.readline().strip()
                if not order:
                    return
                if order in ("on", "off"):
                    pictures.show("frame" if order == "on" else ())
                elif order == "begin":
                    ages_ms.clear()
                    missed = skipped = 0
                else:
                    said = {"ages_ms": ages_ms, "missed": missed, "skipped": skipped}
                    print(json.dumps(said), flush=True)  # noqa: T201
            if (picture := pictures.next(_WAIT_S)) is not None:
                missed, skipped = missed + picture.missed, skipped + picture.skipped
                if picture.age_ns is not None:
                    ages_ms.append(picture.age_ns / NS_PER_MS)


if __name__ == "__main__":
    look(sys.argv[1])

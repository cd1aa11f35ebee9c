"""A viewer of pictures in a process of its own, for a measurement of what viewers cost.

Run as ``python -m rtface.bench.viewer ADDRESS``. It obeys lines on its standard input: ``on`` and ``off`` (subscribe or not),
``begin`` (count from here), ``end`` (write what came since as one line of JSON); the end of the input ends it.
"""

from __future__ import annotations

import sys

from rtface.bench.measurer import orders, say
from rtface.core.clock import NS_PER_MS
from rtface.publish.pictures.subscriber import PictureSubscriber

_WAIT_S = 0.02


def look(address: str) -> None:
    """Obey until the input ends."""
    ages_ms: list[float] = []
    missed = skipped = 0
    with PictureSubscriber(address, ()) as pictures:
        say()
        for order in orders():
            if order in ("on", "off"):
                pictures.show("frame" if order == "on" else ())
            elif order == "begin":
                ages_ms.clear()
                missed = skipped = 0
            elif order is not None:
                say({"ages_ms": ages_ms, "missed": missed, "skipped": skipped})
            if (picture := pictures.next(_WAIT_S)) is not None:
                missed, skipped = missed + picture.missed, skipped + picture.skipped
                if picture.age_ns is not None:
                    ages_ms.append(picture.age_ns / NS_PER_MS)


if __name__ == "__main__":
    look(sys.argv[1])

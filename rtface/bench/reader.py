"""A reader of keypoints in a process of its own, for a measurement in turns: how old they are when they come.

Run as ``python -m rtface.bench.reader ADDRESS``. It obeys lines on its standard input: ``begin`` (count from here), ``end``
(write what came since as one line of JSON); the end of the input ends it.
"""

from __future__ import annotations

import sys

from rtface.bench.measurer import orders, say
from rtface.client import Client
from rtface.core.realtime import realtime_process

_WAIT_S = 0.02
_NOBODY = "tcp://127.0.0.1:1"


def read(address: str) -> None:
    """Obey until the input ends."""
    ages_ns: list[int] = []
    with Client(address, _NOBODY) as client:
        say()
        for order in orders():
            if order == "end":
                say(ages_ns)
            if order is not None:
                ages_ns.clear()
            keypoints = client.next(_WAIT_S)
            if keypoints is not None:
                ages_ns.append(keypoints.received_ns - keypoints.stamps.exposure_ns)


if __name__ == "__main__":
    with realtime_process():
        read(sys.argv[1])

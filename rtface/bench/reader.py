"""A reader of keypoints in a process of its own, for a measurement in turns: how old they are when they come.

Run as ``python -m rtface.bench.reader ADDRESS``. It obeys lines on its standard input: ``begin`` (count from here), ``end``
(write what came since as one line of JSON); the end of the input ends it. See `rtface.bench.viewer.obeying_process`.
"""

from __future__ import annotations

import json
import select
import sys

from rtface.client import Client
from rtface.core.realtime import realtime_process

_WAIT_S = 0.02
_NOBODY = "tcp://127.0.0.1:1"


def read(address: str) -> None:
    """Obey until the input ends."""
    ages_ns: list[int] = []
    with Client(address, _NOBODY) as client:
        print(json.dumps("ready"), flush=True)  # noqa: T201  (the protocol with the parent)
        while True:
            if select.select([sys.stdin], [], [], 0)[0]:
                order = sys.stdin.readline().strip()
                if not order:
                    return
                if order == "end":
                    print(json.dumps(ages_ns), flush=True)  # noqa: T201
                ages_ns.clear()
            keypoints = client.next(_WAIT_S)
            if keypoints is not None:
                ages_ns.append(keypoints.received_ns - keypoints.stamps.exposure_ns)


if __name__ == "__main__":
    with realtime_process():
        read(sys.argv[1])

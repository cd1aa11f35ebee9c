"""A reader of every bridge in a process of its own, for a measurement of what bridges cost.

Run as ``python -m rtface.bench.listener PLACES``, a JSON object: ``json`` and ``osc``, addresses; ``udp``, a port; ``lsl``, the
source of a stream, or null. It is ready once something has come from each, and obeys ``begin`` (count from here) and
``end`` (write what came since as one line of JSON); the end of the input ends it.
"""

from __future__ import annotations

import json
import socket
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

import zmq

from rtface.bench.measurer import orders, say
from rtface.publish.bridges.lsl import find_stream

_WAIT_MS = 20
_DATAGRAM = 4_096


def listen(places: Mapping[str, Any]) -> None:
    """Obey until the input ends."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = {name: context.socket(zmq.SUB) for name in ("json", "osc")}
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", places["udp"]))
    datagrams.setblocking(False)
    poller = zmq.Poller()
    for name, each in sockets.items():
        each.subscribe(f"{name}.1.")
        each.connect(places[name])
        poller.register(each, zmq.POLLIN)
    poller.register(datagrams, zmq.POLLIN)
    inlet = None if places["lsl"] is None else find_stream(places["lsl"])
    expected = {"json", "osc", "udp"} | (set() if inlet is None else {"lsl"})
    counts: Counter[str] = Counter()
    ready = False
    for order in orders():
        if order == "begin":
            counts.clear()
        elif order == "end":
            say(dict(counts))
        poller.poll(_WAIT_MS)
        for name, each in sockets.items():
            while each.poll(0):
                each.recv_multipart()
                counts[name] += 1
        try:
            while datagrams.recv(_DATAGRAM):
                counts["udp"] += 1
        except BlockingIOError:
            pass
        if inlet is not None:
            counts["lsl"] += len(inlet.pull_chunk(timeout=0.0)[0])
        if not ready and all(counts[each] for each in expected):
            ready = True
            say()
    context.destroy(0)
    datagrams.close()


if __name__ == "__main__":
    listen(json.loads(sys.argv[1]))

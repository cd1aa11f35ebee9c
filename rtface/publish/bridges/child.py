"""The process of one bridge; run as ``python -m rtface.publish.bridges.child`` by `rtface.publish.bridges.processes`.

The first line of its input says what it is to be, and the end of the input ends it: so it never outlives the service, however
that ends. It reports on its output: a line once it is open or cannot be, and its counts about once a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq

from rtface.core.clock import NS_PER_MS, SYSTEM_CLOCK
from rtface.core.errors import RtfaceError
from rtface.publish.bridges.base import Bridge
from rtface.publish.bridges.orders import BridgeOrder, failure_report, order_in
from rtface.publish.bridges.relay import Relay
from rtface.publish.keys import ClientKeys, Guard, load_server_keys
from rtface.publish.sockets import Context, connected_socket

_NICENESS = 5
"""Where cores are few, the loop goes first."""
_FINISH_NS = 300 * NS_PER_MS


Report = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """Be the bridge that the first line asks for, until the input ends."""
    line = sys.stdin.readline()
    if not line:
        return
    order = order_in(line)
    reports, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no report
    ending = threading.Event()
    threading.Thread(target=_wait_for_the_end, args=(ending,), name="rtface-bridge-end", daemon=True).start()
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(_NICENESS)

    def report(values: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the service is gone, and the end of the input says so
            print(json.dumps(values), file=reports, flush=True)

    try:
        with contextlib.ExitStack() as opened:
            _run(order, ending, opened, report)
    except RtfaceError as error:
        report(failure_report(error))


def make_bridge(order: BridgeOrder, context: Context, guard: Guard | None) -> Bridge:
    """Return the bridge of an order, not opened yet."""
    match order.kind:
        case "json":
            from rtface.publish.bridges.jsonbridge import JsonBridge

            return JsonBridge(context, order.address, order.queue, guard)
        case "osc":
            from rtface.publish.bridges.oscbridge import OscBridge

            return OscBridge(context, order.address, order.targets, order.names, order.queue, guard)
        case "lsl":
            from rtface.publish.bridges.lsl import LslBridge

            return LslBridge(order.names, order.scope, order.service)
        case "openephys":
            from rtface.publish.bridges.openephys import OpenEphysBridge

            return OpenEphysBridge(context, order.address, order.ttl_line, order.queue)


def _run(order: BridgeOrder, ending: threading.Event, opened: contextlib.ExitStack, report: Report) -> None:
    context: Context = zmq.Context()
    opened.callback(context.destroy, 0)
    guard = None
    if order.keys:
        guard = Guard(context, load_server_keys(Path(order.keys)))
        guard.open()
        opened.callback(guard.close)
    bridge = make_bridge(order, context, guard)
    opened.callback(bridge.close)
    address = bridge.open()
    own = None
    if order.own:
        public, secret, server = (each.encode() for each in order.own)
        own = ClientKeys(public, secret, server)
    upstream = connected_socket(context, zmq.SUB, order.service, order.queue, own)
    opened.callback(upstream.close, 0)
    relay = Relay(bridge, upstream, order.queue, lambda counts: report({"counts": counts}))
    report({"ready": address})
    while not ending.is_set():
        relay.turn()
    relay.finish(SYSTEM_CLOCK.now_ns() + _FINISH_NS)


def _wait_for_the_end(ending: threading.Event) -> None:
    with contextlib.suppress(OSError, ValueError):
        while sys.stdin.readline():
            pass
    ending.set()


if __name__ == "__main__":
    main()

"""The service's side of its bridges: their processes, started, watched, started anew, ended."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rtface.config import BridgeSettings, JsonBridgeSettings, LslBridgeSettings, OscBridgeSettings
from rtface.core.clock import NS_PER_S, Clock, SYSTEM_CLOCK
from rtface.core.errors import RtfaceError, UsageError
from rtface.publish.bridges.base import BridgeCounts
from rtface.publish.bridges.orders import BridgeOrder, failure_in

_OPEN_S = 30.0
_END_S = 1.0
_AGAIN_S = 2.0
"""How long after its end a bridge is started anew."""

_log = logging.getLogger(__name__)


def order_of(settings: BridgeSettings) -> BridgeOrder:
    """Return what a bridge's process is to be, by its settings; where the service is has yet to be put in."""
    order = BridgeOrder(settings.kind, service="", names=(), queue=settings.queue)
    match settings:
        case JsonBridgeSettings():
            return replace(order, address=settings.address)
        case OscBridgeSettings():
            return replace(order, address=settings.address, targets=settings.targets)
        case LslBridgeSettings():
            return replace(order, scope=settings.scope)


class BridgeProcess:
    """One bridge, in a process that may be slow, hang or die: nothing waits for it but `open`.

    A thread starts it, reads what it reports, and starts it anew when it has ended by itself.

    Parameters
    ----------
    order : BridgeOrder
        What it is to be.
    """

    def __init__(self, order: BridgeOrder) -> None:
        self._order = order
        self._ending = threading.Event()
        self._settled = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._failure: RtfaceError | None = None
        self._address = ""
        self._counts = BridgeCounts().as_map()
        self._running, self._restarts, self._error = False, 0, ""

    @property
    def kind(self) -> str:
        """``json``, ``osc`` or ``lsl``."""
        return self._order.kind

    @property
    def address(self) -> str:
        """The address that it has bound, with its port; empty before it is open, and of a kind that binds none."""
        return self._address

    def state(self) -> dict[str, Any]:
        """Return how it stands, as plain values for the status; may be called from any thread."""
        counts = self._counts
        return {
            "kind": self.kind,
            "running": self._running,
            "address": self._address,
            "restarts": self._restarts,
            **counts,
            "error": self._error or counts["error"],
        }

    def start(self) -> None:
        """Begin to start it."""
        self._thread = threading.Thread(target=self._keep, name=f"rtface-bridge-{self.kind}", daemon=True)
        self._thread.start()

    def wait_open(self, until_ns: int, clock: Clock = SYSTEM_CLOCK) -> None:
        """Wait until it is open.

        Raises
        ------
        RtfaceError
            It cannot be opened, or is not in time.
        """
        if not self._settled.wait(max(0.0, (until_ns - clock.now_ns()) / NS_PER_S)):
            raise UsageError(f"publish.bridges ({self.kind}): its process did not open within {_OPEN_S:g} s")
        if self._failure is not None:
            raise self._failure

    def ask_to_end(self) -> None:
        """Have it end; returns at once."""
        self._ending.set()
        with self._lock:
            process = self._process
            if process is not None and process.stdin is not None:
                try:
                    process.stdin.close()
                except OSError:
                    _log.debug("the bridge %s had ended already", self.kind)

    def wait_ended(self, until_ns: int, clock: Clock = SYSTEM_CLOCK) -> None:
        """Wait until it has ended, and kill it if it has not by then."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.join(max(0.0, (until_ns - clock.now_ns()) / NS_PER_S))
        if thread.is_alive():
            with self._lock:
                process = self._process
            if process is not None:
                _log.warning("the bridge %s did not end, and is killed", self.kind)
                process.kill()
            thread.join(_END_S)

    def _keep(self) -> None:
        while not self._ending.is_set():
            try:
                self._live()
            except OSError as error:
                self._failed(UsageError(f"publish.bridges ({self.kind}): no process could be begun: {error}"))
            self._running = False
            if self._failure is not None and not self._opened:
                return
            if not self._ending.wait(_AGAIN_S):
                self._restarts += 1
                _log.warning("the bridge %s has ended (%s), and is started anew", self.kind, self._error)

    @property
    def _opened(self) -> bool:
        """Whether it was open once: then what it binds is known to be right, and it is started anew for ever."""
        return self._settled.is_set() and self._failure is None

    def _live(self) -> None:
        """Start the process, and read what it reports until it has ended."""
        command = [sys.executable, "-P", "-m", "rtface.publish.bridges.child"]
        with self._lock:
            if self._ending.is_set():
                return
            process = self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
        assert process.stdin is not None  # stdin=PIPE above
        assert process.stdout is not None
        try:
            try:
                process.stdin.write(replace(self._order, address=self._address or self._order.address).line())
                process.stdin.flush()
            except (OSError, ValueError):
                _log.debug("the bridge %s ended before it was told what to be", self.kind)
            for line in process.stdout:
                self._reported(json.loads(line))
        finally:
            process.kill()
            status = process.wait()
            with self._lock:
                process.stdout.close()
                try:
                    process.stdin.close()
                except OSError:
                    _log.debug("the bridge %s has ended", self.kind)
                self._process = None
        if not self._ending.is_set():
            self._error = self._error or f"its process ended with status {status}"
            self._failed(UsageError(f"publish.bridges ({self.kind}): {self._error}"))

    def _reported(self, report: dict[str, Any]) -> None:
        if "ready" in report:
            self._address, self._error, self._running = report["ready"], "", True
            self._settled.set()
        elif "failed" in report:
            self._error = report["failed"]
            self._failed(failure_in(report, self.kind))
        else:
            self._counts = report["counts"]

    def _failed(self, error: RtfaceError) -> None:
        if not self._settled.is_set():
            self._failure = error
            self._settled.set()


class BridgeProcesses:
    """The bridges of a rig.

    Parameters
    ----------
    bridges : sequence of BridgeSettings
    """

    def __init__(self, bridges: Sequence[BridgeSettings]) -> None:
        self._orders = [order_of(each) for each in bridges]
        self._processes: list[BridgeProcess] = []

    def __bool__(self) -> bool:
        return bool(self._orders)

    def open(self, service: str, names: Iterable[str], keys: str = "", own: tuple[str, ...] = ()) -> None:
        """Start all of them, and wait until they are open.

        Parameters
        ----------
        service : str
            Where the service publishes.
        names : iterable of str
            Of the keypoints.
        keys, own
            As of `BridgeOrder`.

        Raises
        ------
        RtfaceError
            One of them cannot be opened; all are ended.
        """
        told = tuple(names)
        self._processes = [
            BridgeProcess(replace(order, service=service, names=told, keys=keys, own=own))
            for order in self._orders
        ]
        try:
            for each in self._processes:
                each.start()
            until_ns = SYSTEM_CLOCK.now_ns() + round(_OPEN_S * NS_PER_S)
            for each in self._processes:
                each.wait_open(until_ns)
        except BaseException:
            self.close()
            raise

    def addresses(self) -> dict[str, str]:
        """Return the addresses that are bound, by kind."""
        return {each.kind: each.address for each in self._processes if each.address}

    def state(self) -> list[dict[str, Any]]:
        """Return how each stands, as plain values for the status."""
        return [each.state() for each in self._processes]

    def close(self) -> None:
        """End all of them, within about two seconds; may be called any number of times."""
        processes, self._processes = self._processes, []
        for each in processes:
            each.ask_to_end()
        until_ns = SYSTEM_CLOCK.now_ns() + round(_END_S * NS_PER_S)
        for each in processes:
            each.wait_ended(until_ns)

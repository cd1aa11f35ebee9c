"""The service's side of its bridges: their processes, started, watched, started anew, ended."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtface.config import (
    BridgeSettings,
    JsonBridgeSettings,
    LslBridgeSettings,
    OpenEphysBridgeSettings,
    OscBridgeSettings,
)
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import RtfaceError, UsageError
from rtface.publish.bridges.base import BridgeCounts
from rtface.publish.bridges.orders import BridgeOrder, failure_in
from rtface.publish.keys import ClientKeys

_OPEN_S = 30.0
_END_S = 1.0
_AGAIN_S = 2.0
"""How long after its end a bridge is started anew; each time twice as long as the time before, up to a minute."""
_LONGEST_AGAIN_S = 60.0
_SILENT_NS = 5 * NS_PER_S
"""One that has not reported for so long counts as hanging."""

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
        case OpenEphysBridgeSettings():
            return replace(order, address=settings.address, ttl_line=settings.line)


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
        self._reported_ns = 0

    @property
    def kind(self) -> str:
        """As of `BridgeOrder`."""
        return self._order.kind

    @property
    def address(self) -> str:
        """The address that it has bound, with its port; empty before it is open, and of a kind that binds none."""
        return self._address

    def state(self) -> dict[str, Any]:
        """Return how it stands, as plain values for the status; may be called from any thread."""
        counts, error = self._counts, self._error
        silent_ns = monotonic_ns() - self._reported_ns
        hangs = self._running and silent_ns > _SILENT_NS
        if hangs:
            error = f"its process has not reported for {silent_ns // NS_PER_S} s"
        return {
            "kind": self.kind,
            "running": self._running and not hangs,
            "address": self._address,
            "restarts": self._restarts,
            **counts,
            "error": error or counts["error"],
        }

    def start(self) -> None:
        """Begin to start it."""
        self._thread = threading.Thread(target=self._keep, name=f"rtface-bridge-{self.kind}", daemon=True)
        self._thread.start()

    def wait_open(self, until_ns: int) -> None:
        """Wait until it is open.

        Raises
        ------
        RtfaceError
            It cannot be opened, or is not in time.
        """
        if not self._settled.wait(max(0.0, (until_ns - monotonic_ns()) / NS_PER_S)):
            raise UsageError(f"publish.bridges ({self.kind}): its process did not open within {_OPEN_S:g} s")
        if self._failure is not None:
            raise self._failure

    def ask_to_end(self) -> None:
        """Have it end; returns at once."""
        self._ending.set()
        with self._lock:
            process = self._process
            if process is None:
                return
            if not self._settled.is_set():  # it has nothing to finish, and may not have read what it is to be
                process.kill()
            elif process.stdin is not None:
                with contextlib.suppress(OSError):  # it has ended already
                    process.stdin.close()

    def wait_ended(self, until_ns: int) -> None:
        """Wait until it has ended, and kill it if it has not by then."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.join(max(0.0, (until_ns - monotonic_ns()) / NS_PER_S))
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
                why = self._live()
            except OSError as error:
                why = f"no process could be begun: {error}"
            self._running, self._error = False, why
            if not self._settled.is_set():
                self._settle(UsageError(f"publish.bridges ({self.kind}): {why}"))
            again_s = min(_LONGEST_AGAIN_S, _AGAIN_S * 2 ** min(self._restarts, 10))
            if self._failure is not None or self._ending.wait(again_s):
                return
            self._restarts += 1
            _log.warning("the bridge %s has ended (%s), and is started anew", self.kind, why)

    def _live(self) -> str:
        """Start the process, read what it reports until it has ended, and return why it has."""
        command = [sys.executable, "-P", "-m", "rtface.publish.bridges.child"]
        path = os.pathsep.join(each for each in sys.path if each)  # notebooks put other things there
        with self._lock:
            if self._ending.is_set():
                return ""
            process = self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the service, which ends it
            )
        assert process.stdin is not None  # stdin=PIPE above
        assert process.stdout is not None
        why = ""
        try:
            with contextlib.suppress(OSError, ValueError):  # it has ended before it was told what to be
                process.stdin.write(replace(self._order, address=self._address or self._order.address).line())
                process.stdin.flush()
            for line in process.stdout:
                why = self._reported(line)
        finally:
            status = _ended(process)
            with self._lock:
                self._process = None
                process.stdout.close()
                with contextlib.suppress(OSError):
                    process.stdin.close()
        return why or f"its process ended with status {status}"

    def _reported(self, line: str) -> str:
        """Take a line that it has reported; return why it could not be opened, where it says so."""
        try:
            report = json.loads(line)
        except ValueError:
            _log.warning("the bridge %s printed %r", self.kind, line[:200])
            return ""
        self._reported_ns = monotonic_ns()
        if "failed" in report:
            self._settle(failure_in(report, self.kind))
            return str(report["failed"])
        if "counts" in report:
            self._counts = report["counts"]
        else:
            self._address, self._error, self._running = report["ready"], "", True
            self._settle(None)
        return ""

    def _settle(self, failure: RtfaceError | None) -> None:
        """Say whether it could be opened, the first time; one that could be is started anew for ever."""
        if not self._settled.is_set():
            self._failure = failure
            self._settled.set()


def _ended(process: subprocess.Popen[str]) -> int:
    """Return the status of a process that has closed its output, and kill it if it has not ended with that."""
    try:
        return process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


class BridgeProcesses:
    """The bridges of a rig.

    Parameters
    ----------
    bridges : sequence of BridgeSettings
    """

    def __init__(self, bridges: Sequence[BridgeSettings]) -> None:
        self._orders = [order_of(each) for each in bridges]
        self._processes: list[BridgeProcess] = []

    def open(
        self, service: str, names: Iterable[str], keys: Path | None = None, own: ClientKeys | None = None
    ) -> None:
        """Start all of them, and wait until they are open.

        Parameters
        ----------
        service : str
            Where the service publishes.
        names : iterable of str
            Of the keypoints.
        keys : Path or None
            Folder of the service's keys, if it has some.
        own : ClientKeys or None
            What the service admits its bridges by, if it has keys.

        Raises
        ------
        RtfaceError
            One of them cannot be opened; all are ended.
        """
        proof = () if own is None else tuple(each.decode() for each in (own.public, own.secret, own.server))
        folder = "" if keys is None else str(keys.resolve())
        told = tuple(names)
        self._processes = [
            BridgeProcess(replace(order, service=service, names=told, keys=folder, own=proof))
            for order in self._orders
        ]
        try:
            for each in self._processes:
                each.start()
            until_ns = monotonic_ns() + round(_OPEN_S * NS_PER_S)
            for each in self._processes:
                each.wait_open(until_ns)
        except BaseException:
            self.close()
            raise

    def addresses(self) -> dict[str, str]:
        """Return the addresses that are bound, by kind."""
        return {each.kind: each.address for each in self._processes if each.address}

    def state(self) -> tuple[dict[str, Any], ...]:
        """Return how each stands, as plain values for the status."""
        return tuple(each.state() for each in self._processes)

    def close(self) -> None:
        """End all of them, within about two seconds; may be called any number of times."""
        processes, self._processes = self._processes, []
        for each in processes:
            each.ask_to_end()
        until_ns = monotonic_ns() + round(_END_S * NS_PER_S)
        for each in processes:
            each.wait_ended(until_ns)

"""Whether a rig is ready: one finding a question, each with what to do about it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import zmq

from rtface.config import Rig, RigSettings, publish_setting
from rtface.config.multi import MultiRig
from rtface.config.rigfile import load_any_rig
from rtface.core.check import Check
from rtface.core.clock import NS_PER_US, SYSTEM_CLOCK, Clock
from rtface.core.errors import RtfaceError, UsageError
from rtface.core.extras import require
from rtface.live.check_camera import CameraChecks
from rtface.live.check_loop import check_loop
from rtface.live.doctor.processor import check_governor
from rtface.live.doctor.software import check_backends
from rtface.live.multi.check import check_cores, check_multi_loop
from rtface.publish.keys import Guard, load_server_keys
from rtface.publish.sockets import bound_socket

_CLOCK_READS = 1000


def check_rig(path: Path, clock: Clock = SYSTEM_CLOCK) -> Iterator[Check]:
    """Check a rig's configuration, camera, engine, encoder, rules, output, record, ports, clock and processor.

    Parameters
    ----------
    path : Path
        The rig's YAML file.
    clock : Clock
        Source of time.

    Yields
    ------
    Check
        One after another, as they are found; a failure does not end the checks that do not need it.
    """
    try:
        rig = load_any_rig(path)
    except RtfaceError as error:
        yield Check("configuration", "fail", str(error), exit_code=error.exit_code)
        return
    yield Check("configuration", "ok", f"{path} is well formed")
    yield from _one(rig, clock) if isinstance(rig, Rig) else _several(rig, clock)
    yield _guarded("ports", lambda: _ports(rig))
    if rig.publish.bridges:
        yield _guarded("bridges", lambda: _bridges(rig))
    yield _clock(clock)
    yield check_governor()


def _one(rig: Rig, clock: Clock) -> Iterator[Check]:
    checks = CameraChecks(rig, clock)
    yield from checks.camera()
    yield check_backends()
    yield from checks.engine()
    yield from check_loop(rig, checks.skeleton, checks.info, clock)


def _several(rig: MultiRig, clock: Clock) -> Iterator[Check]:
    """Ask about each camera alone, one after another, then about what they share."""
    yield check_backends()
    yield check_cores(rig)
    each = {name: CameraChecks(rig.of(name), clock) for name in rig.cameras}
    for name, checks in each.items():
        for found in (checks.camera, checks.engine):
            for check in found():
                yield replace(check, what=f"{name}: {check.what}")
    yield from check_multi_loop(
        rig, {name: (checks.skeleton, checks.info) for name, checks in each.items()}, clock
    )


def _guarded(what: str, question: Callable[[], Check]) -> Check:
    try:
        return question()
    except RtfaceError as error:
        return Check(what, "fail", str(error), exit_code=error.exit_code)


def _bridges(rig: RigSettings) -> Check:
    """See that what bridges need is installed; their addresses are among the ports."""
    kinds = [each.kind for each in rig.publish.bridges]
    if "lsl" in kinds:
        require("lsl", "pylsl", error=UsageError)
    return Check("bridges", "ok", f"{', '.join(kinds)}: each in a process of its own")


def _ports(rig: RigSettings) -> Check:
    """Bind all addresses and let them go."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    guard = None
    try:
        if rig.publish.keys is not None:
            guard = Guard(context, load_server_keys(rig.publish.keys))
            guard.open()
        bound, publish = [], rig.publish
        wanted = dict(publish.addresses)
        if isinstance(rig, MultiRig):
            wanted |= {("pictures", name): address for name, address in rig.picture_addresses.items()}
            wanted.pop(("pictures", "address"), None)
        for setting, asked in wanted.items():
            kind = zmq.ROUTER if setting == ("control",) else zmq.XPUB
            socket, address = bound_socket(context, kind, asked, publish_setting(setting), 1, guard)
            socket.close(0)
            bound.append(address)
    finally:
        if guard is not None:
            guard.close()
        context.destroy(0)
    return Check("ports", "ok", " and ".join(bound) + " are free")


def _clock(clock: Clock) -> Check:
    """Measure the clock's step and what one reading costs."""
    reads = [clock.now_ns() for _ in range(_CLOCK_READS)]
    steps = [after - before for before, after in itertools.pairwise(reads) if after > before]
    if not steps:
        return Check("clock", "fail", "the monotonic clock does not move")
    text = f"monotonic, smallest step {min(steps)} ns"
    if min(steps) > 100 * NS_PER_US:
        return Check("clock", "warn", text, "latencies below that cannot be told apart on this machine")
    return Check("clock", "ok", text)

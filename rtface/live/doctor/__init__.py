"""What stops a rig on this computer, and how to end it: one finding a question, each by looking, without root."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rtface.core.check import Check
from rtface.live.doctor.devices import check_serial, check_video
from rtface.live.doctor.host import Host, this_host
from rtface.live.doctor.network import check_network
from rtface.live.doctor.processor import check_clock_source, check_governor, check_priority
from rtface.live.doctor.software import (
    check_backends,
    check_disk,
    check_gpus,
    check_packages,
    check_producers,
)
from rtface.live.doctor.usb import check_usb


def examine(host: Host | None = None, folder: Path = Path()) -> Iterator[Check]:
    """Look at the computer: devices and who may use them, kernel settings, processor, packages, disk.

    Parameters
    ----------
    host : Host or None
        Where to look; this computer when None.
    folder : Path
        Where sessions will be recorded: its disk is looked at.

    Yields
    ------
    Check
        One or more a question; `fail` is what no rig can run with, and has the exit code of what it stops.
    """
    host = host or this_host()
    if sys.platform == "linux":
        yield from check_usb(host)
        yield from check_network(host)
        yield from check_video(host)
        yield from check_serial(host)
        yield check_priority(host)
        yield check_governor(host)
        yield check_clock_source(host)
    else:
        yield Check(
            "system",
            "warn",
            "devices, rights, network and processor are looked at on Linux alone",
            "rtface check RIG opens them; read docs/platforms.md",
        )
    yield check_gpus(host)
    yield check_backends()
    yield check_producers(host)
    yield from check_packages()
    yield from check_disk(host, folder)

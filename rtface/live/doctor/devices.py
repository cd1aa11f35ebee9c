"""Video and serial devices: may this user open them, and do serial adapters hand on bytes at once."""

from __future__ import annotations

from collections.abc import Iterator

from rtface.core.check import Check
from rtface.core.errors import CameraError, OutputError
from rtface.live.doctor.host import Host

SERIAL = ("/dev/ttyUSB*", "/dev/ttyACM*")


def check_video(host: Host) -> Iterator[Check]:
    """Look at the devices of webcams."""
    yield from _accessible(host, "video", ("/dev/video*",), "video", CameraError.exit_code)


def check_serial(host: Host) -> Iterator[Check]:
    """Look at the devices of gates and other boards, and at how long their adapters collect bytes."""
    yield from _accessible(host, "serial", SERIAL, "dialout", OutputError.exit_code)
    for timer in host.find("/sys/bus/usb-serial/devices/*/latency_timer"):
        waits_ms = host.number(timer)
        if waits_ms is not None and waits_ms > 1:
            yield Check(
                "serial",
                "warn",
                f"{timer.parent.name} collects what it received for up to {waits_ms} ms before it hands it on",
                f"echo 1 | sudo tee {host.name(timer)}",
            )


def _accessible(
    host: Host, what: str, patterns: tuple[str, ...], usual_group: str, exit_code: int
) -> Iterator[Check]:
    found = [device for pattern in patterns for device in host.find(pattern)]
    if not found:
        yield Check(what, "ok", f"no device is plugged in ({', '.join(patterns)})")
    refused: dict[str, list[str]] = {}
    for device in found:
        if host.may_use(device):
            yield Check(what, "ok", f"{host.name(device)} can be opened")
        else:
            refused.setdefault(host.owning_group(device, usual_group), []).append(host.name(device))
    for group, names in refused.items():
        yield Check(
            what,
            "fail",
            f"{', '.join(names)} cannot be opened by {host.user}",
            host.how_to_join(group),
            exit_code=exit_code,
        )

"""USB3 Vision cameras: may they be opened, how fast are they connected, how much may they send at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rtface.core.check import Check
from rtface.core.errors import CameraError
from rtface.live.doctor.host import Host

VISION = ("ef", "05")
"""Class and subclass of an interface by which USB3 Vision cameras are known."""
BUFFER_MB = 1000
"""Memory for transfers that makers of cameras ask for; the kernel gives 16."""
SUPER_SPEED_MBPS = 5000
_MEMORY = "/sys/module/usbcore/parameters/usbfs_memory_mb"
_RULES = "/etc/udev/rules.d/60-usb3-vision.rules"


def check_usb(host: Host) -> Iterator[Check]:
    """Look at the memory of transfers, and at each USB3 Vision camera that is plugged in."""
    cameras = vision_cameras(host)
    yield _memory(host, bool(cameras))
    if not cameras:
        yield Check("USB cameras", "ok", "no USB3 Vision camera is plugged in")
    for camera in cameras:
        yield from _camera(host, camera)


def vision_cameras(host: Host) -> list[Path]:
    """Return the USB devices that have an interface of USB3 Vision."""
    found = []
    for device in host.find("/sys/bus/usb/devices/[0-9]*"):
        if ":" in device.name:  # an interface of one
            continue
        interfaces = [*device.glob(f"{device.name}:*"), *device.parent.glob(f"{device.name}:*")]
        kinds = {
            (host.text(each / "bInterfaceClass"), host.text(each / "bInterfaceSubClass"))
            for each in interfaces
        }
        if VISION in kinds:
            found.append(device)
    return found


def _memory(host: Host, needed: bool) -> Check:
    megabytes = host.number(_MEMORY)
    if megabytes is None:
        return Check("USB memory", "ok", f"{_MEMORY} is not there: no USB here, or a container without it")
    if megabytes == 0 or megabytes >= BUFFER_MB:
        return Check("USB memory", "ok", "unlimited" if megabytes == 0 else f"{megabytes} MB")
    return Check(
        "USB memory",
        "warn" if needed else "ok",
        f"{megabytes} MB for the transfers of all cameras together: frames come incomplete or not at all",
        f"echo {BUFFER_MB} | sudo tee {_MEMORY}; to last, add usbcore.usbfs_memory_mb={BUFFER_MB} to "
        "GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, sudo update-grub, restart"
        if needed
        else "",
    )


def _camera(host: Host, device: Path) -> Iterator[Check]:
    named = " ".join(
        filter(None, (host.text(device / each) for each in ("manufacturer", "product", "serial")))
    )
    name = named or f"USB device {device.name}"
    node = _node(host, device)
    if node is None or not host.may_use(node):
        where = "no device file" if node is None else host.name(node)
        group = "" if node is None else host.owning_group(node, "")
        yield Check(
            "USB cameras",
            "fail",
            f"{name} cannot be opened by {host.user} ({where})",
            host.how_to_join(group) if group else _rule_for(host.text(device / "idVendor")),
            exit_code=CameraError.exit_code,
        )
    else:
        yield Check("USB cameras", "ok", f"{name} can be opened")
    speed = host.number(device / "speed")
    if speed is not None and speed < SUPER_SPEED_MBPS:
        yield Check(
            "USB speed",
            "warn",
            f"{name} is connected at {speed} Mbit/s",
            f"USB 3 is {SUPER_SPEED_MBPS}: a USB 3 port, a short cable made for it, no hub",
        )


def _rule_for(vendor: str) -> str:
    return (
        f"""echo 'SUBSYSTEM=="usb", ATTRS{{idVendor}}=="{vendor}", MODE="0666"' | sudo tee {_RULES}; """
        "sudo udevadm control --reload; plug the camera out and in"
    )


def _node(host: Host, device: Path) -> Path | None:
    bus, number = host.number(device / "busnum"), host.number(device / "devnum")
    if bus is None or number is None:
        return None
    node = host.path(f"/dev/bus/usb/{bus:03d}/{number:03d}")
    return node if node.exists() else None

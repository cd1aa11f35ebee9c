"""Network interfaces that a GigE Vision camera may be on: size of packets, speed, and what is kept for a reader that is late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rtface.core.check import Check
from rtface.live.doctor.host import Host

JUMBO = 9000
"""Bytes of the packets that cameras and their makers' manuals ask for."""
NEARLY_JUMBO = 8000
RECEIVE_BYTES = 10 * 2**20
"""A receive buffer that lasts for some frames: what Aravis and producers ask the kernel for."""
_RECEIVE = "/proc/sys/net/core/rmem_max"
_SETTINGS = "/etc/sysctl.d/60-rtface.conf"


def check_network(host: Host) -> Iterator[Check]:
    """Look at each interface with a plug of its own that is up, and at the receive buffers."""
    plugged = [each for each in host.find("/sys/class/net/*") if (each / "device").exists()]
    up = [each for each in plugged if host.text(each / "operstate") == "up"]
    to_the_world = _default_route(host)
    cameras = [each for each in up if each.name not in to_the_world]
    for interface in cameras:
        yield _interface(host, interface)
    if not cameras:
        there = ", ".join(each.name for each in up) or "none"
        yield Check(
            "network",
            "ok",
            f"no interface of a camera's own is up (up: {there}); a GigE Vision camera works best on one",
        )
    yield _receive_buffer(host, bool(cameras))


def _default_route(host: Host) -> set[str]:
    rows = [line.split() for line in host.text("/proc/net/route").splitlines()[1:]]
    return {row[0] for row in rows if len(row) > 1 and row[1] == "00000000"}


def _interface(host: Host, interface: Path) -> Check:
    name = interface.name
    mtu, speed = host.number(interface / "mtu"), host.number(interface / "speed")
    said, fixes = [], []
    if mtu is not None:
        said.append(f"packets of {mtu} bytes")
        if mtu < NEARLY_JUMBO:
            fixes.append(
                f"sudo ip link set {name} mtu {JUMBO} (to last: nmcli connection modify NAME 802-3-ethernet.mtu {JUMBO}), "
                "and in the rig's file nodes: {GevSCPSPacketSize: 8192}, if what lies between can carry it"
            )
    if speed is not None and speed > 0:
        said.append(f"{speed} Mbit/s")
        if speed < 1000:
            fixes.append("GigE Vision needs 1000 Mbit/s: another cable, port or switch")
    if host.number(f"/proc/sys/net/ipv4/conf/{name}/rp_filter") == 1:
        said.append("reverse path filter strict")
        fixes.append(
            f"where the camera is not found: sudo sysctl -w net.ipv4.conf.{name}.rp_filter=2, which lets answers through "
            "that come from another subnet"
        )
    needed = any(not fix.startswith("where") for fix in fixes)
    return Check(
        "network", "warn" if needed else "ok", f"{name}: {', '.join(said) or 'up'}", "; ".join(fixes)
    )


def _receive_buffer(host: Host, needed: bool) -> Check:
    size = host.number(_RECEIVE)
    if size is None:
        return Check("receive buffer", "ok", f"{_RECEIVE} cannot be read here")
    text = f"at most {size / 2**20:.1f} MiB"
    if size >= RECEIVE_BYTES or not needed:
        return Check("receive buffer", "ok", text)
    return Check(
        "receive buffer",
        "warn",
        f"{text}: packets of a GigE Vision camera are lost while its reader is late",
        f"echo 'net.core.rmem_max={RECEIVE_BYTES}' | sudo tee {_SETTINGS}; sudo sysctl --system",
    )

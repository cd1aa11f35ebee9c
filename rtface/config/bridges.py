"""The `publish.bridges:` list: in which other forms what is published goes out."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from rtface.config.section import Section
from rtface.core.defaults import LOOPBACK_JSON, LOOPBACK_OSC

_TARGET = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]/]+):(?P<port>\d{1,5})")
_PORTS = range(1, 1 << 16)


class _Bridge(Section):
    """What every bridge has."""

    queue: int = Field(1000, ge=10, le=100_000)
    """Messages kept while the bridge is behind; of more, the oldest are dropped and counted."""


class JsonBridgeSettings(_Bridge):
    """Every message as JSON, on ZeroMQ topics of its own."""

    kind: Literal["json"]
    address: str = LOOPBACK_JSON
    """ZeroMQ address that the JSON is published on, with the keys of publish.keys; port * takes a free one."""


class OscBridgeSettings(_Bridge):
    """Keypoints and events as Open Sound Control, for Bonsai and Max."""

    kind: Literal["osc"]
    udp: tuple[str, ...] = Field((), max_length=16)
    """Hosts with their ports that each OSC message is sent to over UDP, unencrypted: `127.0.0.1:9000`."""
    address: str = LOOPBACK_OSC
    """ZeroMQ address that the same OSC messages are published on, with the keys of publish.keys; port * takes a free one."""

    @field_validator("udp")
    @classmethod
    def _are_hosts_with_ports(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        for each in targets:
            if (found := _TARGET.fullmatch(each)) is None or int(found["port"]) not in _PORTS:
                raise ValueError(f"{each!r} is not HOST:PORT with a port of 1 to 65535")
        if len(set(targets)) < len(targets):
            raise ValueError("a host with its port stands here twice")
        return targets

    @property
    def targets(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports of `udp`."""
        parted = (each.rpartition(":") for each in self.udp)
        return tuple((host.strip("[]"), int(port)) for host, _, port in parted)


class LslBridgeSettings(_Bridge):
    """Keypoints, features and markers as streams of the Lab Streaming Layer."""

    kind: Literal["lsl"]
    scope: Literal["machine", "link", "site"] = "machine"
    """Who can find the streams: programs on this computer, on the same network segment, or on the same site."""


class OpenEphysBridgeSettings(_Bridge):
    """Events for Open Ephys: light as TTL events, all others as texts."""

    kind: Literal["openephys"]
    address: str = "tcp://127.0.0.1:5556"
    """Where its plug-in Network Events listens, which each event is sent to, unencrypted."""
    line: int = Field(1, ge=1, le=256)
    """TTL line that follows the light of rules that are not blinded."""


BridgeSettings = Annotated[
    JsonBridgeSettings | OscBridgeSettings | LslBridgeSettings | OpenEphysBridgeSettings,
    Field(discriminator="kind"),
]

"""The rigs that a screen shows: where each is reached."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from rtface.config.rigfile import load_rig
from rtface.core.defaults import LOOPBACK_CONTROL
from rtface.core.errors import AddressError, UsageError
from rtface.publish.address import is_address
from rtface.publish.keys import ClientKeys, load_client_keys


@dataclass(frozen=True, slots=True)
class ShownRig:
    """A rig of the screen.

    Attributes
    ----------
    id : str
        What messages between page and screen call it: the same for the same service, and never another's.
    name : str
        What people call it: its file, or its address.
    control : str
        Where its service takes commands; all else it says itself.
    keys : path or None
        Folder of this client's keys, for a service that needs keys.
    named : bool
        Whether somebody named it or started it. The usual address, which is looked at where nobody named any, is no rig before
        a service was heard there: a page then does not call what it does not hear unknown.
    """

    id: str
    name: str
    control: str
    keys: Path | None = None
    named: bool = True

    def as_dict(self) -> dict[str, str | bool]:
        """Return what a page is told of it."""
        return {"id": self.id, "name": self.name, "control": self.control, "named": self.named}

    def client_keys(self) -> ClientKeys | None:
        """Return the keys of the folder; `AddressError` where they cannot be loaded."""
        return None if self.keys is None else load_client_keys(self.keys)


def id_of(control: str) -> str:
    """Return what messages between page and screen call the rig whose service takes commands at an address."""
    return sha256(control.encode()).hexdigest()[:12]


def shown_rigs(wheres: list[str], keys: Path | None) -> list[ShownRig]:
    """Return the rigs that are named: by the control address of a service, or by a rig's file; else the usual one.

    Raises
    ------
    UsageError
        One is neither, or stands twice.
    ConfigError, AddressError
        A rig's file, or an address, cannot be used.
    """
    rigs: list[ShownRig] = []
    for where in wheres or [LOOPBACK_CONTROL]:
        if "://" in where:
            name, control = where, where
        elif where.endswith((".yaml", ".yml")):
            name, control = Path(where).stem, load_rig(Path(where)).publish.control
        else:
            raise UsageError(
                f"{where!r}: neither the address of a service, tcp://HOST:PORT, nor a rig's YAML file"
            )
        if not is_address(control) or control.endswith(":*"):
            raise AddressError(f"{where}: {control} cannot be reached: write tcp://HOST:PORT, or ipc://PATH")
        if control in (rig.control for rig in rigs):
            raise UsageError(f"{where}: the service at {control} stands twice")
        rigs.append(ShownRig(id_of(control), name, control, keys, named=bool(wheres)))
    return rigs

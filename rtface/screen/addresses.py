"""Where a service that says at which address it is bound can be reached from here."""

from __future__ import annotations

_EVERYWHERE = ("0.0.0.0", "[::]", "*")


def as_reached(bound: str, control: str) -> str:
    """Return a bound address as a client reaches it that reached the same service at `control`.

    A service that is bound to every address of its machine, or behind a tunnel's end, says an address that is no use
    elsewhere: the host is then that of `control`. Other transports than TCP stay as they are.
    """
    if not (bound.startswith("tcp://") and control.startswith("tcp://")):
        return bound
    host, _, port = bound.removeprefix("tcp://").rpartition(":")
    if host in _EVERYWHERE:
        return f"tcp://{control.removeprefix('tcp://').rpartition(':')[0]}:{port}"
    return bound

"""Where a service that says at which address it is bound can be reached from here."""

from __future__ import annotations

_EVERYWHERE = ("0.0.0.0", "[::]", "*")


def as_reached(bound: str, control: str) -> str:
    """Return a bound address as a client reaches it that reached the same service at `control`.

    A service that is bound to every address of its machine says one that is no use elsewhere: the host is then that of
    `control`. Other transports than TCP stay as they are.
    """
    host, _, port = bound.removeprefix("tcp://").rpartition(":")
    if not bound.startswith("tcp://") or host not in _EVERYWHERE:
        return bound
    if not control.startswith("tcp://"):
        return f"tcp://127.0.0.1:{port}"
    return f"tcp://{control.removeprefix('tcp://').rpartition(':')[0]}:{port}"

"""Which addresses stay on this machine, and which need keys."""

from __future__ import annotations

from ipaddress import ip_address

from rtface.core.errors import AddressError


def is_loopback(address: str) -> bool:
    """Return whether a ZeroMQ address can be reached from this machine alone.

    True for ``ipc://``, ``inproc://`` and for ``tcp://`` with ``localhost``, 127.0.0.0/8 or ``[::1]`` written out.
    Anything else, the name of a network interface too, counts as reachable from elsewhere.
    """
    transport, separator, rest = address.partition("://")
    if not separator or not rest:
        return False
    if transport in ("ipc", "inproc"):
        return True
    if transport != "tcp":
        return False
    host = rest.rpartition(":")[0]
    if host == "localhost":
        return True
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(address: str, setting: str, has_keys: bool) -> None:
    """Refuse an address that is malformed, or that others could reach without a key.

    Parameters
    ----------
    address : str
        A ZeroMQ address to bind.
    setting : str
        Where the address comes from, for the message: ``publish.keypoints``.
    has_keys : bool
        The socket admits clients with a key alone.

    Raises
    ------
    AddressError
        The text says what to do.
    """
    if not is_address(address):
        raise AddressError(
            f"{setting}: {address!r} is not an address; write tcp://HOST:PORT, ipc://PATH or inproc://NAME"
        )
    if not has_keys and not is_loopback(address):
        raise AddressError(
            f"{setting}: {address} can be reached from other machines, which needs keys; make them with "
            f"`rtface keys new` and name their folder in publish.keys, or use an address of 127.0.0.1"
        )


def is_address(address: str) -> bool:
    """Return whether it is an address of a transport that rtface uses; its port may be ``*``."""
    transport, _, rest = address.partition("://")
    if transport in ("ipc", "inproc"):
        return bool(rest)
    host, _, port = rest.rpartition(":")
    if transport != "tcp" or not host or not port.isascii():
        return False
    return port == "*" or (port.isdigit() and int(port) < 1 << 16)  # ZeroMQ would wrap a larger one round

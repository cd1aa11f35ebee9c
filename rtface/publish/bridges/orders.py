"""What a bridge's process is given and what it reports: lines of JSON between it and the service. No socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rtface.core import errors
from rtface.core.errors import RtfaceError

BridgeKind = Literal["json", "osc", "lsl", "openephys"]


@dataclass(frozen=True, slots=True)
class BridgeOrder:
    """What a bridge is to be, on one line.

    Attributes
    ----------
    kind : str
        ``json``, ``osc``, ``lsl`` or ``openephys``.
    service : str
        Where the service publishes.
    names : tuple of str
        Of the keypoints.
    queue : int
        Messages that may wait.
    address : str
        To bind, or of Open Ephys; empty where the kind has none.
    targets : tuple of (str, int)
        Hosts and ports for OSC.
    scope : str
        Of LSL.
    ttl_line : int
        TTL line of Open Ephys.
    keys : str
        Folder of the service's keys, with which the address admits clients; empty without.
    own : tuple of str
        Public and secret key that the service admits this bridge by, and the service's public key; empty without.
    """

    kind: BridgeKind
    service: str
    names: tuple[str, ...]
    queue: int
    address: str = ""
    targets: tuple[tuple[str, int], ...] = ()
    scope: str = "machine"
    ttl_line: int = 1
    keys: str = ""
    own: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the order as a line."""
        return json.dumps(asdict(self)) + "\n"


def order_in(line: str) -> BridgeOrder:
    """Return the order on a line."""
    values: dict[str, Any] = json.loads(line)
    targets = tuple((host, port) for host, port in values["targets"])
    tuples = {name: tuple(values[name]) for name in ("names", "own")}
    return BridgeOrder(**{**values, **tuples, "targets": targets})


def failure_report(error: RtfaceError) -> dict[str, str]:
    """Return the report of a bridge that could not be opened."""
    return {"failed": str(error), "error": type(error).__name__}


def failure_in(report: Mapping[str, Any], kind: str) -> RtfaceError:
    """Return the error in such a report."""
    found = getattr(errors, str(report.get("error")), errors.UsageError)
    known = isinstance(found, type) and issubclass(found, RtfaceError) and found is not errors.ControlError
    return (found if known else errors.UsageError)(f"publish.bridges ({kind}): {report['failed']}")

"""Arming a service over its control socket, on a machine that does other things too."""

from __future__ import annotations

from rtface.client import Client
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import ControlError
from support.waits import LONG_S


def arm(client: Client) -> None:
    """Arm, again and again while the self-test finds that frames have not come for long enough."""
    end_ns = monotonic_ns() + round(LONG_S * NS_PER_S)
    while True:
        try:
            client.arm("test")
            return
        except ControlError as error:
            if monotonic_ns() > end_ns or "frames:" not in str(error):
                raise
            client.next(0.2)

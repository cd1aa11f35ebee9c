"""How long a driver may take, and what it is doing meanwhile, in words."""

from __future__ import annotations

from dataclasses import dataclass

from rtface.acquire.outside.messages import FETCH, READY

DOING = {
    READY: "starting its process",
    "open": "opening",
    "start": "starting",
    FETCH: "waiting for a frame",
    "stop": "stopping",
    "close": "closing",
    "call": "doing what it was asked",
}
"""What is being done, by the request."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a driver may take before its process is killed, in seconds.

    Attributes
    ----------
    begin_s : float
        Until the process answers at all.
    open_s : float
        To open the camera and make its settings; a command under `nodes:` may take 10 s of it.
    start_s, stop_s, close_s : float
        To start, to stop, to give the camera back.
    fetch_s : float
        A call that waits for a frame; it is asked to return within 0.1 s, frame or not.
    """

    begin_s: float = 60.0
    open_s: float = 30.0
    start_s: float = 10.0
    fetch_s: float = 5.0
    stop_s: float = 3.0
    close_s: float = 3.0


USUAL = Patience()
"""Of a camera."""

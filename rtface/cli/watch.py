"""``rtface watch``: what a running service publishes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live

from rtface.cli.options import JsonOption, SecondsOption
from rtface.cli.terminal.neural import NeuralView, neural_map
from rtface.cli.terminal.screen import (
    ERR,
    OUT,
    beside,
    camera_line,
    keypoints_table,
    live_view,
    losses_line,
    print_json,
    view_in_words,
)
from rtface.cli.terminal.signals import ending_on_signals
from rtface.client import Client, Keypoints
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.defaults import LOOPBACK_CONTROL, LOOPBACK_KEYPOINTS
from rtface.core.errors import AddressError, ControlError, WireError
from rtface.core.latency import Histogram
from rtface.publish.neural import NeuralMessage
from rtface.publish.status import StatusMessage

_POLL_S = 0.1
_REFRESH_NS = NS_PER_S // 5
_SILENCE_NS = 3 * NS_PER_S


def watch(
    address: Annotated[str, typer.Argument(help="Where the service publishes.")] = LOOPBACK_KEYPOINTS,
    control: Annotated[str, typer.Option(help="Where it takes commands, for the names.")] = LOOPBACK_CONTROL,
    keys: Annotated[Path | None, typer.Option(help="Folder of this client's keys.")] = None,
    seconds: SecondsOption = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after this many messages.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the keypoints of a running service, of each camera, with their age, gaps and losses, and what its encoder predicts.

    Shows when no message has come for some seconds: the service is gone, or compiles for a new crop size.
    With --json every message is printed as one line. Ends when the service ends, after --seconds or --count.
    """
    with ending_on_signals() as ending, Client(address, control, keys=keys, timeout_s=2.0) as client:
        _Follower(client, as_json=as_json).run(ending, seconds, count)


class _Watched:
    """What was received of one camera."""

    def __init__(self, names: tuple[str, ...], latest: Keypoints) -> None:
        self.names, self.latest = names, latest
        self.age = Histogram()
        self.received = self.missed = 0


class _Follower:
    """Follows one client's messages."""

    def __init__(self, client: Client, *, as_json: bool, clock: Clock = SYSTEM_CLOCK) -> None:
        self._client = client
        self._as_json = as_json
        self._now_ns = clock.now_ns
        self._last_ns = clock.now_ns()
        self._cameras: dict[str, _Watched] = {}
        self._received = 0
        self._status: StatusMessage | None = None
        self._neural = NeuralView()

    def run(self, ending: threading.Event, seconds: float | None, count: int | None) -> None:
        now_ns = self._now_ns
        end_ns = None if seconds is None else now_ns() + round(seconds * NS_PER_S)
        refreshed_ns = 0
        with Live(console=ERR, auto_refresh=False, transient=True) as live:
            while not ending.is_set() and not self._service_ended():
                if (end_ns is not None and now_ns() >= end_ns) or (
                    count is not None and self._received >= count
                ):
                    break
                self._receive()
                if not self._as_json and now_ns() - refreshed_ns > _REFRESH_NS:
                    refreshed_ns = now_ns()
                    live.update(self._view(), refresh=True)
        if not self._as_json:
            OUT.print(self._view())
        if self._received == 0:
            raise AddressError("no keypoints came; is the service running at that address, and tracking?")

    def _receive(self) -> None:
        keypoints, status = self._client.next(_POLL_S), self._client.latest_status
        neural = self._client.neural()
        self._neural.take(neural)
        if self._as_json:
            for message in neural:
                print_json(_neural_map(message))
        if keypoints is not None or status is not self._status:
            self._last_ns, self._status = self._now_ns(), status
        if keypoints is not None:
            self._take(keypoints)

    def _take(self, keypoints: Keypoints) -> None:
        seen = self._cameras.get(keypoints.camera)
        if seen is None:
            seen = self._cameras[keypoints.camera] = _Watched(self._request_names(keypoints), keypoints)
        elif keypoints.restarted:
            seen.names = self._request_names(keypoints)
        self._received += 1
        seen.received, seen.missed, seen.latest = seen.received + 1, seen.missed + keypoints.missed, keypoints
        if keypoints.age_ns is not None:
            seen.age.add(keypoints.age_ns)
        if self._as_json:
            print_json(_as_map(seen))

    def _request_names(self, keypoints: Keypoints) -> tuple[str, ...]:
        """Request the names, and use them only if they are those of the service that publishes; else numbers."""
        numbers = tuple(str(number) for number in range(len(keypoints.score)))
        try:
            hello = self._client.hello()
        except (AddressError, ControlError, WireError):
            return numbers
        if hello.session != keypoints.session:
            return numbers
        return tuple(point.name for point in hello.cameras.get(keypoints.camera, hello).skeleton)

    def _service_ended(self) -> bool:
        status = self._client.latest_status
        return status is not None and status.status.state in ("ended", "failed")

    def _camera(self, camera: str) -> str:
        """Return how a camera does, as the newest status has it."""
        status = self._client.latest_status
        if status is None:
            return ""
        if not camera:
            return camera_line(status.status.camera_status)
        said = status.status.cameras.get(camera, {})
        gap = said.get("gap")
        lost = f"; {said.get('state')}: {gap['why']}" if gap else ""
        return camera_line(said.get("camera_status", {})) + lost

    def _view(self) -> Any:
        if not self._cameras:
            return live_view(f"waiting for keypoints; {self._since_last()}")
        heads, tables = [], []
        for camera, seen in sorted(self._cameras.items()):
            latest, of = seen.latest, f"{camera}: " if camera else ""
            heads.append(
                f"{of}frame {latest.frame_id}: {seen.received} received, {seen.missed} missed; {_ages(seen)}; "
                f"{view_in_words(latest.view_ok)}; {losses_line(latest.lost)}; {self._since_last()}{self._camera(camera)}"
            )
            tables.append(keypoints_table(seen.names, latest.xy, latest.score, latest.outside))
        return live_view("\n".join(heads), beside(tables[0], [*tables[1:], *self._neural.render()]))

    def _since_last(self) -> str:
        """Return how long ago a message of any kind came."""
        silent_ns = self._now_ns() - self._last_ns
        if silent_ns > _SILENCE_NS:
            return f"no heartbeat for {silent_ns // NS_PER_S} s"
        return f"last message {silent_ns / NS_PER_S:.1f} s ago"


def _ages(seen: _Watched) -> str:
    if seen.latest.age_ns is None:
        return "age unknown"
    age = seen.age.summary()
    return f"age p50 {age.p50_ms:.2f}, p99 {age.p99_ms:.2f}, max {age.max_ms:.2f} ms"


def _as_map(seen: _Watched) -> dict[str, Any]:
    keypoints = seen.latest
    points = {
        name: [float(x), float(y), float(score)]
        for name, (x, y), score in zip(seen.names, keypoints.xy, keypoints.score, strict=False)
    }
    of_camera = {"camera": keypoints.camera} if keypoints.camera else {}
    return of_camera | {
        "session": keypoints.session,
        "seq": keypoints.seq,
        "frame_id": keypoints.frame_id,
        "age_ms": None if keypoints.age_ns is None else keypoints.age_ns / 1e6,
        "missed": keypoints.missed,
        "view_ok": keypoints.view_ok,
        "keypoints": points,
    }


def _neural_map(message: NeuralMessage) -> dict[str, Any]:
    return {
        "session": message.session,
        "seq": message.seq,
        "frame_id": message.frame_id,
        "age_ms": None if message.age_ns is None else message.age_ns / 1e6,
        "neural": neural_map(message),
    }

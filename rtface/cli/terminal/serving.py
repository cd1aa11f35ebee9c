"""What `rtface run` and `rtface demo` share: a service, its live table, its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.live import Live

from rtface.cli.terminal.screen import (
    ERR,
    OUT,
    camera_line,
    latency_table,
    live_view,
    losses_line,
    print_json,
    print_note,
    view_in_words,
)
from rtface.config import Rig
from rtface.config.multi import MultiRig
from rtface.core.errors import DataError, RtfaceError
from rtface.core.records import CameraInfo, Losses
from rtface.core.status import PipelineStatus
from rtface.encode.manifest import EncoderManifest
from rtface.live.busy import BusyMachine
from rtface.live.multi.service import MultiService
from rtface.live.served import describe_backend
from rtface.live.service import Service
from rtface.publish.status import camera_status_map
from rtface.track.backends.base import BackendInfo
from rtface.track.store import Engine

_REFRESH_S = 0.25


AnyService = Service | MultiService


@contextmanager
def running(rig: Rig | MultiRig) -> Iterator[AnyService]:
    """Open a rig's service, and close it in the end.

    Raises
    ------
    DataError
        It is closed, and its session's record failed.
    """
    made: AnyService = Service(rig) if isinstance(rig, Rig) else MultiService(rig)
    with made as service:
        yield service
    if service.record_fault:
        raise DataError(f"the session's record failed: {service.record_fault}; see rtface session verify")


def serve(
    service: AnyService,
    ending: threading.Event,
    seconds: float | None,
    *,
    as_json: bool,
    below: Callable[[], list[Any]] = list,
    more: Callable[[], Mapping[str, Any]] = dict,
) -> None:
    """Show an opened service until it ends, is interrupted, or `seconds` have passed.

    Parameters
    ----------
    service : Service or MultiService
        Opened; closed by the caller.
    ending : Event
        Set when the service is to end.
    seconds : float or None
        How long at most.
    as_json : bool
        Print one line of JSON a second in place of the table.
    below : callable
        Makes what stands below the latency table, at each refresh.
    more : callable
        Gives further fields of the lines of JSON.

    Raises
    ------
    RtfaceError
        What ended the service, if it was an error.
    """
    refreshes = None if seconds is None else max(1, round(seconds / _REFRESH_S))
    shown = 0
    machine = BusyMachine()  # of one camera: the processes of several would be taken for other programs

    def line() -> dict[str, Any]:
        busy = {"busy": machine.in_words} if machine.in_words else {}
        return {**service.status(), **_encoder_map(service), **busy, **more()}

    def looked() -> Mapping[str, PipelineStatus]:
        if not isinstance(service, Service):
            return service.pipeline.statuses()
        status = service.pipeline.status()
        machine.look(lost_frames(status.losses))
        return {"": status}

    with Live(console=ERR, auto_refresh=False, transient=True) as live:
        while refreshes is None or shown < refreshes:
            shown += 1
            if ending.wait(_REFRESH_S) or service.wait(0):
                break
            statuses = looked()
            if not as_json:
                live.update(_view(statuses, machine, below()), refresh=True)
            elif shown % round(1 / _REFRESH_S) == 0:
                print_json(line())
    statuses = looked()
    if as_json:
        print_json(line())
    else:
        OUT.print(_view(statuses, machine, below()))
    raise_failure(service)


def _view(statuses: Mapping[str, PipelineStatus], machine: BusyMachine, below: list[Any]) -> Any:
    """Return the live table: of the only camera, whose name is empty, all stages; of several the whole way of each."""
    if "" in statuses:
        return live_view(_headline(statuses[""], machine), latency_table(statuses[""].latency), *below)
    heads = "\n".join(f"{name}: {_headline(each, machine)}" for name, each in statuses.items())
    ends = {name: each.latency["end_to_end"] for name, each in statuses.items()}
    return live_view(heads, latency_table(ends), *below)


def raise_failure(service: AnyService) -> None:
    """Raise what ended the service, if it was an error."""
    error = service.processing.error
    if error is not None:
        raise error if isinstance(error, RtfaceError) else RuntimeError(str(error)) from error


def announce(service: AnyService) -> None:
    """Print where the service can be reached and what it runs."""
    if isinstance(service, Service):
        _announce_camera("", service.pipeline.camera, service.pipeline.backend, service.engine)
        if service.neural is not None:
            print_note(f"encoder    {described(service.neural.bundle.manifest)}")
    else:
        for name, seat in service.pipeline.seats.items():
            _announce_camera(f"{name}: ", seat.info, seat.backend, seat.engine)
    print_note(f"keypoints  {service.keypoints_address}")
    print_note(f"control    {service.control_address}")
    if service.pictures_address:
        print_note(f"pictures   {service.pictures_address}")
    for kind, address in service.bridge_addresses.items():
        print_note(f"{kind:<10} {address}")


def _announce_camera(of: str, camera: CameraInfo, ran: BackendInfo, engine: Engine) -> None:
    print_note(f"camera     {of}{camera.kind}: {camera.label}, {camera.width}x{camera.height}")
    print_note(f"engine     {of}{engine.manifest.name}, {describe_backend(ran)}; {ran.why}")


def described(manifest: EncoderManifest) -> str:
    """Return one line that describes an encoder."""
    simulated = "SIMULATED, " if manifest.simulated else ""
    return (
        f"{manifest.name}: {simulated}{manifest.targets.count} {manifest.targets.kind} of "
        f"{manifest.targets.neurons} neurons, look-ahead {manifest.look_ahead_s:g} s"
    )


def lost_frames(losses: Losses) -> int:
    """Return how many frames were lost that a busy machine loses: by the ring, on the way to it, and at the socket."""
    return losses.transport + losses.ring + losses.publish


def _encoder_map(service: AnyService) -> dict[str, Any]:
    """Return what the lines of JSON tell of the encoder; nothing where there is none."""
    if not isinstance(service, Service) or service.neural is None:
        return {}
    manifest = service.neural.bundle.manifest
    return {
        "encoder": {
            "name": manifest.name,
            "simulated": manifest.simulated,
            "kind": manifest.targets.kind,
            "outputs": manifest.targets.count,
            "neurons": manifest.targets.neurons,
            "look_ahead_s": manifest.look_ahead_s,
        }
    }


def _headline(status: PipelineStatus, machine: BusyMachine) -> str:
    busy = f"; {machine.in_words}" if machine.in_words else ""
    return (
        f"{status.state.value}: {status.rate_hz:.1f} frames per second, {status.frames} frames; "
        f"{view_in_words(status.view_ok)}; {losses_line(status.losses)}{busy}{camera_line(camera_status_map(status))}"
        f"{'' if status.gap is None else f'; the camera is lost and being opened anew: {status.gap.why}'}"
    )

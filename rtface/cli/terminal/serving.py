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
from rtface.core.errors import DataError, RtfaceError
from rtface.core.records import Losses
from rtface.core.status import PipelineStatus
from rtface.encode.manifest import EncoderManifest
from rtface.live.busy import BusyMachine
from rtface.live.service import Service, describe_backend
from rtface.publish.status import camera_status_map

_REFRESH_S = 0.25


@contextmanager
def running(rig: Rig) -> Iterator[Service]:
    """Open a rig's service, and close it in the end.

    Raises
    ------
    DataError
        It is closed, and its session's record failed.
    """
    with Service(rig) as service:
        yield service
    if service.record_fault:
        raise DataError(f"the session's record failed: {service.record_fault}; see rtface session verify")


def serve(
    service: Service,
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
    service : Service
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
    machine = BusyMachine()

    def line() -> dict[str, Any]:
        busy = {"busy": machine.in_words} if machine.in_words else {}
        return {**service.status(), **_encoder_map(service), **busy, **more()}

    with Live(console=ERR, auto_refresh=False, transient=True) as live:
        while refreshes is None or shown < refreshes:
            shown += 1
            if ending.wait(_REFRESH_S) or service.wait(0):
                break
            status = service.pipeline.status()
            machine.look(lost_frames(status.losses))
            if not as_json:
                live.update(
                    live_view(_headline(status, machine), latency_table(status.latency), *below()),
                    refresh=True,
                )
            elif shown % round(1 / _REFRESH_S) == 0:
                print_json(line())
    final = service.pipeline.status()
    machine.look(lost_frames(final.losses))
    if as_json:
        print_json(line())
    else:
        OUT.print(live_view(_headline(final, machine), latency_table(final.latency), *below()))
    raise_failure(service)


def raise_failure(service: Service) -> None:
    """Raise what ended the service, if it was an error."""
    error = service.pipeline.error
    if error is not None:
        raise error if isinstance(error, RtfaceError) else RuntimeError(str(error)) from error


def announce(service: Service) -> None:
    """Print where the service can be reached and what it runs."""
    camera = service.pipeline.camera
    print_note(f"camera     {camera.kind}: {camera.label}, {camera.width}x{camera.height}")
    ran = service.pipeline.backend
    print_note(f"engine     {service.engine.manifest.name}, {describe_backend(ran)}; {ran.why}")
    if service.neural is not None:
        print_note(f"encoder    {described(service.neural.bundle.manifest)}")
    print_note(f"keypoints  {service.keypoints_address}")
    print_note(f"control    {service.control_address}")
    if service.pictures_address:
        print_note(f"pictures   {service.pictures_address}")
    for kind, address in service.bridge_addresses.items():
        print_note(f"{kind:<10} {address}")


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


def _encoder_map(service: Service) -> dict[str, Any]:
    """Return what the lines of JSON tell of the encoder; nothing where there is none."""
    if service.neural is None:
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

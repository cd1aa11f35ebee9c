"""``rtface bench loop``, ``gate`` and ``led``: from exposure, or from a decision, to light."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rtface.acquire.factory import make_camera
from rtface.bench.gate import GateQuestion, measure_gate
from rtface.bench.led import LedQuestion, measure_led
from rtface.bench.loop import LoopQuestion, measure_loop
from rtface.cli.bench.common import FrameOptions, ResultOptions, stages_of
from rtface.cli.options import grouped, parse_crop
from rtface.cli.terminal.screen import OUT, latency_table, print_line
from rtface.cli.terminal.signals import INTERRUPTED
from rtface.config.rigfile import load_rig
from rtface.core.errors import UsageError
from rtface.core.latency import StageSummary
from rtface.stimulate.factory import make_output


@grouped
def loop(
    *,
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second.")] = 200.0,
    deadline: Annotated[float, typer.Option(min=0.1, help="Deadline in milliseconds.")] = 12.0,
    on_ms: Annotated[float, typer.Option(min=0.1, help="Length of a pulse.")] = 2.0,
    refractory_ms: Annotated[float, typer.Option(min=10, help="From the end of a pulse to the next.")] = 95.0,
    through: FrameOptions,
    result: ResultOptions,
) -> None:
    """Exposure to the pin of the emulated safety gate, stage by stage, from a simulated camera.

    Needs Debian's packages gcc, simavr, libsimavr-dev and libelf-dev. For a rig with its own gate and a light that the
    camera sees: `rtface bench led`.
    """
    question = LoopQuestion(
        seconds=seconds,
        rate_hz=rate,
        width=through.width,
        height=through.height,
        engine=through.engine,
        backend=through.settings(),
        deadline_ms=deadline,
        on_ms=on_ms,
        refractory_ms=refractory_ms,
    )
    result.measure("loop", partial(measure_loop, question), _show_loop)


@grouped
def gate(
    *,
    pulses: Annotated[int, typer.Option(min=1, max=900, help="Pulses of 1 ms to fire.")] = 500,
    port: Annotated[
        Path | None, typer.Option(help="Port of a real gate, whose light will flash; else the emulated one.")
    ] = None,
    result: ResultOptions,
) -> None:
    """Decision to light through the safety gate: hand-over, acknowledgement, the pin itself."""
    question = GateQuestion(pulses, port)
    result.measure("gate", partial(measure_gate, question), _show_gate)


@grouped
def led(
    *,
    rig: Annotated[Path, typer.Argument(help="The rig's YAML file: its camera and output are used.")],
    box: Annotated[str, typer.Option(metavar="X,Y,WIDTH,HEIGHT", help="Where the light is in the frame.")],
    pulses: Annotated[int, typer.Option(min=1, help="How many pulses.")] = 200,
    on_ms: Annotated[
        float | None, typer.Option(min=0.1, help="Length of a pulse; else two frames' time.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the light comes on.")] = False,
    result: ResultOptions,
) -> None:
    """On a rig: from a command to the light that the camera sees. The light COMES ON: no animal, no eye in its way."""
    settings, seen = load_rig(rig), parse_crop(box)
    if seen is None:
        raise UsageError("--box says where the light is: X,Y,WIDTH,HEIGHT")
    if not yes and not typer.confirm("The light will come on now, again and again. Is nobody in its way?"):
        raise typer.Exit(INTERRUPTED)
    question = LedQuestion(seen, pulses, on_ms)
    camera, output = make_camera(settings.camera), make_output(settings.output)
    result.measure("led", partial(measure_led, camera, output, question), _show_led)


def _show_loop(result: Mapping[str, Any]) -> None:
    OUT.print(latency_table(stages_of(result)))
    print_line(
        f"{result['decisions_to_fire']} decisions to fire, {result['commands']} commands, {result['lights_seen']} lights "
        f"at the pin; {result['frames']} frames, lost {result['lost']}; at the end {result['state_at_the_end']['state']}"
    )


def _show_gate(result: Mapping[str, Any]) -> None:
    OUT.print(latency_table(stages_of(result) | {"round trip": StageSummary(**result["round_trip"])}))
    print_line(f"{result['lit']} of {result['pulses']} pulses lit, refused {result['refused']}")
    if stood := result["emulation_stood_still"]:
        print_line(f"the emulation stood still {stood['times']} times, {stood['total_ms']} ms in all")


def _show_led(result: Mapping[str, Any]) -> None:
    OUT.print(latency_table(stages_of(result)))
    print_line(f"{result['pulses']} pulses, {result['not_seen']} not seen")

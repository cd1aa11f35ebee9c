"""``rtface bench loop``, ``gate`` and ``led``: from exposure, or from a decision, to light."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.acquire.factory import make_camera
from rtface.bench.gate import GateQuestion, measure_gate
from rtface.bench.led import LedQuestion, measure_led
from rtface.bench.loop import LoopQuestion, measure_loop
from rtface.cli.bench.common import HeightOption, NameOption, OutOption, WidthOption, keep, progress_bar
from rtface.cli.options import (
    BackendOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    PrecisionOption,
    ThreadsOption,
    backend_settings,
    parse_crop,
)
from rtface.cli.terminal.screen import OUT, latency_table, print_json
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.config.rigfile import load_rig
from rtface.core.errors import UsageError
from rtface.core.latency import StageSummary
from rtface.stimulate.factory import make_output


def loop(
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second.")] = 200.0,
    width: WidthOption = 640,
    height: HeightOption = 480,
    deadline: Annotated[float, typer.Option(min=0.1, help="Deadline in milliseconds.")] = 12.0,
    on_ms: Annotated[float, typer.Option(min=0.1, help="Length of a pulse.")] = 2.0,
    refractory_ms: Annotated[float, typer.Option(min=10, help="From the end of a pulse to the next.")] = 95.0,
    engine: EngineOption = "default",
    backend: BackendOption = "auto",
    precision: PrecisionOption = "engine",
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Exposure to the pin of the emulated safety gate, stage by stage, from a simulated camera.

    Needs Debian's packages gcc, simavr, libsimavr-dev and libelf-dev. For a rig with its own gate and a light that the
    camera sees: `rtface bench led`.
    """
    question = LoopQuestion(
        seconds=seconds,
        rate_hz=rate,
        width=width,
        height=height,
        engine=engine,
        backend=backend_settings(backend, precision, threads, device),
        deadline_ms=deadline,
        on_ms=on_ms,
        refractory_ms=refractory_ms,
    )
    with ending_on_signals() as wish, progress_bar("loop", quiet=as_json) as progress:
        result = measure_loop(question, progress, wish)
    keep(result, out, name or "loop")
    if as_json:
        print_json(result)
        return
    OUT.print(latency_table({stage: StageSummary(**summary) for stage, summary in result["stages"].items()}))
    OUT.print(
        f"{result['decisions_to_fire']} decisions to fire, {result['commands']} commands, {result['lights_seen']} lights "
        f"at the pin; {result['frames']} frames, lost {result['lost']}; at the end {result['state_at_the_end']['state']}",
        markup=False,
    )


def gate(
    pulses: Annotated[int, typer.Option(min=1, max=900, help="Pulses of 1 ms to fire.")] = 500,
    port: Annotated[
        Path | None, typer.Option(help="Port of a real gate, whose light will flash; else the emulated one.")
    ] = None,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decision to light through the safety gate: hand-over, acknowledgement, the pin itself."""
    with ending_on_signals() as wish, progress_bar("gate", quiet=as_json) as progress:
        result = measure_gate(GateQuestion(pulses, port), progress, wish)
    keep(result, out, name or "gate")
    if as_json:
        print_json(result)
        return
    stages = {stage: StageSummary(**summary) for stage, summary in result["stages"].items()}
    OUT.print(latency_table(stages | {"round trip": StageSummary(**result["round_trip"])}))
    OUT.print(f"{result['lit']} of {result['pulses']} pulses lit, refused {result['refused']}", markup=False)
    if result["emulation_stood_still"]:
        stood = result["emulation_stood_still"]
        OUT.print(
            f"the emulation stood still {stood['times']} times, {stood['total_ms']} ms in all", markup=False
        )


def led(
    rig: Annotated[Path, typer.Argument(help="The rig's YAML file: its camera and output are used.")],
    box: Annotated[str, typer.Option(metavar="X,Y,WIDTH,HEIGHT", help="Where the light is in the frame.")],
    pulses: Annotated[int, typer.Option(min=1, help="How many pulses.")] = 200,
    on_ms: Annotated[
        float | None, typer.Option(min=0.1, help="Length of a pulse; else two frames' time.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the light comes on.")] = False,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """On a rig: from a command to the light that the camera sees. The light COMES ON: no animal, no eye in its way."""
    settings, seen = load_rig(rig), parse_crop(box)
    if seen is None:
        raise UsageError("--box says where the light is: X,Y,WIDTH,HEIGHT")
    if not yes and not typer.confirm("The light will come on now, again and again. Is nobody in its way?"):
        raise typer.Exit(INTERRUPTED)
    with ending_on_signals() as wish, progress_bar("led", quiet=as_json) as progress:
        result = measure_led(
            make_camera(settings.camera),
            make_output(settings.output),
            LedQuestion(seen, pulses, on_ms),
            progress,
            wish,
        )
    keep(result, out, name or "led")
    if as_json:
        print_json(result)
        return
    OUT.print(latency_table({stage: StageSummary(**summary) for stage, summary in result["stages"].items()}))
    OUT.print(f"{result['pulses']} pulses, {result['not_seen']} not seen", markup=False)

"""``rtface bench``: this machine's latency and throughput, as JSON and a plot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from rtface.bench.gate import GateQuestion, measure_gate
from rtface.bench.latency import LatencyQuestion, measure_latency
from rtface.bench.plot import plot_distributions
from rtface.bench.throughput import ThroughputQuestion, measure_throughput
from rtface.cli.options import (
    BackendOption,
    EngineOption,
    JsonOption,
    PrecisionOption,
    ThreadsOption,
    backend_settings,
)
from rtface.cli.screen import ERR, OUT, latency_table, print_json
from rtface.cli.signals import ending_on_signals
from rtface.errors import DataError
from rtface.latency import StageSummary

app = typer.Typer(help="How fast this machine is, as JSON and a plot.", no_args_is_help=True)

OutOption = Annotated[Path, typer.Option(help="Folder for NAME.json and NAME.png.")]
NameOption = Annotated[str | None, typer.Option(help="Name of the result; else the benchmark's.")]
WidthOption = Annotated[int, typer.Option(min=64, help="Width of the frames in pixels.")]
HeightOption = Annotated[int, typer.Option(min=64, help="Height of the frames in pixels.")]


@app.command()
def latency(
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second.")] = 200.0,
    width: WidthOption = 640,
    height: HeightOption = 480,
    deadline: Annotated[float, typer.Option(min=0.1, help="Deadline in milliseconds.")] = 10.0,
    engine: EngineOption = "default",
    backend: BackendOption = "auto",
    precision: PrecisionOption = "engine",
    threads: ThreadsOption = None,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Exposure to a subscriber in another process, from a simulated camera: percentiles per stage."""
    settings = backend_settings(backend, precision, threads)
    question = LatencyQuestion(seconds, rate, width, height, engine, settings, deadline)
    with ending_on_signals() as wish, _progress_bar("latency", quiet=as_json) as progress:
        result = measure_latency(question, progress, wish)
    _keep(result, out, name or "latency")
    if as_json:
        print_json(result)
        return
    stages = {stage: StageSummary(**summary) for stage, summary in result["stages"].items()}
    stages["to subscriber"] = StageSummary(**result["subscriber"]["exposure_to_subscriber"])
    OUT.print(latency_table(stages))
    OUT.print(
        f"{result['frames']} frames, lost {result['lost']}; subscriber received "
        f"{result['subscriber']['received']}, missed {result['subscriber']['missed']}",
        markup=False,
    )


@app.command()
def throughput(
    frames: Annotated[int, typer.Option(min=10, help="Frames to measure.")] = 2000,
    width: WidthOption = 640,
    height: HeightOption = 480,
    engine: EngineOption = "default",
    backend: BackendOption = "auto",
    precision: PrecisionOption = "engine",
    threads: ThreadsOption = None,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Frames per second of the network alone and from camera to keypoints, in one run."""
    settings = backend_settings(backend, precision, threads)
    with _progress_bar("throughput", quiet=as_json) as progress:
        result = measure_throughput(ThroughputQuestion(frames, width, height, engine, settings), progress)
    _keep(result, out, name or "throughput")
    if as_json:
        print_json(result)
        return
    stages = {"network alone": StageSummary(**result["network_alone"])}
    stages |= {stage: StageSummary(**summary) for stage, summary in result["stages"].items()}
    OUT.print(latency_table(stages))
    OUT.print(
        f"network alone {result['network_alone_per_second']:.0f} frames per second; "
        f"camera to keypoints {result['pipeline_per_second']:.0f} (rendering the camera's frames included)",
        markup=False,
    )


@app.command()
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
    with ending_on_signals() as wish, _progress_bar("gate", quiet=as_json) as progress:
        result = measure_gate(GateQuestion(pulses, port), progress, wish)
    _keep(result, out, name or "gate")
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


@contextmanager
def _progress_bar(name: str, *, quiet: bool) -> Iterator[Callable[[float], None]]:
    with Progress(console=ERR, disable=quiet, transient=True) as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _keep(result: dict[str, Any], folder: Path, name: str) -> None:
    """Write the result and its picture; the picture's curves stay out of the JSON."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plot_distributions(result, folder / f"{name}.png")
        kept = {key: value for key, value in result.items() if key != "distribution"}
        (folder / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"the result cannot be written to {folder}: {error.strerror}") from error
    result.pop("distribution")
    ERR.print(f"written: {folder / name}.json and .png", markup=False, soft_wrap=True)

"""``rtface bench latency`` and ``throughput``: the whole service, and the network alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.bench.latency import LatencyQuestion, measure_latency
from rtface.bench.throughput import ThroughputQuestion, measure_throughput
from rtface.cli.bench.common import HeightOption, NameOption, OutOption, WidthOption, keep, progress_bar
from rtface.cli.options import (
    BackendOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    PrecisionOption,
    ThreadsOption,
    backend_settings,
)
from rtface.cli.terminal.screen import OUT, latency_table, print_json
from rtface.cli.terminal.signals import ending_on_signals
from rtface.core.latency import StageSummary


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
    device: DeviceOption = None,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Exposure to a subscriber in another process, from a simulated camera: percentiles per stage."""
    settings = backend_settings(backend, precision, threads, device)
    question = LatencyQuestion(seconds, rate, width, height, engine, settings, deadline)
    with ending_on_signals() as wish, progress_bar("latency", quiet=as_json) as progress:
        result = measure_latency(question, progress, wish)
    keep(result, out, name or "latency")
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


def throughput(
    frames: Annotated[int, typer.Option(min=10, help="Frames to measure.")] = 2000,
    width: WidthOption = 640,
    height: HeightOption = 480,
    engine: EngineOption = "default",
    backend: BackendOption = "auto",
    precision: PrecisionOption = "engine",
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Frames per second of the network alone and from camera to keypoints, in one run."""
    settings = backend_settings(backend, precision, threads, device)
    with progress_bar("throughput", quiet=as_json) as progress:
        result = measure_throughput(ThroughputQuestion(frames, width, height, engine, settings), progress)
    keep(result, out, name or "throughput")
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

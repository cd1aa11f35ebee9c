"""``rtface bench latency`` and ``throughput``: the whole service, and the network alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from rtface.bench.latency import LatencyQuestion, measure_latency
from rtface.bench.throughput import ThroughputQuestion, measure_throughput
from rtface.cli.bench.common import FrameOptions, ResultOptions, stages_of
from rtface.cli.options import grouped
from rtface.cli.terminal.screen import OUT, latency_table, print_line
from rtface.core.latency import StageSummary


@grouped
def latency(
    *,
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second.")] = 200.0,
    deadline: Annotated[float, typer.Option(min=0.1, help="Deadline in milliseconds.")] = 10.0,
    through: FrameOptions,
    result: ResultOptions,
) -> None:
    """Exposure to a subscriber in another process, from a simulated camera: percentiles per stage."""
    question = LatencyQuestion(
        seconds, rate, through.width, through.height, through.engine, through.settings(), deadline
    )
    result.measure("latency", partial(measure_latency, question), _show_latency)


@grouped
def throughput(
    *,
    frames: Annotated[int, typer.Option(min=10, help="Frames to measure.")] = 2000,
    through: FrameOptions,
    result: ResultOptions,
) -> None:
    """Frames per second of the network alone and from camera to keypoints, in one run."""
    question = ThroughputQuestion(frames, through.width, through.height, through.engine, through.settings())
    result.measure("throughput", partial(measure_throughput, question), _show_throughput)


def _show_latency(result: Mapping[str, Any]) -> None:
    subscriber = result["subscriber"]
    to_subscriber = StageSummary(**subscriber["exposure_to_subscriber"])
    OUT.print(latency_table(stages_of(result) | {"to subscriber": to_subscriber}))
    print_line(
        f"{result['frames']} frames, lost {result['lost']}; subscriber received {subscriber['received']}, missed "
        f"{subscriber['missed']}"
    )


def _show_throughput(result: Mapping[str, Any]) -> None:
    OUT.print(latency_table({"network alone": StageSummary(**result["network_alone"])} | stages_of(result)))
    print_line(
        f"network alone {result['network_alone_per_second']:.0f} frames per second; "
        f"camera to keypoints {result['pipeline_per_second']:.0f} (rendering the camera's frames included)"
    )

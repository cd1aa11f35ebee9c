"""``rtface bench camera``: what it costs and saves that a camera's driver runs in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from rtface.bench.camera import CameraQuestion, measure_camera
from rtface.cli.bench.common import FrameOptions, ResultOptions
from rtface.cli.options import grouped
from rtface.cli.terminal.screen import OUT, latency_table, print_line
from rtface.core.latency import StageSummary


@grouped
def camera(
    *,
    pairs: Annotated[
        int, typer.Option(min=2, help="Pairs of the camera inside and outside; 20 or more for a result.")
    ] = 20,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long each place lasts in a pair.")] = 4.0,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second.")] = 200.0,
    held: Annotated[
        float,
        typer.Option(
            min=0, help="Milliseconds for which one of two drivers holds Python's lock before each frame."
        ),
    ] = 3.0,
    fifo: Annotated[
        bool,
        typer.Option(
            "--fifo", help="Run everything before ordinary processes (SCHED_FIFO), where the system lets it."
        ),
    ] = False,
    through: FrameOptions,
    result: ResultOptions,
) -> None:
    """Measure exposure to subscriber with the camera's driver in this process and in one of its own, in pairs."""
    question = CameraQuestion(
        pairs=pairs,
        seconds=seconds,
        rate_hz=rate,
        width=through.width,
        height=through.height,
        held_ms=held,
        fifo=fifo,
        engine=through.engine,
        backend=through.settings(),
    )
    result.measure("camera", partial(measure_camera, question), _show)


def _show(result: Mapping[str, Any]) -> None:
    for name, driver in result["drivers"].items():
        places = {
            f"{name}, {place}": StageSummary(**driver[place]["all_frames"]) for place in ("inside", "outside")
        }
        OUT.print(latency_table(places))
        for cut in ("p50", "p99", "p999"):
            more, ratio = driver[f"difference_{cut}_ms"], driver[f"ratio_{cut}"]
            print_line(
                f"{name}: {cut} {more['difference']:+.3f} ms ({more['low']:+.3f} to {more['high']:+.3f}), x {ratio['ratio']:.3f} "
                f"({ratio['low']:.3f} to {ratio['high']:.3f}), {ratio['pairs']} pairs"
            )
    print_line(f"scheduling: {result['scheduling']}")

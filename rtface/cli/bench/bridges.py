"""``rtface bench bridges``: what bridges to other forms cost the loop."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from rtface.bench.bridges import BridgesQuestion, measure_bridges
from rtface.cli.bench.common import FrameOptions, ResultOptions
from rtface.cli.options import grouped
from rtface.cli.terminal.screen import OUT, latency_table, print_line
from rtface.core.latency import StageSummary


@grouped
def bridges(
    *,
    pairs: Annotated[
        int, typer.Option(min=2, help="Pairs of both conditions; 20 or more for a result.")
    ] = 20,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long each condition lasts in a pair.")] = 2.5,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second.")] = 200.0,
    through: FrameOptions,
    result: ResultOptions,
) -> None:
    """Measure what the bridges (JSON, OSC, LSL) cost the loop, all on and read, from a simulated camera."""
    question = BridgesQuestion(
        pairs=pairs,
        seconds=seconds,
        rate_hz=rate,
        width=through.width,
        height=through.height,
        engine=through.engine,
        backend=through.settings(),
    )
    result.measure("bridges", partial(measure_bridges, question), _show)


def _show(result: Mapping[str, Any]) -> None:
    conditions = result["conditions"]
    OUT.print(latency_table({name: StageSummary(**each["all_frames"]) for name, each in conditions.items()}))
    for what in ("p50", "p99"):
        ratio = result[f"ratio_{what}"]
        print_line(
            f"{', '.join(result['bridges'])}: {what} x {ratio['ratio']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f}, "
            f"{ratio['pairs']} pairs; goal {ratio['goal']:g}): {ratio['verdict']}"
        )
    received = ", ".join(f"{count} by {name}" for name, count in result["received"].items())
    print_line(
        f"received {received}; dropped {result['dropped']}, missed {result['missed']}, failed {result['failed']}"
    )

"""``rtface bench screen``: what viewers of pictures cost the loop."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from rtface.bench.screen import ScreenQuestion, measure_screen
from rtface.cli.bench.common import FrameOptions, ResultOptions
from rtface.cli.options import grouped
from rtface.cli.terminal.screen import OUT, latency_table, print_line
from rtface.config import PicturesSettings
from rtface.core.latency import StageSummary


@grouped
def screen(
    *,
    rounds: Annotated[
        int, typer.Option(min=2, help="Rounds of all conditions; 20 or more for a result.")
    ] = 20,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long each condition lasts in a round.")] = 4.0,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second.")] = 200.0,
    per_second: Annotated[float, typer.Option(min=1, max=240, help="Pictures per second, at most.")] = 30.0,
    longest: Annotated[int, typer.Option(min=64, max=4096, help="Pixels of a picture's longer side.")] = 960,
    through: FrameOptions,
    result: ResultOptions,
) -> None:
    """Measure what 0, 1 and 3 viewers of pictures cost the loop, and how old their pictures are, from a simulated camera."""
    question = ScreenQuestion(
        rounds=rounds,
        seconds=seconds,
        rate_hz=rate,
        width=through.width,
        height=through.height,
        engine=through.engine,
        backend=through.settings(),
        pictures=PicturesSettings(per_second=per_second, width=longest),
    )
    result.measure("screen", partial(measure_screen, question), _show)


def _show(result: Mapping[str, Any]) -> None:
    conditions = result["conditions"]
    OUT.print(latency_table({name: StageSummary(**each["all_frames"]) for name, each in conditions.items()}))
    for name, each in conditions.items():
        for what in ("p50", "p99"):
            if (ratio := each.get(f"ratio_{what}")) is not None:
                print_line(
                    f"{name}: {what} x {ratio['ratio']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f}, {ratio['pairs']} "
                    f"pairs; goal {ratio['goal']:g}): {ratio['verdict']}"
                )
        if (pictures := each.get("pictures")) is not None:
            age = pictures["age_ms"]
            print_line(
                f"{name}: {pictures['per_second_and_viewer']:g} pictures a second, {age['p50']} ms old (p99 {age['p99']}), "
                f"missed {pictures['missed']}"
            )

"""What all of `rtface bench` shares: options, the progress bar, where results go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from rtface.bench.plot import plot_distributions
from rtface.cli.options import EngineOption, JsonOption, PrecisionOptions
from rtface.cli.terminal.progress import progress_bar
from rtface.cli.terminal.screen import print_json, print_note
from rtface.cli.terminal.signals import ending_on_signals
from rtface.core.errors import DataError
from rtface.core.extras import how_to_install, is_installed
from rtface.core.files import write_json
from rtface.core.latency import StageSummary
from rtface.live.busy import BusyMachine

Measure = Callable[[Callable[[float], None], threading.Event], dict[str, Any]]


@dataclass(frozen=True)
class FrameOptions(PrecisionOptions):
    """The frames, and the network that they go through."""

    width: Annotated[int, typer.Option(min=64, help="Width of the frames in pixels.")] = 640
    height: Annotated[int, typer.Option(min=64, help="Height of the frames in pixels.")] = 480
    engine: EngineOption = "default"


@dataclass(frozen=True)
class ResultOptions:
    """Where the result goes."""

    out: Annotated[Path, typer.Option(help="Folder for NAME.json and, with the extra lab, NAME.png.")] = (
        Path()
    )
    name: Annotated[str | None, typer.Option(help="Name of the result; else the benchmark's.")] = None
    as_json: JsonOption = False

    def measure(self, name: str, measure: Measure, show: Callable[[Mapping[str, Any]], None]) -> None:
        """Measure until done or interrupted, write the result and its picture, and show it.

        `measure` is given what shows how much is done, 0 to 1, and an event that is set to end early.
        """
        draws = is_installed("matplotlib")
        if not draws:
            print_note(f"no picture will be drawn: matplotlib is not installed: {how_to_install('lab')}")
        machine = BusyMachine()
        with ending_on_signals() as ending, progress_bar(name, 1, quiet=self.as_json, transient=True) as bar:
            result = measure(bar, ending)
        machine.look(lost_in(result))
        if machine.in_words:
            result["busy"] = machine.in_words
            print_note(machine.in_words)
        path = self.out / f"{self.name or name}.json"
        # The picture's curves stay out of the JSON.
        kept = {key: value for key, value in result.items() if key != "distribution"}
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            write_json(path, kept)
            if draws:
                plot_distributions(result, path.with_name(f"{self.name or name}.png"))
        except OSError as error:
            raise DataError(f"the result cannot be written to {self.out}: {error.strerror}") from error
        print_note(f"written: {path}{' and .png' if draws else ''}")
        if self.as_json:
            print_json(kept)
        else:
            show(kept)


def lost_in(result: Mapping[str, Any]) -> int:
    """Return how many frames a result says were lost on this computer, wherever in it that is said."""
    lost = 0
    for name, value in result.items():
        if name in ("lost", "losses") and isinstance(value, Mapping):
            lost += sum(
                int(number)
                for place, number in value.items()
                if place != "camera" and isinstance(number, int)
            )
        elif isinstance(value, Mapping):
            lost += lost_in(value)
    return lost


def stages_of(result: Mapping[str, Any]) -> dict[str, StageSummary]:
    """Return the stages of a result."""
    return {stage: StageSummary(**summary) for stage, summary in result["stages"].items()}

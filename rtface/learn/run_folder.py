"""The folder of a run: what was asked, how far it got, and what came out.

| file | what it holds |
|---|---|
| ``configuration.json`` | everything that the result depends on, and the machine's facts of the first start |
| ``NAME.checkpoint`` | the state of a training; gone on from when the same run is started again |
| ``NAME.losses.csv``, ``NAME.png`` | its losses by step, as numbers and as a picture |
| ``search.trials.csv`` | of `adapt`: errors on the held-out frames by step and blend, written while it trains |
| ``plan.json`` | of `adapt`: how long it was to take, as told before it began |
| ``finish`` | of `adapt`: somebody asked for the engine of the best so far; gone once that was heeded |
| ``report.json`` | metrics; written last, so a run that has it is done |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtface.core.errors import DataError, UsageError
from rtface.core.files import printable, write_json, written_whole
from rtface.core.machine import run_facts
from rtface.learn.plots import draw_losses

CONFIGURATION_FILE = "configuration.json"
REPORT_FILE = "report.json"
PLAN_FILE = "plan.json"
_FINISH_FILE = "finish"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder of one run; made by `open_run`."""

    folder: Path

    @property
    def finished(self) -> bool:
        """Whether the run has its report."""
        return (self.folder / REPORT_FILE).exists()

    @property
    def finish_asked(self) -> bool:
        """Whether somebody asked for the engine of the best so far."""
        return (self.folder / _FINISH_FILE).exists()

    def ask_to_finish(self) -> None:
        """Ask the training of this run, which runs or was stopped, for the engine of the best so far.

        Raises
        ------
        UsageError
            There is no run here, or it is finished.
        """
        if not (self.folder / CONFIGURATION_FILE).exists():
            raise UsageError(f"{self.folder} is no run: nothing was trained there yet")
        if self.finished:
            raise UsageError(f"{self.folder} is finished already: its engine is made")
        (self.folder / _FINISH_FILE).touch()

    def heeded(self) -> None:
        """Forget that the engine of the best so far was asked for."""
        (self.folder / _FINISH_FILE).unlink(missing_ok=True)

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Keep how long it is to take."""
        write_json(self.folder / PLAN_FILE, plan)

    def checkpoint(self, name: str) -> Path:
        """Return where the state of a training of this run is kept."""
        return self.folder / f"{name}.checkpoint"

    def write_losses(self, name: str, losses: Sequence[float]) -> None:
        """Write a training's losses as a csv and as a picture."""
        rows = "".join(f"{step},{loss:.5g}\n" for step, loss in enumerate(losses, start=1))
        (self.folder / f"{name}.losses.csv").write_text("step,loss\n" + rows, encoding="utf-8")
        draw_losses(self.folder / f"{name}.png", name, losses)

    def write_trials(self, name: str, trials: Iterable[Mapping[str, Any]]) -> None:
        """Write what was tried on held-out frames so far as a csv, whole; one who follows the training reads it meanwhile."""
        rows = [dict(each) for each in trials]
        columns = list(rows[0]) if rows else []
        lines = [columns, *([row[column] for column in columns] for row in rows)]
        text = "".join(
            ",".join("" if value is None else str(value) for value in line) + "\n" for line in lines
        )
        with written_whole(self.folder / f"{name}.trials.csv") as fresh:
            fresh.write_text(text, encoding="utf-8")

    def write_report(self, report: Mapping[str, Any]) -> None:
        """Write the metrics; the run is finished."""
        write_json(self.folder / REPORT_FILE, report)


def open_run(folder: Path, configuration: Mapping[str, Any]) -> RunFolder:
    """Start a run, or go on with the same one.

    Parameters
    ----------
    folder : Path
        New, or of a run with an equal configuration.
    configuration : mapping
        All that the result depends on, of JSON's types.

    Raises
    ------
    DataError
        The folder holds a run of another configuration (the message names what differs) or something else.
    """
    path = folder / CONFIGURATION_FILE
    asked = json.loads(printable(json.dumps(configuration, ensure_ascii=False)))
    try:
        if path.exists():
            _check_same(folder, json.loads(path.read_text(encoding="utf-8"))["asked"], asked)
        elif folder.exists() and any(folder.iterdir()):
            raise DataError(
                f"{folder} holds files but no {CONFIGURATION_FILE}: not a run; choose another folder"
            )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(path, {"asked": asked, "machine": run_facts()})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise DataError(f"the run {folder} cannot be written: {error}") from error
    return RunFolder(folder)


def _check_same(folder: Path, kept: Mapping[str, Any], asked: Mapping[str, Any], within: str = "") -> None:
    for name in sorted(kept.keys() | asked.keys()):
        before, now = kept.get(name), asked.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            _check_same(folder, before, now, f"{within}{name}.")
        elif before != now:
            raise DataError(
                f"{folder} holds a run with {within}{name} = {before!r}, not {now!r}: "
                "choose another folder, or the same options to go on with it"
            )

"""Asking a training, which runs or was stopped, for the engine of the best so far."""

from __future__ import annotations

from pathlib import Path

from rtface.config import BackendSettings
from rtface.core.errors import UsageError
from rtface.learn.guided.start import kept_start
from rtface.learn.guided.way import GuidedWay
from rtface.learn.run_folder import CONFIGURATION_FILE, RunFolder


def ask_to_finish(folder: Path) -> None:
    """Ask for the engine of the best so far: of a run of `rtface learn adapt`, or of a guided way's newest training.

    A training that runs heeds it after its step; one that was stopped, when it is gone on with.

    Parameters
    ----------
    folder : Path
        The run's or the way's.

    Raises
    ------
    UsageError
        There is no training, or it is finished.
    DataError
        The folder holds something else.
    """
    if (folder / CONFIGURATION_FILE).exists():
        RunFolder(folder).ask_to_finish()
        return
    start = kept_start(folder) if folder.is_dir() else None
    attempts = [] if start is None else GuidedWay(folder, start, BackendSettings()).attempts()
    if not attempts:
        raise UsageError(
            f"{folder} is neither a run of `rtface learn adapt` nor a way in which one was begun"
        )
    RunFolder(attempts[0].run).ask_to_finish()

"""Running a training step by step: stopped at any of them, it goes on from its checkpoint. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from rtface.core.errors import DataError
from rtface.core.files import written_whole
from rtface.learn.run_folder import RunFolder

Progress = Callable[[int, float], None]
"""Called with the steps done and the loss; NaN where there is none."""

StartProgress = Callable[[str, int], Progress]
"""Called at the start of each part of the work with its name and its steps, 0 for one that counts none; returns what is called at
each of them."""


def no_progress(part: str, steps: int) -> Progress:
    """Follow nothing."""
    return lambda step, loss: None


class Resumable(Protocol):
    """A training that `run_training` can run, save and restore."""

    done: int
    """Steps so far."""

    losses: list[float]
    """Of each of them."""

    @property
    def average(self) -> nn.Module:
        """What is returned at the end."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to do."""

    def step(self) -> float:
        """Train on one batch and return its loss."""

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, as tensors and plain values."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another training with the same arguments was."""


def run_training(
    training: Resumable,
    *,
    progress: Progress = lambda step, loss: None,
    checkpoint: Path | None = None,
    every: int = 100,
    stop: Callable[[], bool] = lambda: False,
) -> nn.Module:
    """Run a training to its end and return the averaged network, in evaluation mode.

    Parameters
    ----------
    training : Resumable
    progress : callable
        See `Progress`.
    checkpoint : Path, optional
        Where the state is kept; if the file exists the training goes on from it.
    every : int
        Steps between two savings.
    stop : callable
        Called after each step; True ends the training early.

    Raises
    ------
    DataError
        The checkpoint is damaged, of another training, or cannot be written.
    """
    if checkpoint is not None:
        restore_from(checkpoint, training.restore)
    while not training.finished:
        loss = training.step()
        progress(training.done, loss)
        ends = stop() or training.finished
        if checkpoint is not None and (ends or training.done % every == 0):
            save_state(training.state(), checkpoint)
        if ends:
            break
    return training.average.eval()


def run_in_folder(
    run: RunFolder,
    name: str,
    training: Resumable,
    *,
    progress: Progress = lambda step, loss: None,
    every: int = 100,
    stop: Callable[[], bool] = lambda: False,
) -> nn.Module:
    """Run a training as `run_training`, with its checkpoint and its losses in a run's folder under a name."""
    average = run_training(
        training, progress=progress, checkpoint=run.checkpoint(name), every=every, stop=stop
    )
    run.write_losses(name, training.losses)
    return average


def restore_from(checkpoint: Path, restore: Callable[[Mapping[str, Any]], None]) -> None:
    """Restore what a checkpoint holds, if there is one; `DataError` where it is damaged or of something else."""
    if not checkpoint.exists():
        return
    try:
        restore(torch.load(checkpoint, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises nearly anything on a file that is not its own
        raise DataError(f"{checkpoint} is damaged or of another training: {error}") from error


def save_state(state: Mapping[str, Any], checkpoint: Path) -> None:
    """Write a checkpoint that is whole or not there at all; `DataError` where it cannot be written."""
    try:
        with written_whole(checkpoint) as fresh:
            torch.save(dict(state), fresh)
    except (OSError, RuntimeError) as error:  # torch raises the latter when a disk is full
        raise DataError(f"the checkpoint {checkpoint} cannot be written: {error}") from error

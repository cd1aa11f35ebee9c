"""What all of `rtface bench` shares: options, the progress bar, where results go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from rtface.bench.plot import plot_distributions
from rtface.cli.terminal.screen import ERR
from rtface.core.errors import DataError
from rtface.core.files import write_json

OutOption = Annotated[Path, typer.Option(help="Folder for NAME.json and NAME.png.")]
NameOption = Annotated[str | None, typer.Option(help="Name of the result; else the benchmark's.")]
WidthOption = Annotated[int, typer.Option(min=64, help="Width of the frames in pixels.")]
HeightOption = Annotated[int, typer.Option(min=64, help="Height of the frames in pixels.")]


@contextmanager
def progress_bar(name: str, *, quiet: bool) -> Iterator[Callable[[float], None]]:
    """Give what draws how much is done, 0 to 1."""
    with Progress(console=ERR, disable=quiet, transient=True) as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def keep(result: dict[str, Any], folder: Path, name: str) -> None:
    """Write the result and its picture; the picture's curves stay out of the JSON."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plot_distributions(result, folder / f"{name}.png")
        kept = {key: value for key, value in result.items() if key != "distribution"}
        write_json(folder / f"{name}.json", kept)
    except OSError as error:
        raise DataError(f"the result cannot be written to {folder}: {error.strerror}") from error
    result.pop("distribution")
    ERR.print(f"written: {folder / name}.json and .png", markup=False, soft_wrap=True)

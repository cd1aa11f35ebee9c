"""Options that name a recording of face and neurons, shared by the commands that take one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.core.errors import UsageError

if TYPE_CHECKING:
    from rtface.learn.encoder.recording import RecordingFiles

ThreadsOption = Annotated[
    int,
    typer.Option(
        min=1, help="Threads of the network's arithmetic; it is small, and more help only on idle cores."
    ),
]


@dataclass(frozen=True)
class RecordingOptions:
    """A recording."""

    keypoints: Annotated[
        Path,
        typer.Argument(
            help="Keypoints of the video: any file that rtface writes, Facemap's (h5, filtered npy), an npz."
        ),
    ]
    neurons: Annotated[
        Path,
        typer.Argument(
            help="npz with spks (neurons x samples), tneural, tcam, xpos, ypos; or an npy of spks."
        ),
    ]
    frame_times: Annotated[
        Path | None, typer.Option(help="npy of the frames' times in seconds; else tcam of the neural file.")
    ] = None
    neural_times: Annotated[
        Path | None, typer.Option(help="npy of the neural samples' times in seconds; else tneural.")
    ] = None
    frame_rate: Annotated[float | None, typer.Option(min=0.1, help="Frames a second, without times.")] = None
    neural_rate: Annotated[
        float | None, typer.Option(min=0.01, help="Neural samples a second, without times.")
    ] = None
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME[=FILE]",
            help="A further input, such as run: a field of the neural file, or a file of one value a frame; repeatable.",
        ),
    ] = None

    def files(self, exclude: Sequence[str] | None, more: Sequence[str] = ()) -> RecordingFiles:
        """Return the files, without the keypoints `exclude` (None: the usual) and with the inputs `more`."""
        from rtface.learn.encoder.recording import EXCLUDED, RecordingFiles

        extras: dict[str, Path | None] = {}
        for text in self.inputs or ():
            name, _, file = text.partition("=")
            if not name or name in extras:
                raise UsageError(f"--input takes NAME or NAME=FILE, each name once, not {text!r}")
            extras[name] = Path(file) if file else None
        return RecordingFiles(
            keypoints=self.keypoints,
            neurons=self.neurons,
            frame_times=self.frame_times,
            neural_times=self.neural_times,
            frame_rate=self.frame_rate,
            neural_rate=self.neural_rate,
            exclude=tuple(EXCLUDED if exclude is None else exclude),
            extras=extras | {name: None for name in more if name not in extras},
        )

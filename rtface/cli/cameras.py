"""``rtface cameras``: what can be opened on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.acquire.discovery import find_cameras
from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_note


def cameras(
    producer: Annotated[
        Path | None,
        typer.Option(
            help="A GenTL producer (.cti); else all in GENICAM_GENTL64_PATH. viky: the simulated one."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the cameras that can be opened, with what to write in the rig's configuration."""
    found = find_cameras(producer)
    if as_json:
        print_json(
            [{"kind": each.kind, "label": each.label, "settings": each.settings} for each in found.cameras]
        )
        return
    table = plain_table("kind", "camera", "camera: in the rig's file")
    for each in found.cameras:
        settings = ", ".join(f"{name}: {value}" for name, value in each.settings.items())
        table.add_row(each.kind, each.label, f"{{{settings}}}")
    OUT.print(table)
    for remark in found.remarks:
        print_note(remark)

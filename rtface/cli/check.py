"""``rtface check`` and ``rtface doctor``: is this rig, or this computer, ready, and if not, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import print_checks
from rtface.live.check_rig import check_rig
from rtface.live.doctor import examine


def check(
    rig: Annotated[Path, typer.Argument(help="The rig's YAML file.")],
    as_json: JsonOption = False,
) -> None:
    """Check configuration, camera, engine, ports, clock and processor of a rig; list what to fix.

    Exit code 0 when nothing fails (warnings allowed), else that of the first failure.
    """
    print_checks(check_rig(rig), as_json)


def doctor(
    sessions: Annotated[
        Path,
        typer.Option(
            "--sessions", help="The folder where sessions will be recorded, for the room on its disk."
        ),
    ] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Look for what stops a rig on this computer: devices, rights, kernel settings, packages, disk; say how to end each.

    Nothing is opened or changed, and no root is needed. Exit code 0 when nothing fails (warnings allowed), else that of the
    first failure: 1 packages, 4 a camera's device, 6 no back end, 8 no room, 9 a serial device.
    """
    print_checks(examine(folder=sessions), as_json)

"""``rtface run``: the service."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.options import JsonOption, ScreenOption, SecondsOption
from rtface.cli.terminal.beside import screen_beside, with_pictures
from rtface.cli.terminal.operator import Operator
from rtface.cli.terminal.serving import announce, running, serve
from rtface.cli.terminal.signals import ending_on_signals
from rtface.config.rigfile import load_any_rig
from rtface.core.realtime import realtime_process


def run(
    rig: Annotated[Path, typer.Argument(help="The rig's YAML file.")],
    seconds: SecondsOption = None,
    show_screen: ScreenOption = False,
    screen_keys: Annotated[
        Path | None,
        typer.Option(help="Folder of the screen's keys, where the rig's file has publish.keys."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Track a rig's camera or cameras and publish keypoints until interrupted (Ctrl-C or SIGTERM); decide and act by its rules.

    With rules, an output or a session the loop is disarmed until somebody arms it: by key here, or by `rtface loop arm`.
    Ends by itself when a video has ended; leaves with exit code 4 when the camera is lost, with 8 when the
    session's record failed.
    """
    settings = load_any_rig(rig)
    if show_screen:
        settings = with_pictures(settings)
    with (
        ending_on_signals() as ending,
        running(settings) as service,
        screen_beside(service.control_address, keys=screen_keys) if show_screen else nullcontext(),
        realtime_process(),
    ):
        if as_json:
            serve(service, ending, seconds, as_json=True)
            return
        announce(service)
        if not service.has_loop:
            serve(service, ending, seconds, as_json=False)
            return
        operator = Operator(service.arming)
        with operator.keys():
            serve(service, ending, seconds, as_json=False, below=operator.view)

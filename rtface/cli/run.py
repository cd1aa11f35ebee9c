"""``rtface run``: the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.options import JsonOption, SecondsOption
from rtface.cli.serving import announce, serve
from rtface.cli.signals import ending_on_signals
from rtface.realtime import realtime_process
from rtface.rigfile import load_rig
from rtface.service import Service


def run(
    rig: Annotated[Path, typer.Argument(help="The rig's YAML file.")],
    seconds: SecondsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Track a rig's camera and publish its keypoints until interrupted (Ctrl-C or SIGTERM).

    Ends by itself when a video has ended; leaves with exit code 4 when the camera is lost.
    """
    settings = load_rig(rig)
    with ending_on_signals() as wish, Service(settings) as service, realtime_process():
        if not as_json:
            announce(service)
        serve(service, wish, seconds, as_json=as_json)

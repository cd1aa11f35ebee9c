"""``rtface check``: is this rig ready, and if not, what to fix."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import print_finding, print_json
from rtface.core.check import Check
from rtface.live.check_rig import check_rig


def check(
    rig: Annotated[Path, typer.Argument(help="The rig's YAML file.")],
    as_json: JsonOption = False,
) -> None:
    """Check configuration, camera, engine, ports, clock and processor of a rig; list what to fix.

    Exit code 0 when nothing fails (warnings allowed), else that of the first failure.
    """
    findings: list[Check] = []
    for finding in check_rig(rig):
        findings.append(finding)
        if not as_json:
            print_finding(finding.verdict, finding.what, finding.text, finding.fix)
    if as_json:
        print_json([finding.as_dict() | {"exit_code": finding.exit_code} for finding in findings])
    code = next((finding.exit_code for finding in findings if finding.verdict == "fail"), 0)
    if code:
        raise typer.Exit(code)

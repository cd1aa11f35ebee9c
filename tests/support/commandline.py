"""The command line in this process: what `rtface ...` prints and leaves with, without an interpreter of its own."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from rtface.cli.app import app


def invoke(*arguments: object, typed: str = "") -> Result:
    """Run ``rtface ARGUMENTS``; an error that `rtface.cli.main` would turn into a message and an exit code is raised."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=typed, env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result

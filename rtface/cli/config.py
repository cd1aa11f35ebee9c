"""``rtface config``: the configuration's schema, and a file made ready to edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.terminal.screen import OUT
from rtface.config import Rig
from rtface.config.rigfile import load_rig

app = typer.Typer(help="The rig's configuration.", no_args_is_help=True)


@app.command()
def schema() -> None:
    """Print the JSON schema of a rig's configuration."""
    typer.echo(json.dumps(Rig.model_json_schema(), indent=2))


@app.command()
def show(rig: Annotated[Path, typer.Argument(help="The rig's YAML file.")]) -> None:
    """Check a rig's configuration and print it with all defaults filled in."""
    import yaml

    resolved = load_rig(rig).model_dump(mode="json")
    OUT.print(yaml.safe_dump(resolved, sort_keys=False), markup=False, end="", soft_wrap=True)

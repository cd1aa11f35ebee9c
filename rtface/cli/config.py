"""``rtface config``: the configuration's schema, a file with all defaults, and settings changed in a file's own lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import OUT, print_json, print_line, print_note
from rtface.config import Rig
from rtface.config.changing import changed_rig, write_rig_change
from rtface.config.multi import MultiRig
from rtface.config.rigfile import load_any_rig
from rtface.core.errors import UsageError

app = typer.Typer(help="The rig's configuration.", no_args_is_help=True)


@app.command()
def schema(
    cameras: Annotated[
        bool,
        typer.Option("--cameras", help="Of a rig with several cameras, `cameras:` in place of `camera:`."),
    ] = False,
) -> None:
    """Print the JSON schema of a rig's configuration."""
    typer.echo(json.dumps((MultiRig if cameras else Rig).model_json_schema(), indent=2))


@app.command()
def show(rig: Annotated[Path, typer.Argument(help="The rig's YAML file.")]) -> None:
    """Check a rig's configuration and print it with all defaults filled in."""
    import yaml

    resolved = load_any_rig(rig).model_dump(mode="json")
    OUT.print(yaml.safe_dump(resolved, sort_keys=False), markup=False, end="", soft_wrap=True)


@app.command("set")
def set_(
    rig: Annotated[Path, typer.Argument(help="The rig's YAML file; one that is not there is begun.")],
    settings: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=VALUE...",
            help="Such as engine=rig-1, 'crop={x: 10, y: 20, width: 300, height: 300}', session.folder=/data; nothing "
            "behind = takes the setting out.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the difference and write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Change settings in a rig's file, in its own lines: remarks and order stay. The file of before is kept beside it.

    It is refused where the result would be no rig's file.
    """
    change = changed_rig(rig, dict(map(_setting, settings)))
    kept = None if dry_run or not change.difference else write_rig_change(change)
    if as_json:
        print_json(
            {"rig": str(rig), "difference": change.difference, "kept": None if kept is None else str(kept)}
        )
        return
    for line in change.difference.splitlines():
        print_line(line)
    if not change.difference:
        print_note("nothing changes")
    if kept is not None:
        print_note(f"the file of before: {kept}")


def _setting(text: str) -> tuple[str, Any]:
    import yaml

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"a setting is changed by NAME=VALUE, not by {text!r}")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"{text!r}: the value is no YAML: {getattr(error, 'problem', error)}") from error

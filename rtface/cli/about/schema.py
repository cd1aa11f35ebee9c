"""``rtface schema``: what a command prints with ``--json``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from rtface.cli.options import JsonOption
from rtface.cli.terminal.documents import schemas
from rtface.cli.terminal.screen import OUT, plain_table, print_json
from rtface.core.errors import UsageError, nearest


def schema(
    command: Annotated[
        list[str] | None,
        typer.Argument(help="A command's words, as `session show`, or `error`; else all are listed."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the JSON Schema of what a command prints with --json, or list the commands that take it."""
    known = schemas()
    if not command:
        if as_json:
            print_json(
                {
                    name: {"version": each.version, "form": each.form, "fields": each.fields}
                    for name, each in known.items()
                }
            )
            return
        table = plain_table("command", "version", "form", "fields")
        for name, each in known.items():
            table.add_row(name, str(each.version), each.form, ", ".join(each.fields))
        OUT.print(table)
        return
    name = " ".join(command)
    if name not in known:
        raise UsageError(f"no command {name!r} has --json{nearest(name, known)}")
    typer.echo(json.dumps(known[name].as_json_schema(), indent=2))

"""``rtface keys``: keys for addresses beyond loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.terminal.screen import print_line
from rtface.publish.keys import add_client, make_keys

app = typer.Typer(help="Keys for addresses that other machines can reach.", no_args_is_help=True)

FolderArgument = Annotated[Path, typer.Argument(help="Folder of the service's keys.")]


@app.command()
def new(
    folder: FolderArgument,
    client: Annotated[list[str] | None, typer.Option(help="Name of a client; may be given again.")] = None,
) -> None:
    """Make the keys of a service and of its clients; nothing is ever overwritten."""
    made = make_keys(folder, client or ["client"])
    print_line(f"publish.keys: {folder}")
    for hand_over in made:
        print_line(f"hand over in private, then delete: {hand_over}")


@app.command()
def add(folder: FolderArgument, name: Annotated[str, typer.Argument(help="Name of the client.")]) -> None:
    """Make keys for one more client; the service admits it after its next start."""
    hand_over = add_client(folder, name)
    print_line(f"hand over in private, then delete: {hand_over}")

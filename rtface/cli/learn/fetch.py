"""``rtface learn fetch``: public label sets, licence first."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from rtface.cli.options import JsonOption
from rtface.cli.terminal.progress import progress_bar
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_line, print_note
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.core.errors import UsageError

if TYPE_CHECKING:
    from rtface.learn.fetch.catalogue import SetEntry


def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="SET", help="A set of the catalogue, or a name for another.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of one archive or file, where the catalogue has none.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="What the file's hash must be.")] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="An archive or a folder that is here already, in place of an address."),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence that is shown.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option(help="Licence of a set that the catalogue has not, as its page states it.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to put it; else label-sets/SET beside the engines' folder.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Fetch it though it is there, and replace it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch a public label set, after its licence was accepted; without a name: list those that are known.

    Ctrl-C or a cut connection leaves what has come: the same command goes on from there. The file's hash is checked, against
    --sha256, the catalogue's, or the one that the same address had the first time.
    """
    from rtface.learn.fetch.catalogue import catalogue, entry_of
    from rtface.learn.fetch.sets import FetchRequest, fetch_set

    if name is None:
        _list(catalogue(), as_json=as_json)
        return
    if url is not None and source is not None:
        raise UsageError("--url fetches a file, --from takes one that is here: one of the two")
    entry = entry_of(name, licence=licence)
    _show_licence(name, entry)
    accepted = accept_licence or (
        sys.stdin.isatty() and not as_json and typer.confirm("accept the licence?", default=False, err=True)
    )
    request = FetchRequest(name, entry, accepted, url, sha256, source, folder, again)
    with ending_on_signals() as ending, progress_bar(name, quiet=as_json) as bar:
        done = fetch_set(
            request,
            progress=lambda size, total: bar(size, total, note=f"{size / 1e6:.1f} MB"),
            unpacked=lambda files: bar(files, None, note=f"{files} files", what=f"{name}: unpack"),
            stop=ending.is_set,
        )
    if done is None:
        print_note("stopped before the end; the same command goes on from there")
        raise typer.Exit(INTERRUPTED)
    record = done.record
    if as_json:
        print_json({"folder": done.folder, **asdict(record)})
        return
    print_line(f"{record.labels} labels on {record.frames} frames: {', '.join(record.keypoints)}")
    if record.sha256:
        print_line(f"sha256 {record.sha256}")
    print_line(f"{record.name}: {done.folder}")
    print_line(f"next: rtface learn train {done.folder} --recipe general --name face-general")


def _show_licence(name: str, entry: SetEntry) -> None:
    print_note(f"{name}: {entry.title}")
    for page in entry.pages:
        print_note(f"  {page}")
    print_note(f"licence: {entry.licence} {entry.licence_url}".rstrip())
    if entry.non_commercial:
        print_note("  not for commercial use; an engine that learns from it carries that licence on")
    if entry.citation:
        print_note(f"cite: {entry.citation}")


def _list(known: dict[str, SetEntry], *, as_json: bool) -> None:
    if as_json:
        print_json({name: entry.model_dump() for name, entry in known.items()}, "list")
        return
    table = plain_table("set", "licence", "address", last="what")
    for name, entry in known.items():
        table.add_row(name, entry.licence, "known" if entry.url else "--url or --from", escape(entry.title))
    OUT.print(table)
    for name, entry in known.items():
        print_line(f"{name}: {' '.join(entry.pages)}")
        if entry.how:
            print_line(f"  {entry.how}")

"""All commands, gathered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface import __version__
from rtface.cli import (
    analyse,
    bench,
    cameras,
    check,
    config,
    convert,
    demo,
    encoder,
    engines,
    gate,
    keys,
    learn,
    loop,
    replay,
    rules,
    run,
    screen,
    session,
    track,
    watch,
)
from rtface.cli.about import schema, where
from rtface.cli.terminal.progress import follow_in
from rtface.cli.terminal.root import Root

_EPILOG = (
    "Exit codes: 0 done, 1 other failure, 2 usage, 3 configuration, 4 camera, 5 engine, 6 back end, "
    "7 address or control, 8 data files, 9 output, 20-24 learn start waits, 130 interrupted."
)

app = typer.Typer(
    name="rtface",
    help="Keypoints of the mouse face in real time: from a camera to ZeroMQ.",
    epilog=_EPILOG,
    no_args_is_help=True,
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"rtface {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    progress: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write how far the work has come into this file, a line of JSON each, for a program that follows.",
        ),
    ] = None,
) -> None:
    if progress is not None:
        follow_in(progress)
        context.call_on_close(lambda: follow_in(None))


app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("watch")(watch.watch)
app.command("screen")(screen.screen)
app.command("track")(track.track)
app.command("convert")(convert.convert)
app.command("replay")(replay.replay)
app.add_typer(cameras.app, name="cameras")
app.command("check")(check.check)
app.command("doctor")(check.doctor)
app.command("where")(where.where)
app.command("schema")(schema.schema)
app.add_typer(bench.app, name="bench")
app.add_typer(engines.app, name="engines")
app.add_typer(learn.app, name="learn")
app.add_typer(loop.app, name="loop")
app.add_typer(session.app, name="session")
app.add_typer(gate.app, name="gate")
app.add_typer(rules.app, name="rules")
app.add_typer(encoder.app, name="encoder")
app.add_typer(analyse.app, name="analyse")
app.add_typer(keys.app, name="keys")
app.add_typer(config.app, name="config")

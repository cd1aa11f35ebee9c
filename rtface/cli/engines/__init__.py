"""``rtface engines``: list, show, try, verify, export and build engines; import foreign weights."""

from __future__ import annotations

import typer

from rtface.cli.engines import build, export, facemap, show, trial, verify, view

app = typer.Typer(help="Keypoint networks, ready to run.", no_args_is_help=True)

app.command("list")(show.list_)
app.command("show")(show.show)
app.command("try")(trial.try_)
app.command("verify")(verify.verify)
app.command("export")(export.export)
app.command("build")(build.build)
app.command("view")(view.view)
app.command("import")(facemap.import_)

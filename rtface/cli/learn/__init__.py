"""``rtface learn``: from labelled frames to an engine of one's own. Needs torch: pip install 'rtface[train]'."""

from __future__ import annotations

import typer

from rtface.cli.learn import adapt, distil, labels, suggest, train

app = typer.Typer(help="Train, adapt and distil keypoint networks.", no_args_is_help=True)

app.command("adapt")(adapt.adapt)
app.command("distil")(distil.distil)
app.command("labels")(labels.labels)
app.command("suggest")(suggest.suggest)
app.command("train")(train.train)

"""``rtface learn``: from labelled frames to an engine of one's own, and its errors.

The commands that train need the extra train.
"""

from __future__ import annotations

import typer

from rtface.cli.learn import (
    adapt,
    copy,
    distil,
    evaluate,
    fetch,
    finish,
    guess,
    labels,
    start,
    suggest,
    train,
)

app = typer.Typer(help="Train, adapt, distil and evaluate keypoint networks.", no_args_is_help=True)

app.command("adapt")(adapt.adapt)
app.command("copy")(copy.copy)
app.command("distil")(distil.distil)
app.command("evaluate")(evaluate.evaluate)
app.command("fetch")(fetch.fetch)
app.command("finish")(finish.finish)
app.command("guess")(guess.guess)
app.command("labels")(labels.labels)
app.command("start")(start.start)
app.command("suggest")(suggest.suggest)
app.command("train")(train.train)

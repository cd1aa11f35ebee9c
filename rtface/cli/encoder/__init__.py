"""``rtface encoder``: from a recording of face and neurons to an encoder, and what it is worth.

The commands that train or evaluate need the extra train.
"""

from __future__ import annotations

import typer

from rtface.cli.encoder import evaluate, fit, show, states

app = typer.Typer(help="Predict neural activity from the face: fit, evaluate and show.", no_args_is_help=True)

app.command("fit")(fit.fit)
app.command("evaluate")(evaluate.evaluate)
app.command("show")(show.show)
app.command("states")(states.states)

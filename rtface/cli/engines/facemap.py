"""``rtface engines import``: Facemap's weights as an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.terminal.screen import ERR, print_note
from rtface.cli.terminal.training import print_engine
from rtface.core.errors import UsageError
from rtface.core.extras import needing
from rtface.track.store import user_folder


def import_(
    weights: Annotated[
        Path | None, typer.Argument(help="Facemap's weights: a .pt or .pth state_dict.")
    ] = None,
    params: Annotated[
        Path | None, typer.Option(help="Facemap's parameter file; else widths come from the weights.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the engine; else the file's.")] = None,
    fetch: Annotated[
        str | None, typer.Option(help="facemap: download Facemap's published weights first.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an engine of that name.")] = False,
) -> None:
    r"""Turn Facemap weights into an engine. Needs the extra train: pip install '.\[train]'."""
    if (weights is None) == (fetch is None):
        raise UsageError("name a weights file, or --fetch facemap; one of the two")
    if fetch not in (None, "facemap"):
        raise UsageError(f"--fetch takes facemap, not {fetch!r}")
    with needing("train"):
        from rtface.learn.engines.facemap_fetch import PARAMS_URL, STATE_URL, fetch_facemap_weights
        from rtface.learn.engines.facemap_import import import_facemap
    if weights is None:
        print_note(f"Facemap's authors publish the weights at {STATE_URL} and {PARAMS_URL}")
        state, parameters = fetch_facemap_weights(user_folder().parent / "facemap", progress=_say_bytes)
        for file in (state, parameters):
            print_note(f"{file.path}: {file.size} bytes, sha256 {file.sha256}")
        weights, params = state.path, parameters.path
    engine = import_facemap(
        weights, params, user_folder() / (name or weights.stem.lower()), overwrite=overwrite
    )
    print_engine(engine.manifest.name, engine.folder)


def _say_bytes(name: str, done: int, total: int | None) -> None:
    of = "" if total is None else f" of {total / 1e6:.1f}"
    ERR.print(f"{name}: {done / 1e6:.1f}{of} MB", end="\r", markup=False)

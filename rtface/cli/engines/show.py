"""``rtface engines``: list, show and verify engines; import foreign weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from rtface.cli.engines import build, export, verify
from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import ERR, OUT, print_json, say
from rtface.core.errors import BackendError, UsageError
from rtface.core.files import file_hash
from rtface.track.parity import records_of
from rtface.track.store import MANIFEST_FILE, installed_engines, load_engine, read_manifest, user_folder

app = typer.Typer(help="Keypoint networks, ready to run.", no_args_is_help=True)

EngineArgument = Annotated[str, typer.Argument(help="Name of an engine, or its folder.")]


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the engines that can be named."""
    folders = installed_engines()
    engines = {name: read_manifest(folder / MANIFEST_FILE) for name, folder in folders.items()}
    if as_json:
        print_json({name: manifest.model_dump(mode="json") for name, manifest in engines.items()})
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("engine", "keypoints", "input", "precision", "agrees on", "what it is"):
        table.add_column(column)
    for name, manifest in engines.items():
        trained = sum(entry.trained for entry in manifest.keypoints)
        size = manifest.input.size
        table.add_row(
            name,
            f"{trained} of {len(manifest.keypoints)}",
            f"{size}x{size}" if manifest.resample.square else f"{size} long",
            manifest.precision,
            _agrees_on(folders[name]),
            manifest.description,
        )
    OUT.print(table)


def _agrees_on(folder: Path) -> str:
    """Return the back ends that an engine was verified on here, each with its precision."""
    records = records_of(file_hash(folder / MANIFEST_FILE))
    return ", ".join(
        dict.fromkeys(f"{each.ran.name} {each.ran.precision}" for each in records if each.agrees)
    )


@app.command()
def show(engine: EngineArgument = "default") -> None:
    """Print an engine's manifest, after checking every file against it."""
    print_json(load_engine(engine).manifest.model_dump(mode="json"))


app.command("verify")(verify.verify)
app.command("export")(export.export)
app.command("build")(build.build)


@app.command("import")
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
    r"""Turn Facemap weights into an engine. Needs torch: pip install 'rtface\[train]'."""
    if (weights is None) == (fetch is None):
        raise UsageError("name a weights file, or --fetch facemap; one of the two")
    if fetch not in (None, "facemap"):
        raise UsageError(f"--fetch knows facemap, not {fetch!r}")
    try:
        from rtface.learn.engines.facemap_fetch import PARAMS_URL, STATE_URL, fetch_facemap_weights
        from rtface.learn.engines.facemap_import import import_facemap
    except ModuleNotFoundError as error:
        raise BackendError(f"{error.name} is not installed: pip install 'rtface[train]'") from error
    if weights is None:
        say(f"Facemap's authors publish the weights at {STATE_URL} and {PARAMS_URL}")
        state, parameters = fetch_facemap_weights(user_folder().parent / "facemap", progress=_say_bytes)
        for file in (state, parameters):
            say(f"{file.path}: {file.size} bytes, sha256 {file.sha256}")
        weights, params = state.path, parameters.path
    engine = import_facemap(
        weights, params, user_folder() / (name or weights.stem.lower()), overwrite=overwrite
    )
    OUT.print(f"{engine.manifest.name}: {engine.folder}", markup=False, soft_wrap=True)
    OUT.print(f"try it: rtface track VIDEO --engine {engine.manifest.name} --out keypoints.csv", markup=False)


def _say_bytes(name: str, done: int, total: int | None) -> None:
    of = "" if total is None else f" of {total / 1e6:.1f}"
    ERR.print(f"{name}: {done / 1e6:.1f}{of} MB", end="\r", markup=False)

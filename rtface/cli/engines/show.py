"""``rtface engines list`` and ``show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import OUT, plain_table, print_json
from rtface.core.files import file_hash
from rtface.track.parity import records_of
from rtface.track.store import MANIFEST_FILE, installed_engines, load_engine, read_manifest

EngineArgument = Annotated[str, typer.Argument(help="Name of an engine, or its folder.")]


def list_(as_json: JsonOption = False) -> None:
    """List the engines that can be named."""
    folders = installed_engines()
    engines = {name: read_manifest(folder / MANIFEST_FILE) for name, folder in folders.items()}
    if as_json:
        print_json({name: manifest.model_dump(mode="json") for name, manifest in engines.items()})
        return
    table = plain_table("engine", "keypoints", "input", "precision", "agrees on", "what it is")
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


def show(engine: EngineArgument = "default") -> None:
    """Print an engine's manifest, after checking every file against it."""
    print_json(load_engine(engine).manifest.model_dump(mode="json"))

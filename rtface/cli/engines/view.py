"""``rtface engines view``: what a proper view looks like to an engine that keeps none, from frames of its rig."""

from __future__ import annotations

from typing import Annotated

import typer

from rtface.acquire.recording import source_settings
from rtface.acquire.sampling import evenly_spaced
from rtface.cli.engines.export import FramesOption
from rtface.cli.facecrop import crop_in, frames_of
from rtface.cli.options import BackendOptions, CropOption, JsonOption, grouped
from rtface.cli.terminal.screen import print_json, print_line
from rtface.core.errors import EngineError
from rtface.core.extras import needing
from rtface.track.store import load_engine
from rtface.track.view import VIEW_FILE, read_view, view_in_words, write_view


@grouped
def view(
    *,
    engine: Annotated[str, typer.Argument(help="Name of an engine, or its folder.")],
    frames: FramesOption,
    crop: CropOption = None,
    count: Annotated[int, typer.Option(min=1, help="Frames to look at, at most; evenly spaced.")] = 200,
    backend: BackendOptions,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the view that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    r"""Give an engine the view that it lacks: frames that show the face in its usual place, as rtface will see it.

    The engine itself is not changed, nor what was verified of it. Needs the extra train: pip install '.\[train]'.
    """
    chosen = load_engine(engine)
    name = chosen.manifest.name
    if (chosen.folder / VIEW_FILE).exists() and not overwrite:
        raise EngineError(f"{name} keeps a view already; --overwrite replaces it")
    with needing("train"):
        from rtface.learn.engines.viewmaking import view_of_engine
    settings = backend.settings()
    rectangle = crop_in(crop, lambda: frames_of(frames), engine, settings)
    seen = list(evenly_spaced(source_settings(frames), count).values())
    made = view_of_engine(
        chosen, seen, crop=rectangle, settings=settings, made_from={"recording": frames.name}
    )
    try:
        write_view(chosen.folder, made)
    except OSError as error:
        raise EngineError(f"{chosen.folder / VIEW_FILE} cannot be written: {error.strerror}") from error
    kept = read_view(chosen)
    if as_json:
        print_json({"engine": name, "view": None if kept is None else kept.model_dump(mode="json")})
        return
    print_line(f"{name}: {view_in_words(kept)}")

"""``rtface encoder show``: an encoder's card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import OUT, print_json, print_line
from rtface.encode.bundle import load_encoder
from rtface.encode.manifest import EncoderManifest


def show(
    encoder: Annotated[Path, typer.Argument(help="Folder of an encoder.")], as_json: JsonOption = False
) -> None:
    """Print an encoder's card: its inputs, its outputs, what it was trained on, how well it does."""
    bundle = load_encoder(encoder)
    if as_json:
        print_json({**bundle.manifest.model_dump(mode="json"), "sha256": bundle.sha256})
        return
    OUT.print(encoder_card(bundle.manifest))
    print_line(f"sha256 {bundle.sha256}")


def encoder_card(manifest: EncoderManifest) -> Table:
    """Return an encoder's inputs, its outputs, what it was trained on and how well it does."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for what, text in _card(manifest):
        table.add_row(what, escape(text))
    return table


def _card(manifest: EncoderManifest) -> Iterator[tuple[str, str]]:
    training, metrics, targets = manifest.training, manifest.metrics, manifest.targets
    yield "encoder", f"{manifest.name}: {manifest.description}"
    if manifest.simulated:
        yield "neurons of", "a SIMULATED population: nothing here was measured in a brain"
    yield "network", f"{manifest.architecture['name']}, {manifest.latents} latents"
    yield "keypoints", ", ".join(manifest.keypoints) or "none"
    if manifest.extras:
        yield "other inputs", ", ".join(manifest.extras)
    window = (manifest.past_frames + 1 + manifest.look_ahead_frames) / manifest.frame_rate_hz
    sees = (
        "past frames alone"
        if manifest.look_ahead_frames == 0
        else f"{manifest.look_ahead_s:.2f} s of them in the future"
    )
    yield "window", f"{window:.2f} s at {manifest.frame_rate_hz:.4g} frames a second, {sees}"
    yield (
        "gives",
        f"{targets.count} {targets.kind} of {targets.neurons} neurons (trained at {manifest.neural_rate_hz:.3g} Hz)",
    )
    if manifest.delay_s:
        yield "delay", f"{manifest.delay_s:g} s"
    if training:
        files = ", ".join(source["name"] for source in training.get("sources", ()))
        yield "trained on", f"{files}: {training.get('samples')} samples, {training.get('split')} split"
    if "variance_explained" in metrics:
        yield (
            "explains",
            f"{metrics['variance_explained']:.3f} of the variance of all outputs on {metrics['samples']} test samples",
        )
        first = " ".join(f"{value:.2f}" for value in metrics["by_output"][:8])
        yield f"first {min(8, targets.count)}", first
        neurons = f"{metrics['neurons_mean']:.4f} of a neuron's variance on average"
        if "neurons_normalised" in metrics:
            neurons += (
                f"; {metrics['neurons_normalised']:.3f} of what other neurons explain "
                f"({metrics['explainable_mean']:.4f})"
            )
        yield "neurons", neurons
    yield "licence", manifest.licence
    yield "made", manifest.created

"""``rtface rules``: check a rules file, and try it on a recording before any light is switched on."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from rtface.cli.options import CropOption, EngineOption, JsonOption, PrecisionOptions, grouped, parse_crop
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_line, print_note
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.cli.track import recording_bar
from rtface.config import BackendSettings, EncoderSettings, SimulatedCameraSettings
from rtface.core.clock import NS_PER_S
from rtface.core.errors import DataError, UsageError
from rtface.core.extras import require
from rtface.core.records import Crop
from rtface.decide.description import describe_baseline, describe_input, describe_rule
from rtface.decide.templates import template_names, template_text, template_words
from rtface.decide.unknowable import never_known, never_known_in_words
from rtface.live.neural import NeuralPredictor
from rtface.live.rulesfile import Rules, check_rules
from rtface.offline.dryrun import LATENCY_MS, DryRun, Poses, dry_run, has_poses, on_time_axis, read_poses
from rtface.offline.dryrun_picture import draw_dry_run
from rtface.offline.tracking import track_recording
from rtface.track.backends.factory import engine_for
from rtface.track.store import MANIFEST_FILE, find_engine, read_manifest

app = typer.Typer(help="Rules: from the face to the light.", no_args_is_help=True)

RulesArgument = Annotated[Path, typer.Argument(help="The rules file.", show_default=False)]

EncoderOption = Annotated[
    Path | None,
    typer.Option(
        "--encoder",
        help="An encoder's folder (or simulated-mouse, which comes with rtface), for rules that name neural.pc1, ...",
    ),
]

StatesOption = Annotated[
    Path | None,
    typer.Option("--states", help="A state model of the encoder (.npz), for rules that name neural.state."),
]

_SIMULATED = "simulated"
_SIMULATED_S = 30.0
_RATE_HZ = 200.0


@app.command()
def check(
    path: RulesArgument,
    engine: EngineOption = "default",
    rate: Annotated[float, typer.Option("--rate", min=1, help="The camera's frames per second.")] = _RATE_HZ,
    encoder: EncoderOption = None,
    states: StatesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a rules file against an engine: what is measured, in which unit, and each rule in words.

    All errors at once, each with file and line, and the nearest right name.
    """
    manifest = read_manifest(find_engine(engine) / MANIFEST_FILE)
    settings = _encoder(encoder, states)
    neural = None if settings is None else NeuralPredictor(settings, manifest.skeleton)
    given = () if neural is None else neural.names
    names = tuple(point.name for point in manifest.skeleton)
    _, evaluator = check_rules(path, names, rate, extra_names=given)
    bank, spec = evaluator.bank, evaluator.rules
    lacking = never_known(spec, names, rate)
    units = dict(zip((*bank.names, *given), (*bank.units, *("1" for _ in given)), strict=True))
    untrained = {point.name for point in manifest.skeleton if not point.trained}
    words = {name: describe_rule(rule) for name, rule in spec.rules.items()}
    baseline = describe_baseline(spec.baseline, evaluator.baselines.names)
    blind = {name: sorted(set(points) & untrained) for name, points in bank.points.items()}
    blind = {name: points for name, points in blind.items() if points}
    if as_json:
        print_json(
            {
                "rules_file": str(path),
                "engine": manifest.name,
                "features": units,
                "rules": words,
                "input": describe_input(spec.input),
                "baseline": baseline,
                "untrained": blind,
                "never_known": lacking,
            }
        )
        return
    table = plain_table("feature", "unit")
    for name, unit in units.items():
        table.add_row(name, unit)
    OUT.print(table)
    for name, lines in words.items():
        OUT.print(f"\n{name}", style="bold", markup=False)
        for line in lines:
            print_line(f"  {line}")
    print_line(f"\nany rule: {describe_input(spec.input)}")
    if baseline:
        print_line(baseline)
    for name, values in lacking.items():
        print_note(never_known_in_words(name, values, rate))
    for name, points in blind.items():
        print_note(
            f"features.{name}: {manifest.name} was never trained to find {', '.join(points)}: always unknown"
        )


@app.command("dry-run")
@grouped
def dry_run_(
    *,
    path: RulesArgument,
    source: Annotated[
        str,
        typer.Argument(
            help="A session's folder, a keypoint file (.rtface.h5, DeepLabCut), a video or a folder of images; "
            "or the word simulated for the simulated mouse.",
            show_default=False,
        ),
    ],
    engine: EngineOption = "default",
    backend: PrecisionOptions,
    crop: CropOption = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=1, help="Frames per second, if the recording does not contain it."),
    ] = None,
    latency: Annotated[
        float,
        typer.Option(
            "--latency", min=0, help="Milliseconds from exposure to decision; sessions contain theirs."
        ),
    ] = LATENCY_MS,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, help="How long to film the simulated mouse.")
    ] = _SIMULATED_S,
    encoder: EncoderOption = None,
    states: StatesOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Draw a picture into this file (.png, .svg, .pdf).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run rules over a recording as if armed: how often they would have fired, when, and why not.

    Recordings without keypoints are tracked first, by the live path. Nothing is switched on.
    """
    rules, neural = Rules(path), _encoder(encoder, states)
    if out is not None:
        require("lab", "matplotlib", error=DataError)
        if out.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise UsageError(f"{out}: a picture's name ends in .png, .svg or .pdf")
    recording = Path(source)
    if source != _SIMULATED and has_poses(recording):
        poses = read_poses(recording, rate_hz=rate, latency_ms=latency)
    else:
        camera = _simulated(rate or _RATE_HZ, seconds) if source == _SIMULATED else recording
        poses = _tracked(camera, engine, backend.settings(), parse_crop(crop), rate, latency, quiet=as_json)
    run = dry_run(rules, poses, neural)
    if out is not None:
        try:
            draw_dry_run(run, out)
        except OSError as error:
            raise DataError(f"{out} cannot be written: {error.strerror}") from error
    if as_json:
        print_json(run.summary())
    else:
        _report(run)
        if out is not None:
            print_line(f"\npicture: {out}")


@app.command()
def example(
    name: Annotated[
        str | None, typer.Argument(help="A template; without one a file with remarks on all that there is.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the templates, and what each does.")] = False,
) -> None:
    """Print a rules file, to begin with: one with many remarks, or a template."""
    if list_:
        for each in template_names():
            print_line(f"{each}: {template_words(each)}")
        return
    text = (
        files("rtface.cli").joinpath("example_rules.yaml").read_text("utf-8")
        if name is None
        else template_text(name)
    )
    typer.echo(text, nl=False)


def _encoder(path: Path | None, states: Path | None) -> EncoderSettings | None:
    if path is not None:
        return EncoderSettings(path=path, states=states)
    if states is not None:
        raise UsageError("--states is a model of an encoder's latents: name the encoder with --encoder")
    return None


def _simulated(rate_hz: float, seconds: float) -> SimulatedCameraSettings:
    return SimulatedCameraSettings(rate_hz=rate_hz, frames=max(1, round(rate_hz * seconds)), paced=False)


def _tracked(
    source: Path | SimulatedCameraSettings,
    engine: str,
    settings: BackendSettings,
    crop: Crop | None,
    rate_hz: float | None,
    latency_ms: float,
    *,
    quiet: bool,
) -> Poses:
    chosen = engine_for(engine, settings)
    name = source.name if isinstance(source, Path) else _SIMULATED
    with ending_on_signals() as ending:
        with recording_bar(name, ending, quiet=quiet) as progress:
            tracked = track_recording(source, chosen, settings, crop=crop, progress=progress)
        if ending.is_set():
            raise typer.Exit(INTERRUPTED)
    if tracked.error is not None:
        raise tracked.error
    table = tracked.table
    if not isinstance(
        source, Path
    ):  # it was filmed as fast as it could be: the mouse's own time is the frame's
        own = np.round(table.frame_id * (NS_PER_S / source.rate_hz)).astype(np.int64)
        table = dataclasses.replace(table, camera_ns=own)
    return on_time_axis(table, rate_hz=rate_hz, latency_ms=latency_ms)


def _report(run: DryRun) -> None:
    summary = run.summary()
    print_line(f"{run.source}: {summary['frames']} frames, {summary['seconds']:.1f} s\n")
    if run.baseline:
        print_line(f"baseline of the first {run.armed_s:.1f} s, armed after it: {run.baseline}\n")
    table = plain_table("feature", right=("unit", "known", "5 %", "median", "95 %", "99 %"))
    for name, each in summary["features"].items():
        spread = ("-" if each[key] is None else f"{each[key]:.3g}" for key in ("p5", "p50", "p95", "p99"))
        table.add_row(name, each["unit"], f"{each['known']:.0%}", *spread)
    OUT.print(table)
    for name, each in summary["rules"].items():
        OUT.print(f"\n{name}", style="bold", markup=False)
        for line in _summary_lines(each):
            print_line(f"  {line}")
    if run.rules.spec.input is None:
        print_line(f"\nany rule: {describe_input(None)}")
    for name, values in run.never_known.items():
        print_note(never_known_in_words(name, values, run.rate_hz))


def _summary_lines(rule: dict[str, Any]) -> list[str]:
    trials = rule["fired"] + rule["sham"] + rule["catch"]
    rate = f", {rule['per_minute']:.1f} trials a minute" if rule["per_minute"] is not None else ""
    apart = (
        f", {rule['median_interval_s']:.2f} s apart in the median"
        if rule["median_interval_s"] is not None
        else ""
    )
    light = f"{rule['fired']} fired ({rule['light_s']:.2f} s of light)"
    lines = [f"{trials} trials: {light}, {rule['sham']} shams, {rule['catch']} catches{rate}{apart}"]
    if rule["withheld"]:
        lines.append(
            "withheld: " + ", ".join(f"{count} {reason}" for reason, count in rule["withheld"].items())
        )
    if rule["trials"]:
        first = ", ".join(f"{each['time_s']:.2f}" for each in rule["trials"][:12])
        lines.append(f"at {first}{' ...' if trials > 12 else ''} s")
    return lines

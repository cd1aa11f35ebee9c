"""``rtface encoder``: from a recording of face and neurons to an encoder, and what it is worth.

The verbs that train or judge need torch: pip install 'rtface[train]'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rtface.cli.encoder.states import states
from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import ERR, OUT, print_json, say
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.core.errors import BackendError, UsageError
from rtface.encode.bundle import load_encoder
from rtface.encode.manifest import EncoderManifest

if TYPE_CHECKING:
    from rtface.learn.encoder.recording import RecordingFiles

app = typer.Typer(help="Predict neural activity from the face: fit, judge and show.", no_args_is_help=True)
app.command()(states)

Family = Literal["causal", "facemap"]
Splitting = Literal["strict", "published"]

KeypointsArgument = Annotated[
    Path,
    typer.Argument(
        help="Keypoints of the video: any file that rtface writes, Facemap's (h5, filtered npy), an npz."
    ),
]
NeuronsArgument = Annotated[
    Path,
    typer.Argument(help="npz with spks (neurons x samples), tneural, tcam, xpos, ypos; or an npy of spks."),
]
FrameTimesOption = Annotated[
    Path | None, typer.Option(help="npy of the frames' times in seconds; else tcam of the neural file.")
]
NeuralTimesOption = Annotated[
    Path | None, typer.Option(help="npy of the neural samples' times in seconds; else tneural.")
]
FrameRateOption = Annotated[float | None, typer.Option(min=0.1, help="Frames a second, without times.")]
NeuralRateOption = Annotated[
    float | None, typer.Option(min=0.01, help="Neural samples a second, without times.")
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A keypoint not to use; repeatable. paw, if none is named."),
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME[=FILE]",
        help="A further input, such as run: a field of the neural file, or a file of one value a frame; repeatable.",
    ),
]
ThreadsOption = Annotated[
    int,
    typer.Option(
        min=1, help="Threads of the network's arithmetic; it is small, and more help only on idle cores."
    ),
]


@app.command()
def fit(
    keypoints: KeypointsArgument,
    neurons: NeuronsArgument,
    out: Annotated[Path, typer.Option(help="Folder of the new encoder; its name is the encoder's.")],
    family: Annotated[
        Family, typer.Option(help="causal: ours, from past frames alone. facemap: Facemap's, for comparison.")
    ] = "causal",
    look_ahead: Annotated[
        int | None,
        typer.Option(
            min=0, help="Frames of the future it may see, by which its answers come later; else the family's."
        ),
    ] = None,
    delay: Annotated[
        float,
        typer.Option(help="Seconds by which the newest frame is older than the neural sample."),
    ] = 0.0,
    components: Annotated[int, typer.Option(min=1, help="Principal components to predict.")] = 128,
    split: Annotated[
        Splitting,
        typer.Option(help="strict: gaps of the encoder's window, nothing fitted on test samples. published."),
    ] = "strict",
    memory: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds that the running z-score of the inputs remembers; 0: it is frozen."
        ),
    ] = 1800.0,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most; else the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    frame_times: FrameTimesOption = None,
    neural_times: NeuralTimesOption = None,
    frame_rate: FrameRateOption = None,
    neural_rate: NeuralRateOption = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=1, help="Rows a second of the encoder, for a camera that is faster; else the camera's rate."
        ),
    ] = None,
    exclude: ExcludeOption = None,
    inputs: InputOption = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of checkpoint and report; else OUT with -run behind it.")
    ] = None,
    explainable: Annotated[bool, typer.Option(help="Say what is explainable by the other neurons.")] = True,
    licence: Annotated[str, typer.Option(help="Of the encoder.")] = "that of the recording",
    threads: ThreadsOption = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an encoder that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit an encoder to a recording, and state what it explains of samples that it did not learn from.

    Ctrl-C ends it early and leaves a checkpoint; the same command goes on from there.
    """
    with _training_packages(threads):
        from rtface.encode.normalise import NormaliseRules
        from rtface.learn.encoder.from_recording import EncoderRequest, fit_encoder
        from rtface.learn.encoder.optimise import RECIPES
    recipe = replace(RECIPES[family], seed=seed)
    architecture: dict[str, Any] = {"name": family}
    if look_ahead is not None:
        architecture["look_ahead"] = look_ahead
    order = EncoderRequest(
        files=replace(
            _where(keypoints, neurons, frame_times, neural_times, frame_rate, neural_rate, exclude, inputs),
            rate=rate,
        ),
        encoder=out,
        run=run or out.with_name(f"{out.name}-run"),
        architecture=architecture,
        components=components,
        delay_s=delay,
        rules=NormaliseRules(memory_s=memory or None),
        split=split,
        recipe=replace(recipe, epochs=epochs) if epochs else recipe,
        explainable=explainable,
        licence=licence,
        overwrite=overwrite,
    )
    with ending_on_signals() as wish, _bars(quiet=as_json) as progress:
        fitted = fit_encoder(order, progress=progress, stop=wish.is_set)
    if fitted is None:
        say(f"stopped before the end; the same command goes on from the checkpoint in {order.run}")
        raise typer.Exit(INTERRUPTED)
    if as_json:
        print_json({"folder": fitted.bundle.folder, "run": order.run, **fitted.report})
        return
    for remark in fitted.bundle.manifest.training["remarks"]:
        say(remark)
    _show(fitted.bundle.manifest)
    OUT.print(f"curves and report: {order.run}", markup=False, soft_wrap=True)
    OUT.print(f"{fitted.bundle.manifest.name}: {fitted.bundle.folder}", markup=False, soft_wrap=True)


@app.command()
def evaluate(
    encoder: Annotated[Path, typer.Argument(help="Folder of an encoder.")],
    keypoints: KeypointsArgument,
    neurons: NeuronsArgument,
    baselines: Annotated[
        bool, typer.Option(help="Fit linear regressions on the same samples, to compare with.")
    ] = True,
    video: Annotated[
        Path | None, typer.Option(help="The video: its motion energy is one of the baselines.")
    ] = None,
    frame_times: FrameTimesOption = None,
    neural_times: NeuralTimesOption = None,
    frame_rate: FrameRateOption = None,
    neural_rate: NeuralRateOption = None,
    inputs: InputOption = None,
    threads: ThreadsOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Say what an encoder explains of the test part of a recording: its own, or another of the same neurons.

    The recording is split as that which the encoder learnt from; what is fitted for comparison learns from the
    training part.
    """
    bundle = load_encoder(encoder)
    with _training_packages(threads):
        from rtface.learn.encoder.compare import evaluate_encoder
    manifest = bundle.manifest
    told = {text.partition("=")[0] for text in inputs or ()}
    wanted = [*(inputs or ()), *(name for name in manifest.extras if name not in told)]
    where = _where(keypoints, neurons, frame_times, neural_times, frame_rate, neural_rate, (), wanted)
    with ending_on_signals() as wish, _bars(quiet=as_json) as progress:
        report = evaluate_encoder(
            bundle, where, baselines=baselines, video=video, progress=progress, stop=wish.is_set
        )
    if report is None:
        raise typer.Exit(INTERRUPTED)
    if as_json:
        print_json(report)
        return
    for remark in report["remarks"]:
        say(remark)
    OUT.print(_compared(report["results"]))
    if "explainable_mean" in report:
        OUT.print(
            f"explainable by other neurons: {report['explainable_mean']:.3f} of a neuron's variance on average",
            markup=False,
        )


@app.command()
def show(
    encoder: Annotated[Path, typer.Argument(help="Folder of an encoder.")], as_json: JsonOption = False
) -> None:
    """Print an encoder's card: what it takes in, what it gives, from what it learnt, how well it does."""
    bundle = load_encoder(encoder)
    if as_json:
        print_json({**bundle.manifest.model_dump(mode="json"), "sha256": bundle.sha256})
        return
    _show(bundle.manifest)
    OUT.print(f"sha256 {bundle.sha256}", markup=False)


def _where(
    keypoints: Path,
    neurons: Path,
    frame_times: Path | None,
    neural_times: Path | None,
    frame_rate: float | None,
    neural_rate: float | None,
    exclude: Sequence[str] | None,
    inputs: Sequence[str] | None,
) -> RecordingFiles:
    from rtface.learn.encoder.recording import EXCLUDED, RecordingFiles

    extras: dict[str, Path | None] = {}
    for text in inputs or ():
        name, _, file = text.partition("=")
        if not name or name in extras:
            raise UsageError(f"--input takes NAME or NAME=FILE, each name once, not {text!r}")
        extras[name] = Path(file) if file else None
    return RecordingFiles(
        keypoints=keypoints,
        neurons=neurons,
        frame_times=frame_times,
        neural_times=neural_times,
        frame_rate=frame_rate,
        neural_rate=neural_rate,
        exclude=tuple(EXCLUDED if exclude is None else exclude),
        extras=extras,
    )


@contextmanager
def _training_packages(threads: int) -> Iterator[None]:
    """Turn what is missing into an error that says what to install, and set torch's threads."""
    try:
        import torch

        torch.set_num_threads(threads)
        yield
    except ModuleNotFoundError as error:
        raise BackendError(f"{error.name} is not installed: pip install 'rtface[train]'") from error


@contextmanager
def _bars(*, quiet: bool) -> Iterator[Callable[[str, int], Callable[[int, float], None]]]:
    """Give what starts a bar for a part of the work, ending the one before."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with ExitStack() as last:

        def begin(what: str, steps: int) -> Callable[[int, float], None]:
            last.close()
            bar = last.enter_context(Progress(*columns, console=ERR, disable=quiet))
            task = bar.add_task(escape(what), total=max(1, steps), loss="")

            def update(done: int, loss: float) -> None:
                bar.update(task, completed=done, loss="" if isnan(loss) else f"unexplained {loss:.3f}")

            return update

        yield begin


def _show(manifest: EncoderManifest) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for what, text in _card(manifest):
        table.add_row(what, escape(text))
    OUT.print(table)


def _card(manifest: EncoderManifest) -> Iterator[tuple[str, str]]:
    training, metrics, targets = manifest.training, manifest.metrics, manifest.targets
    yield "encoder", f"{manifest.name}: {manifest.description}"
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
        f"{targets.count} {targets.kind} of {targets.neurons} neurons (learnt at {manifest.neural_rate_hz:.3g} Hz)",
    )
    if manifest.delay_s:
        yield "delay", f"{manifest.delay_s:g} s"
    if training:
        files = ", ".join(source["name"] for source in training.get("sources", ()))
        yield "learnt from", f"{files}: {training.get('samples')} samples, {training.get('split')} split"
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


def _compared(results: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("explained variance on test samples")
    for column in ("all outputs", "first", "10th", "neurons", "normalised"):
        table.add_column(column, justify="right")
    for each in results:
        outputs = each["by_output"]
        cells = [each["variance_explained"], outputs[0], outputs[9] if len(outputs) > 9 else None]
        cells += [each["neurons_mean"], each.get("neurons_normalised")]
        table.add_row(escape(each["name"]), *("-" if value is None else f"{value:.3f}" for value in cells))
    return table

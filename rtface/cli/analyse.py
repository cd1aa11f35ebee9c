"""``rtface analyse``: simulated populations, and reports of populations and behaviour."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from rtface.cli.terminal.progress import progress_bar
from rtface.cli.terminal.screen import print_line, print_note
from rtface.cli.terminal.signals import ending_on_signals
from rtface.cli.terminal.training import interrupted, training_bars, training_packages
from rtface.core.errors import DataError, UsageError
from rtface.core.extras import require

app = typer.Typer(
    help="Populations of neurons and how much behaviour explains of them.", no_args_is_help=True
)

_PACKAGES = ("hmmlearn", "matplotlib", "scipy", "sklearn")

ClustersOption = Annotated[int, typer.Option(min=4, help="Clusters of neurons.")]
MethodOption = Annotated[Literal["auto", "rastermap", "kmeans"], typer.Option(help="How clusters are found.")]
StatesOption = Annotated[
    int | None, typer.Option(min=2, help="States of the latents; chosen on held-out time when absent.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]


@app.command("simulate")
def simulate(
    out: Annotated[Path, typer.Option("--out", help="The .npz file to write.")],
    neurons: Annotated[int, typer.Option(min=1, help="Neurons.")] = 50_000,
    minutes: Annotated[float, typer.Option(min=0.1, help="Length; ignored with --keypoints.")] = 60.0,
    moods: Annotated[int, typer.Option(min=2, max=6, help="Discrete states of the mouse.")] = 6,
    circulation: Annotated[
        float, typer.Option(min=0, max=1, help="How one-way the moods follow: 0.5 is reversible, 1 a ring.")
    ] = 0.9,
    keypoints: Annotated[
        Path | None, typer.Option(help="Drive it by this tracked recording, not a simulated mouse.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same population.")] = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Write a simulated population whose explainable variance is known, in the layout of Facemap's neural data.

    50,000 neurons for an hour take 2 GB on the disk and a few hundred MB of memory.
    """
    require("analyse", *_PACKAGES, error=UsageError)
    from rtface.analyse.behaviour import tracked_behaviour
    from rtface.analyse.population import PopulationParameters
    from rtface.analyse.populationfile import write_population
    from rtface.analyse.simulated_population import simulate_population
    from rtface.record.formats import read
    from rtface.record.formats.base import check_target

    check_target(out, overwrite=overwrite)
    parameters = PopulationParameters(
        neurons=neurons, seconds=60 * minutes, moods=moods, circulation=circulation, seed=seed
    )
    behaviour = None if keypoints is None else tracked_behaviour(read(keypoints))
    with progress_bar("behaviour", transient=True) as bar:
        population = simulate_population(parameters, behaviour, bar)
    with progress_bar("neurons", neurons, transient=True) as bar:
        write_population(population, out, overwrite=overwrite, progress=bar)
    print_line(
        f"{out}: SIMULATED, {neurons} neurons x {len(population.tneural)} samples, "
        f"{len(population.tcam)} frames; behaviour explains at most {population.ceilings().mean():.3f} "
        "of a neuron's variance on average"
    )


@app.command("report")
def report(
    data: Annotated[
        Path,
        typer.Argument(
            help="The population: .npz as Facemap's neural data; or the run's folder of `rtface encoder fit`."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")],
    predictions: Annotated[
        Path | None, typer.Option(help=".npz of an encoder's Y_test, Y_pred_test, itest (and U, ceiling).")
    ] = None,
    latents: Annotated[
        Path | None,
        typer.Option(help=".npy of latents, camera frames x latents; else the true ones if simulated."),
    ] = None,
    clusters: ClustersOption = 100,
    method: MethodOption = "auto",
    states: StatesOption = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn by chance.")] = 0,
) -> None:
    """Write pictures and a summary of a population: components, clusters, states, forecast of keypoints."""
    require("analyse", *_PACKAGES, error=UsageError)
    from rtface.analyse.hmm import FitOptions
    from rtface.analyse.populationfile import read_latents, read_population, read_predictions
    from rtface.analyse.report import ReportOptions, write_report

    predicted = given = None
    if data.is_dir():
        from rtface.learn.encoder.fit_results import read_fit

        recorded, predicted, given = read_fit(data)
    else:
        recorded = read_population(data)
    if predictions is not None:
        predicted = read_predictions(predictions, len(recorded.tneural))
    if latents is not None:
        given = read_latents(latents)
    options = ReportOptions(
        clusters=clusters, method=method, states=states, fit=FitOptions(seed=seed), seed=seed
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make {out}: {error.strerror or error}") from error
    made = write_report(recorded, out, predicted, given, options, _command(), print_note)
    stamp = "SIMULATED, " if made["simulated"] else ""
    print_line(f"{out / 'report.md'}: {stamp}{len(made['pictures'])} pictures")
    for line in made["left_out"]:
        print_note(f"left out: {line}")


@app.command("simulate-study")
def simulate_study(
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    recordings: Annotated[int, typer.Option(min=1, help="Recordings.")] = 2,
    neurons: Annotated[int, typer.Option(min=20, help="Neurons of each.")] = 300,
    minutes: Annotated[float, typer.Option(min=1, help="Length of each.")] = 5.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same recordings.")] = 0,
) -> None:
    """Write simulated recordings in the layout of Facemap's public data, to try `rtface analyse facemap` on."""
    require("analyse", *_PACKAGES, error=UsageError)
    from rtface.learn.study.made import write_made_study

    with progress_bar("recordings", recordings, unit="recordings", transient=True) as bar:
        names = write_made_study(out, recordings, neurons, 60 * minutes, seed=seed, progress=bar)
    print_line(f"{out}: SIMULATED, {', '.join(names)}")


@app.command("facemap")
def facemap(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of recordings: Facemap's public data, suite2p, NWB, MATLAB; told by content."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; FOLDER with -study behind it when absent.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is found, or all that is wrong.")
    ] = False,
    frame_rate: Annotated[
        float | None, typer.Option(min=0.1, help="Frames a second, of recordings without camera times.")
    ] = None,
    neural_rate: Annotated[
        float | None,
        typer.Option(min=0.01, help="Neural samples a second, of recordings without neural times."),
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--field", metavar="FIELD=NAME", help="What spks, tcam, tneural, run, ... is called in the files."
        ),
    ] = None,
    match: Annotated[
        str, typer.Option(help="Take only keypoints and films whose path contains this, such as cam0.")
    ] = "",
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME", help="run or pupil: inputs beside the keypoints."),
    ] = None,
    network: Annotated[
        Literal["facemap", "causal"],
        typer.Option(help="facemap: the published one. causal: ours, from the past alone."),
    ] = "facemap",
    split: Annotated[
        Literal["strict", "published"], typer.Option(help="As of rtface encoder fit.")
    ] = "strict",
    components: Annotated[int, typer.Option(min=1, help="Principal components to predict.")] = 128,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most; else the recipe's.")] = None,
    curves: Annotated[
        bool,
        typer.Option(help="Fit by neurons, by minutes and without groups of keypoints: most of the time."),
    ] = True,
    clusters: ClustersOption = 100,
    method: MethodOption = "auto",
    states: StatesOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the network's arithmetic.")] = 1,
) -> None:
    """Read a folder of recordings of face and neurons, fit what the Facemap paper compares, and write its results.

    Ctrl-C ends it early; the same command goes on from there.
    """
    require("analyse", *_PACKAGES, error=UsageError)
    with training_packages(threads):
        from rtface.analyse.hmm import FitOptions
        from rtface.analyse.report import ReportOptions
        from rtface.learn.encoder.optimise import RECIPES
        from rtface.learn.study.contents import Stated
        from rtface.learn.study.run import StudyRequest, run_study
        from rtface.learn.study.sessions import BEHAVIOUR, described, read_study
    if wrong := [name for name in inputs or () if name not in BEHAVIOUR]:
        raise UsageError(f"--input is {' or '.join(BEHAVIOUR)}, not {wrong[0]!r}")
    named = dict(text.partition("=")[::2] for text in fields or ())
    if lacking := [name for name, value in named.items() if not value]:
        raise UsageError(f"--field takes FIELD=NAME, not {lacking[0]!r}")
    stated = Stated(frame_rate, neural_rate, named, match)
    with progress_bar("files", unit="files", transient=True) as bar:
        sessions = read_study(folder, stated, bar)
    for line in described(sessions):
        print_line(line)
    if check:
        return
    recipe = replace(RECIPES[network], seed=seed)
    request = StudyRequest(
        folder,
        out or folder.resolve().with_name(f"{folder.resolve().name}-study"),
        stated,
        {"name": network},
        split,
        components,
        tuple(inputs or ()),
        replace(recipe, epochs=epochs) if epochs else recipe,
        ReportOptions(clusters, method, states, FitOptions(seed=seed), seed),
        curves,
    )
    with ending_on_signals() as ending, training_bars(quiet=False, measure="unexplained") as progress:
        found = run_study(request, sessions, command=_command(), progress=progress, stop=ending.is_set)
    if found is None:
        raise interrupted(request.out)
    for name, each in found["over_sessions"]["models"].items():
        print_line(f"{name}: {each['mean']:.3f} of the variance of all components, n = {each['n']}")
    print_line(f"{request.out / 'report.md'}" + (": SIMULATED" if found["simulated"] else ""))


def _command() -> str:
    return shlex.join(["rtface", *sys.argv[1:]])

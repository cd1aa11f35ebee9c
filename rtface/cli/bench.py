"""``rtface bench``: this machine's latency and throughput, as JSON and a plot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from rtface.bench.gpu import GpuQuestion, measure_gpu
from rtface.bench.latency import LatencyQuestion, measure_latency
from rtface.bench.loop import LoopQuestion, measure_loop
from rtface.bench.plot import plot_distributions
from rtface.bench.throughput import ThroughputQuestion, measure_throughput
from rtface.cli.options import (
    BackendOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    PrecisionOption,
    ThreadsOption,
    backend_settings,
)
from rtface.cli.screen import ERR, OUT, latency_table, print_json
from rtface.cli.signals import ending_on_signals
from rtface.errors import DataError, UsageError
from rtface.latency import StageSummary

app = typer.Typer(help="How fast this machine is, as JSON and a plot.", no_args_is_help=True)

OutOption = Annotated[Path, typer.Option(help="Folder for NAME.json and NAME.png.")]
NameOption = Annotated[str | None, typer.Option(help="Name of the result; else the benchmark's.")]
WidthOption = Annotated[int, typer.Option(min=64, help="Width of the frames in pixels.")]
HeightOption = Annotated[int, typer.Option(min=64, help="Height of the frames in pixels.")]


@app.command()
def latency(
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second.")] = 200.0,
    width: WidthOption = 640,
    height: HeightOption = 480,
    deadline: Annotated[float, typer.Option(min=0.1, help="Deadline in milliseconds.")] = 10.0,
    engine: EngineOption = "default",
    backend: BackendOption = "auto",
    precision: PrecisionOption = "engine",
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Exposure to a subscriber in another process, from a simulated camera: percentiles per stage."""
    settings = backend_settings(backend, precision, threads, device)
    question = LatencyQuestion(seconds, rate, width, height, engine, settings, deadline)
    with ending_on_signals() as wish, _progress_bar("latency", quiet=as_json) as progress:
        result = measure_latency(question, progress, wish)
    _keep(result, out, name or "latency")
    if as_json:
        print_json(result)
        return
    stages = {stage: StageSummary(**summary) for stage, summary in result["stages"].items()}
    stages["to subscriber"] = StageSummary(**result["subscriber"]["exposure_to_subscriber"])
    OUT.print(latency_table(stages))
    OUT.print(
        f"{result['frames']} frames, lost {result['lost']}; subscriber received "
        f"{result['subscriber']['received']}, missed {result['subscriber']['missed']}",
        markup=False,
    )


@app.command()
def throughput(
    frames: Annotated[int, typer.Option(min=10, help="Frames to measure.")] = 2000,
    width: WidthOption = 640,
    height: HeightOption = 480,
    engine: EngineOption = "default",
    backend: BackendOption = "auto",
    precision: PrecisionOption = "engine",
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Frames per second of the network alone and from camera to keypoints, in one run."""
    settings = backend_settings(backend, precision, threads, device)
    with _progress_bar("throughput", quiet=as_json) as progress:
        result = measure_throughput(ThroughputQuestion(frames, width, height, engine, settings), progress)
    _keep(result, out, name or "throughput")
    if as_json:
        print_json(result)
        return
    stages = {"network alone": StageSummary(**result["network_alone"])}
    stages |= {stage: StageSummary(**summary) for stage, summary in result["stages"].items()}
    OUT.print(latency_table(stages))
    OUT.print(
        f"network alone {result['network_alone_per_second']:.0f} frames per second; "
        f"camera to keypoints {result['pipeline_per_second']:.0f} (rendering the camera's frames included)",
        markup=False,
    )


@app.command()
def gpu(
    frames: Annotated[int, typer.Option(min=10, help="Frames one after another.")] = 100_000,
    itemised: Annotated[
        int, typer.Option(min=1, help="Frames stage by stage, where that can be told.")
    ] = 1000,
    seconds: Annotated[
        float, typer.Option(min=0, help="How long to keep up with a camera; 0: not at all.")
    ] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second of that camera.")] = 1000.0,
    width: WidthOption = 640,
    height: HeightOption = 480,
    engine: EngineOption = "default",
    widths: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C,D,E",
            help="In place of an engine a Facemap network of these widths and random weights; needs torch.",
        ),
    ] = None,
    backend: BackendOption = "auto",
    precision: PrecisionOption = "engine",
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """From a frame in host memory to keypoints in host memory: percentiles, jitter, stages on the GPU, a steady rate.

    Runs with any back end; stages that it cannot tell apart are left out.
    """
    question = GpuQuestion(
        frames=frames,
        itemised=itemised,
        seconds=seconds,
        rate_hz=rate,
        width=width,
        height=height,
        engine=engine,
        widths=_parse_widths(widths, engine),
        backend=backend_settings(backend, precision, threads, device),
    )
    with ending_on_signals() as wish, _progress_bar("gpu", quiet=as_json) as progress:
        result = measure_gpu(question, progress, wish)
    _keep(result, out, name or "gpu")
    if as_json:
        print_json(result)
        return
    _show_gpu(result)


def _parse_widths(text: str | None, engine: str) -> tuple[int, ...] | None:
    if text is None:
        return None
    if engine != "default":
        raise UsageError("--engine or --widths, not both")
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--widths takes whole numbers A,B,C,D,E, not {text!r}") from None


def _show_gpu(result: Mapping[str, Any]) -> None:
    OUT.print(f"{result['engine']}, {result['backend']}", markup=False, soft_wrap=True)
    stages = {
        f"GPU: {stage}": StageSummary(**each) for stage, each in result.get("device_stages", {}).items()
    }
    stages["frame to keypoints"] = StageSummary(**result["frame_to_keypoints"])
    kept_up = result.get("sustained")
    if kept_up is not None:
        stages["exposure to handed over"] = StageSummary(**kept_up["stages"]["end_to_end"])
    OUT.print(latency_table(stages, digits=3))
    if "over_network" in result:
        OUT.print(
            f"host to host {result['over_network']:.2f} times the network alone; launch and wait "
            f"{result['rest_p50_ms']:.3f} ms",
            markup=False,
        )
    if kept_up is not None:
        OUT.print(
            f"{kept_up['frames']} frames in {kept_up['seconds']:g} s at {kept_up['frames_per_second']:.1f} per second, "
            f"lost {kept_up['lost']}",
            markup=False,
        )


@app.command()
def loop(
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure.")] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second.")] = 200.0,
    width: WidthOption = 640,
    height: HeightOption = 480,
    deadline: Annotated[float, typer.Option(min=0.1, help="Deadline in milliseconds.")] = 12.0,
    on_ms: Annotated[float, typer.Option(min=0.1, help="Length of a pulse.")] = 2.0,
    refractory_ms: Annotated[float, typer.Option(min=10, help="From the end of a pulse to the next.")] = 95.0,
    engine: EngineOption = "default",
    backend: BackendOption = "auto",
    precision: PrecisionOption = "engine",
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    out: OutOption = Path(),
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Exposure to the pin of the emulated safety gate, stage by stage, from a simulated camera.

    Needs Debian's packages gcc, simavr, libsimavr-dev and libelf-dev. For a rig with its own gate and a light that the
    camera sees: `rtface bench led`.
    """
    question = LoopQuestion(
        seconds=seconds,
        rate_hz=rate,
        width=width,
        height=height,
        engine=engine,
        backend=backend_settings(backend, precision, threads, device),
        deadline_ms=deadline,
        on_ms=on_ms,
        refractory_ms=refractory_ms,
    )
    with ending_on_signals() as wish, _progress_bar("loop", quiet=as_json) as progress:
        result = measure_loop(question, progress, wish)
    _keep(result, out, name or "loop")
    if as_json:
        print_json(result)
        return
    OUT.print(latency_table({stage: StageSummary(**summary) for stage, summary in result["stages"].items()}))
    OUT.print(
        f"{result['decisions_to_fire']} decisions to fire, {result['commands']} commands, {result['lights_seen']} lights "
        f"at the pin; {result['frames']} frames, lost {result['lost']}; at the end {result['state_at_the_end']['state']}",
        markup=False,
    )


@contextmanager
def _progress_bar(name: str, *, quiet: bool) -> Iterator[Callable[[float], None]]:
    with Progress(console=ERR, disable=quiet, transient=True) as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _keep(result: dict[str, Any], folder: Path, name: str) -> None:
    """Write the result and its picture; the picture's curves stay out of the JSON."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plot_distributions(result, folder / f"{name}.png")
        kept = {key: value for key, value in result.items() if key != "distribution"}
        (folder / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"the result cannot be written to {folder}: {error.strerror}") from error
    result.pop("distribution")
    ERR.print(f"written: {folder / name}.json and .png", markup=False, soft_wrap=True)

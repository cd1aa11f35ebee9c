"""``rtface engines build``: an engine's TensorRT plan, made before it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from rtface.cli.options import CropOption, JsonOption, parse_crop
from rtface.cli.terminal.progress import progress_bar
from rtface.cli.terminal.screen import print_json, print_line
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.core.errors import BackendError, DataError, UsageError
from rtface.core.files import written_whole
from rtface.core.geometry import check_crop, whole_frame
from rtface.core.records import Crop
from rtface.track.backends.factory import DEFAULT_GPU_ENGINE
from rtface.track.gpu import kernels
from rtface.track.gpu.body import Body, body_of
from rtface.track.gpu.callbacks import Progress
from rtface.track.gpu.cuda import CudaDevice
from rtface.track.gpu.libcuda import Gpu, choose_gpu, probe
from rtface.track.gpu.nvinfer import BuildOptions, Nvinfer
from rtface.track.gpu.plans import Plan, plan_for
from rtface.track.manifest import Manifest
from rtface.track.store import load_engine


def build(
    engine: Annotated[str, typer.Argument(help="Name of an engine, or its folder.")] = "default",
    frame: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the camera's frames.")
    ] = "640x480",
    crop: CropOption = None,
    precision: Annotated[
        Literal["engine", "f16", "f32"],
        typer.Option(help="Arithmetic, but that of an int8 engine's convolutions; engine: f16."),
    ] = "engine",
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="GPU to build for ahead of time, as sm_89; again for more. TensorRT for RTX alone."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="The GPU, as cuda:0; else the first.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan to this file too.")] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Build it even if it is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    r"""Build an engine's plan for this machine's GPU, as arming does when there is none, and keep it.

    A plan is for one size of the network's input, which hangs on the shape of frame or crop. On a machine without a
    GPU, or with --target, TensorRT for RTX builds for all RTX cards or those named. Needs the extra
    tensorrt or rtx: pip install '.\[tensorrt]'.
    """
    nvinfer = Nvinfer()
    module, version = nvinfer.open()
    loaded = load_engine(DEFAULT_GPU_ENGINE if engine == "default" else engine)
    shape = _input_shape(loaded.manifest, frame, parse_crop(crop))
    body = body_of(loaded, shape, "f32" if precision == "f32" else "f16")
    ahead = bool(target) or (device is None and not probe().gpus)
    gpu_device, gpu = (None, None) if ahead else _take(device, module)
    options = BuildOptions(targets=tuple(dict.fromkeys(target or ())))
    try:
        plan = _built(body, gpu, nvinfer, options, rebuild)
    finally:
        if gpu_device is not None:
            gpu_device.close()
    if out is not None:
        _copy(plan, out)
    if as_json:
        print_json({**plan.facts, "key": plan.key, "path": str(plan.path), "built": plan.built})
        return
    rows, cols = body.shape
    arithmetic = f"int8 and {body.precision}" if body.quantised else body.precision
    where = str(gpu) if gpu is not None else ", ".join(plan.facts["options"]["targets"])
    how = f"built in {plan.facts['seconds']:.1f} s" if plan.built else "it was there already"
    print_line(f"{body.name} in {arithmetic}, input of {cols}x{rows} pixels, for {where}")
    print_line(f"{module} {version}: {len(plan.data)} bytes, {how}")
    print_line(f"sha256 {plan.sha256}")
    print_line(str(plan.path))


def _input_shape(manifest: Manifest, frame: str, crop: Crop | None) -> tuple[int, int]:
    """Return rows and columns of the network's input for frames of a size."""
    try:
        width, height = (int(part) for part in frame.lower().split("x"))
    except ValueError:
        raise UsageError(f"--frame takes WIDTHxHEIGHT in pixels, not {frame!r}") from None
    if min(width, height) < 1:
        raise UsageError(f"--frame {frame}: WIDTH and HEIGHT are 1 or more")
    seen = check_crop(crop or whole_frame(width, height), width, height)
    return manifest.network_frame(seen).shape


def _take(device: str | None, module: str) -> tuple[CudaDevice | None, Gpu]:
    """Return the GPU, and its context where TensorRT tries kernels on it while it builds."""
    libcuda, gpu = choose_gpu(device)
    if module != "tensorrt":
        return None, gpu
    taken = CudaDevice(gpu.index, libcuda)
    taken.open(kernels.ptx())
    return taken, gpu


def _built(body: Body, gpu: Gpu | None, nvinfer: Nvinfer, options: BuildOptions, rebuild: bool) -> Plan:
    with _watched() as progress:
        return plan_for(body, gpu, nvinfer, options=options, progress=progress, rebuild=rebuild)


@contextmanager
def _watched() -> Iterator[Progress]:
    """Give what draws a bar and, once Ctrl-C was pressed, stops the build."""
    with ending_on_signals() as ending, progress_bar("", unit="steps", transient=True) as bar:

        def step(phase: str, done: int, steps: int) -> bool:
            bar(done, steps, what=phase)
            return not ending.is_set()

        try:
            yield step
        except BackendError:
            if ending.is_set():
                raise typer.Exit(INTERRUPTED) from None
            raise


def _copy(plan: Plan, out: Path) -> None:
    try:
        with written_whole(out) as fresh:
            fresh.write_bytes(plan.data)
    except OSError as error:
        raise DataError(f"the plan cannot be written to {out}: {error.strerror}") from error

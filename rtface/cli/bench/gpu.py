"""``rtface bench gpu``: from host memory to host memory."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import typer

from rtface.bench.gpu import GpuQuestion, measure_gpu
from rtface.cli.bench.common import FrameOptions, ResultOptions
from rtface.cli.options import grouped
from rtface.cli.terminal.screen import OUT, latency_table, print_line
from rtface.config import BackendSettings
from rtface.core.errors import BackendError, UsageError
from rtface.core.latency import StageSummary
from rtface.track.gpu.libcuda import probe


@grouped
def gpu(
    *,
    frames: Annotated[int, typer.Option(min=10, help="Frames one after another.")] = 100_000,
    itemised: Annotated[
        int, typer.Option(min=1, help="Frames stage by stage, where the back end can time stages.")
    ] = 1000,
    seconds: Annotated[
        float, typer.Option(min=0, help="How long to keep up with a camera; 0: not at all.")
    ] = 60.0,
    rate: Annotated[
        float,
        typer.Option(
            min=1,
            help="Frames per second of that camera, and of a pass that gives the back end one frame at a time: the rig's.",
        ),
    ] = 1000.0,
    through: FrameOptions,
    widths: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C,D,E",
            help="In place of an engine a Facemap network of these widths and random weights; needs torch.",
        ),
    ] = None,
    result: ResultOptions,
) -> None:
    """From a frame in host memory to keypoints in host memory: percentiles, jitter, stages on the GPU, a steady rate.

    A GPU clocks down between frames that come slowly: with --rate 200 they come as from a camera of 200 frames per
    second, beside one right after another, and the GPU's clocks in both passes are in the result. Runs with any back
    end; stages that it cannot time are left out. Without a GPU it is refused, unless --backend names what runs on a CPU.
    """
    question = GpuQuestion(
        frames=frames,
        itemised=itemised,
        seconds=seconds,
        rate_hz=rate,
        width=through.width,
        height=through.height,
        engine=through.engine,
        widths=_parse_widths(widths, through.engine),
        backend=through.settings(),
    )
    _require_gpu(question.backend)
    result.measure("gpu", partial(measure_gpu, question), _show_gpu)


def _require_gpu(settings: BackendSettings) -> None:
    """Refuse to measure a CPU that nobody asked for; `BackendError` where there is no GPU."""
    if settings.name == "auto" and not (found := probe()).gpus:
        raise BackendError(
            f"there is no GPU to measure: {found.why_none}; `rtface bench latency` and `rtface bench throughput` measure "
            "this computer, and --backend openvino has this one run on its processor"
        )


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
    print_line(f"{result['engine']}, {result['backend']}")
    stages = {
        f"GPU: {stage}": StageSummary(**each) for stage, each in result.get("device_stages", {}).items()
    }
    stages["frame to keypoints"] = StageSummary(**result["frame_to_keypoints"])
    at_rate, kept_up = result.get("at_rate"), result.get("sustained")
    if at_rate is not None:
        stages[f"the same at {at_rate['rate_hz']:g} per second"] = StageSummary(
            **at_rate["frame_to_keypoints"]
        )
    if kept_up is not None:
        stages["exposure to handed over"] = StageSummary(**kept_up["stages"]["end_to_end"])
    OUT.print(latency_table(stages, digits=3))
    if "over_network" in result:
        print_line(
            f"host to host {result['over_network']:.2f} times the network alone; launch and wait "
            f"{result['rest_p50_ms']:.3f} ms"
        )
    for name, clocks in result.get("clocks", {}).get("passes", {}).items():
        print_line(
            f"clocks, {name.replace('_', ' ')}: {clocks['sm_mhz']['p50']} MHz (least {clocks['sm_mhz']['min']}), "
            f"memory {clocks['memory_mhz']['p50']} MHz"
        )
    if kept_up is not None:
        print_line(
            f"{kept_up['frames']} frames in {kept_up['seconds']:g} s at {kept_up['frames_per_second']:.1f} per second, "
            f"lost {kept_up['lost']}"
        )

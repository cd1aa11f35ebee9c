"""``rtface encoder states``: a state model of an encoder's latents, from keypoints, by the code that runs live."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import print_json, print_line
from rtface.core.clock import NS_PER_S
from rtface.core.errors import DataError, UsageError
from rtface.core.extras import require
from rtface.core.records import FloatArray
from rtface.encode.bundle import EncoderBundle, find_encoder, load_encoder
from rtface.encode.stream import StreamingEncoder
from rtface.learn.encoder.keypoint_files import read_keypoints
from rtface.offline.dryrun import read_poses


def states(
    encoder: Annotated[Path, typer.Argument(help="Folder of an encoder.")],
    keypoints: Annotated[
        Path,
        typer.Argument(
            help="Keypoints to fit it to: a session's folder, or any file that encoder fit takes."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The new state model (.npz): a rig's encoder.states.")],
    count: Annotated[int, typer.Option("--states", min=2, max=100, help="How many states.")] = 6,
    step: Annotated[
        float, typer.Option(min=0.01, help="Seconds of a step of the model: longer than a whisk.")
    ] = 0.2,
    rate: Annotated[
        float | None, typer.Option(min=1, help="Frames a second, if the keypoint file does not contain it.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the fit.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    r"""Fit a hidden Markov model to what an encoder makes of a recording's keypoints: neural.state of a live rig.

    Needs the extra analyse: pip install '.\[analyse]'.
    """
    if out.suffix != ".npz":
        raise UsageError(f"{out}: a state model's name ends in .npz")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists already; choose another name, or replace it by --overwrite")
    require("analyse", "hmmlearn")
    from rtface.analyse.hmm import FitOptions, fit_states

    bundle = load_encoder(find_encoder(encoder))
    latents = warm_latents(bundle, _keypoints(keypoints, rate))
    every = max(1, round(step * bundle.manifest.frame_rate_hz))
    model = fit_states(latents, count, FitOptions(every=every, seed=seed))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        model.save(out)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}") from error
    step_s = every / bundle.manifest.frame_rate_hz
    lifetimes = (step_s / np.maximum(1 - np.diagonal(model.transition), 1e-9)).round(2).tolist()
    if as_json:
        print_json({"states": out, "encoder": bundle.sha256, "rows": len(latents), "lifetimes_s": lifetimes})
        return
    print_line(f"{out}: {count} states of {len(latents)} rows, in steps of {step_s:g} s")
    print_line(f"they last {', '.join(f'{each:g}' for each in lifetimes)} s in the mean")


@dataclass(frozen=True)
class _Keypoints:
    """Keypoints of one recording: T rows of K points, pixels, with scores and nanoseconds."""

    source: Path
    names: tuple[str, ...]
    xy: FloatArray
    score: FloatArray
    exposure_ns: NDArray[np.int64]
    rate_hz: float


def _keypoints(path: Path, rate_hz: float | None) -> _Keypoints:
    if path.suffix not in (".npz", ".npy"):
        poses = read_poses(path, rate_hz=rate_hz)
        table = poses.table
        return _Keypoints(path, table.names, table.xy, table.score, poses.exposure_ns, poses.rate_hz)
    names, xy, times = read_keypoints(path)
    if times is None:
        if rate_hz is None:
            raise DataError(f"{path}: its frames have no times; say how many frames a second with --rate")
        times = np.arange(len(xy)) / rate_hz
    steps = np.diff(times)
    if not (steps > 0).all() or len(steps) == 0:
        raise DataError(f"{path}: the times of its frames do not rise")
    score = np.asarray(np.isfinite(xy).all(axis=2), np.float32)
    exposure_ns = np.round(times * NS_PER_S).astype(np.int64)
    return _Keypoints(path, names, xy, score, exposure_ns, 1 / float(np.median(steps)))


def warm_latents(bundle: EncoderBundle, keypoints: _Keypoints) -> FloatArray:
    """Return the latents of all rows whose window is full, shape (T, L), as the stream makes them.

    Raises
    ------
    DataError
        There are none.
    EngineError
        The keypoints do not fit the encoder.
    """
    stream = StreamingEncoder(bundle, keypoints.names, keypoints.rate_hz)
    rows = zip(keypoints.xy, keypoints.score, keypoints.exposure_ns.tolist(), strict=True)
    found = []
    for xy, score, exposure_ns in rows:
        prediction = stream.step(xy, score, exposure_ns)
        if prediction is not None and prediction.warm:
            found.append(prediction.latents.copy())
    if not found:
        raise DataError(f"{keypoints.source}: too short, the encoder's window is never full")
    return np.stack(found)

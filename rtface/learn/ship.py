"""Make the shipped engine: ``python -m rtface.learn.ship --data FOLDER --out engines/face-1``.

Three trainings of one recipe: on each of the two videos, judged on the other, and on all frames. The first two give
the stated errors and the calibration of the score; the third gives the weights. Each has two rounds: one with strong
augmentation, so that the network learns faces and not this rig's frames, and a shorter one with gentle augmentation,
which makes it precise. A training whose weights lie in the folder of runs already is not repeated.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rtface.clock import NS_PER_S, monotonic_ns
from rtface.errors import DataError
from rtface.learn.evaluate import (
    Answers,
    answer,
    calibrated,
    error_summary,
    fit_calibration,
    reliability,
)
from rtface.learn.export import columns, export_onnx
from rtface.learn.labels import LabelledFrame, read_side_view
from rtface.learn.samples import Augmentation, Picture, prepare, simulated_pictures
from rtface.learn.train import Recipe, train, write_run
from rtface.machine import run_facts
from rtface.networks.build import build_network
from rtface.records import FACEMAP_KEYPOINTS, FloatArray
from rtface.track.manifest import (
    MODEL_FILE,
    WEIGHTS_FILE,
    DecodeSpec,
    InputSpec,
    KeypointEntry,
    ResampleSpec,
    ScoreSpec,
)
from rtface.track.store import write_engine

FAMILY = "small"
ARCHITECTURE: dict[str, Any] = {
    "name": FAMILY,
    "keypoints": len(FACEMAP_KEYPOINTS),
    "channels": [16, 32, 64, 128],
    "depths": [2, 3, 3],
    "head": 48,
    "widen": 3,
}
WRONG_LABELS = {
    "cam1_G7c1_2_img0539.png": (
        "nose(top)",
        "nose(tip)",
        "nose(bottom)",
        "whisker(I)",
        "whisker(II)",
        "whisker(III)",
    )
}
"""Labels that are left out: in this frame those of the nose and of the whiskers are interchanged."""

ROUNDS = (
    Recipe(steps=1000),
    Recipe(
        steps=500,
        learning_rate=2e-3,
        simulated_share=0.3,
        augmentation=Augmentation(
            rotation_deg=8.0,
            zoom=1.15,
            shift=0.06,
            flip=0.25,
            contrast=0.25,
            gamma=1.3,
            blur=0.2,
            noise=0.04,
            occlusion=0.2,
        ),
    ),
)
SIMULATED_TRAINING, SIMULATED_SEED = 800, 100_000
SIMULATED_TEST, SIMULATED_TEST_SEED = 200, 900_000
RADIUS_PX = 4.0
_ALL = "all"
_REPORT_EVERY = 100

State = dict[str, torch.Tensor]


def run(video: str, frames: Sequence[LabelledFrame], rounds: Sequence[Recipe], folder: Path) -> State:
    """Train on all frames but those of `video` and return the weights; runs in a process of its own."""
    kept = folder / WEIGHTS_FILE
    if kept.is_file():
        before: State = torch.load(kept, weights_only=True)
        return before
    torch.set_num_threads(1)
    real = [prepare(frame.image, frame.xy) for frame in frames if frame.video != video]
    simulated = simulated_pictures(SIMULATED_TRAINING, SIMULATED_SEED)
    torch.manual_seed(rounds[0].seed)
    network: nn.Module = build_network(ARCHITECTURE).network
    for number, recipe in enumerate(rounds, start=1):
        losses: list[float] = []
        network = train(network, real, simulated, recipe, progress=_teller(video, number, recipe, losses))
        facts = run_facts() | {"held_out": video, "frames": len(real)}
        write_run(folder / f"round-{number}", recipe, facts, losses)
    state: State = network.state_dict()
    torch.save(state, kept)
    return state


def _teller(video: str, number: int, recipe: Recipe, losses: list[float]) -> Callable[[int, float], None]:
    """Return what keeps the losses and says now and then how far the training is."""
    began_ns = monotonic_ns()

    def progress(step: int, loss: float) -> None:
        losses.append(loss)
        if step % _REPORT_EVERY == 0 or step == recipe.steps - 1:
            minutes = (monotonic_ns() - began_ns) / NS_PER_S / 60
            sys.stderr.write(
                f"held out {video}: round {number}, step {step} of {recipe.steps}, loss {loss:.3f}, "
                f"{minutes:.1f} min\n"
            )

    return progress


def main() -> None:
    """Train, judge, calibrate, export."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv and frames/")
    parser.add_argument("--out", type=Path, required=True, help="the engine's folder")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where to keep what was done")
    parser.add_argument("--steps", type=int, default=ROUNDS[0].steps, help="of the first round")
    parser.add_argument("--created", required=True, help="date for the manifest, ISO 8601")
    options = parser.parse_args()

    share = options.steps / ROUNDS[0].steps
    rounds = [replace(recipe, steps=max(1, round(recipe.steps * share))) for recipe in ROUNDS]
    recipe = rounds[0]
    frames = [_without_wrong_labels(frame) for frame in read_side_view(options.data)]
    labels = np.stack([frame.xy for frame in frames])
    untrained = [index for index in range(labels.shape[1]) if np.isnan(labels[:, index]).all()]
    videos = sorted({frame.video for frame in frames})
    if len(videos) != 2:
        raise DataError(
            f"{options.data} holds {len(videos)} videos; this recipe judges two, each on the other"
        )
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        pending = {
            video: pool.submit(run, video, frames, rounds, options.runs / f"without-{video}")
            for video in (_ALL, videos[1], videos[0])
        }
        states = {video: future.result() for video, future in pending.items()}

    scale = max(frames[0].image.shape) / recipe.size
    held_out = {
        video: _answers(
            states[video], [prepare(each.image, each.xy) for each in frames if each.video == video], recipe
        )
        for video in videos
    }
    calibration, cross_fitted = _cross_fit(held_out)
    metrics = _metrics(held_out, frames, scale, cross_fitted)
    simulated = simulated_pictures(SIMULATED_TEST, SIMULATED_TEST_SEED)
    seen = [index for index in range(labels.shape[1]) if index not in untrained]
    metrics["simulated_mice_not_trained_on"] = error_summary(
        _answers(states[_ALL], simulated, recipe).only(seen).distance, 1.0
    ) | {"unit": "pixels of the network's input", "mice": "wide random looks"}
    _write(options.out, states[_ALL], calibration, untrained, metrics, rounds, options, len(frames))


def _without_wrong_labels(frame: LabelledFrame) -> LabelledFrame:
    wrong = [FACEMAP_KEYPOINTS.index(name) for name in WRONG_LABELS.get(frame.name, ())]
    xy = frame.xy.copy()
    xy[wrong] = np.nan
    return replace(frame, xy=xy)


def _answers(state: State, pictures: Sequence[Picture], recipe: Recipe) -> Answers:
    network = build_network(ARCHITECTURE).network
    network.load_state_dict(state)
    return answer(network, pictures, recipe.size)


def _cross_fit(held_out: dict[str, Answers]) -> tuple[tuple[float, float], dict[str, Any]]:
    """Fit the score's calibration on all held-out answers; judge it by fitting on one video and looking at the other."""
    videos = sorted(held_out)
    scores: list[FloatArray] = []
    distances: list[FloatArray] = []
    for video, other in zip(videos, reversed(videos), strict=True):
        slope, intercept = fit_calibration(held_out[other], RADIUS_PX)
        scores.append(calibrated(held_out[video].score, slope, intercept))
        distances.append(held_out[video].distance)
    everything = Answers(
        np.concatenate([held_out[video].distance for video in videos]),
        np.concatenate([held_out[video].score for video in videos]),
    )
    judged = reliability(np.concatenate(scores), np.concatenate(distances), RADIUS_PX)
    return fit_calibration(everything, RADIUS_PX), judged


def _metrics(
    held_out: dict[str, Answers], frames: Sequence[LabelledFrame], scale: float, cross_fitted: dict[str, Any]
) -> dict[str, Any]:
    by_video = {video: error_summary(answers.distance, scale) for video, answers in held_out.items()}
    baseline = {}
    for video in held_out:
        mean = np.nanmean(np.stack([frame.xy for frame in frames if frame.video != video]), axis=0)
        test = np.stack([frame.xy for frame in frames if frame.video == video])
        baseline[video] = error_summary(np.linalg.norm(test - mean, axis=2).astype(np.float32), 1.0)[
            "mean_px"
        ]
    return {
        "what": "errors on each video of the same recipe trained on the other video and simulated mice; the shipped "
        "weights were trained on both, so these are estimates of their error on a new video of this rig",
        "unit": "pixels of the 864x646 frame",
        "labels_left_out": {name: list(keypoints) for name, keypoints in WRONG_LABELS.items()},
        "held_out": by_video,
        "mean_position_baseline_mean_px": baseline,
        "score_reliability": cross_fitted
        | {
            "radius_network_px": RADIUS_PX,
            "how": "fitted on one video's held-out answers, judged on the other's",
        },
    }


def _write(
    out: Path,
    state: State,
    calibration: tuple[float, float],
    untrained: Sequence[int],
    metrics: dict[str, Any],
    rounds: Sequence[Recipe],
    options: argparse.Namespace,
    frames: int,
) -> None:
    recipe = rounds[0]
    whole = build_network(ARCHITECTURE)
    whole.network.load_state_dict(state)
    whole.decode.load_state_dict(
        {"slope": torch.tensor(calibration[0]), "intercept": torch.tensor(calibration[1])}
    )
    with tempfile.TemporaryDirectory() as made:
        model, weights = Path(made) / MODEL_FILE, Path(made) / WEIGHTS_FILE
        export_onnx(whole.eval(), model, family=FAMILY, input_size=recipe.size)
        torch.save(whole.state_dict(), weights)
        fields = {
            "description": "rtface's first network for a mouse's face in side view, small enough for a CPU",
            "created": options.created,
            "licence": "BSD-3-Clause; trained on images under the MIT licence and on simulated ones",
            "architecture": ARCHITECTURE,
            "keypoints": tuple(
                KeypointEntry(name=name, trained=index not in untrained)
                for index, name in enumerate(FACEMAP_KEYPOINTS)
            ),
            "input": InputSpec(size=recipe.size),
            "resample": ResampleSpec(half_pixel=True),
            "decode": DecodeSpec(method="mean of the probabilities round the peak", columns=columns(FAMILY)),
            "score": ScoreSpec(
                definition=f"probability that the point is within {RADIUS_PX:g} pixels of the network's input",
                calibrated=True,
                radius_px=RADIUS_PX,
            ),
            "training": {
                "data": f"{frames} labelled frames of one mouse, two videos (ViT_facemap, MIT), and "
                f"{SIMULATED_TRAINING} simulated pictures",
                "command": "python -m rtface.learn.ship --data FOLDER --out engines/face-1 "
                f"--steps {recipe.steps} --created {options.created}",
                "seed": recipe.seed,
                "steps": [each.steps for each in rounds],
                "batch": recipe.batch,
            },
            "metrics": metrics,
        }
        write_engine(out, {MODEL_FILE: model, WEIGHTS_FILE: weights}, fields, overwrite=True)


if __name__ == "__main__":
    main()

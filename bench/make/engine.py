"""Make a shipped engine: ``python -m bench.make.engine --data FOLDER --out engines/face-2 --runs RUNS``.

Three trainings of one recipe: on each of the two videos, tested on the other, and on all frames. The first two give
the stated errors and the calibration of the score; the third gives the weights. Each has rounds: one with strong
augmentation, so that the network learns faces and not this rig's frames, and shorter ones with gentler augmentation,
which make it precise. What lies in the folder of runs already is gone on from, or used as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.result import parser_of
from bench.tracker.other_rigs import EYE, REPEATED, training_pictures
from bench.tracker.side_view import WRONG_LABELS, read_side_view
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import DataError
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.learn.engines.bundle import save_engine
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.resumable import run_in_folder
from rtface.learn.run_folder import open_run
from rtface.learn.tracker.calibration import RADIUS_PX, fit_calibration, reliability
from rtface.learn.tracker.card import model_card
from rtface.learn.tracker.evaluation import Predictions, evaluate, predict, set_calibration
from rtface.learn.tracker.families import architecture
from rtface.learn.tracker.labelled_frames import pictures_of
from rtface.learn.tracker.optimise import Recipe, Training
from rtface.learn.tracker.samples import Augmentation, Picture, simulated_pictures
from rtface.networks.build import build_network
from rtface.networks.graph import NetworkWithDecode
from rtface.track.manifest import WEIGHTS_FILE, KeypointEntry

STRONG = Recipe(steps=2000, simulated_share=0.4)
GENTLE = Recipe(
    steps=1200,
    learning_rate=2e-3,
    simulated_share=0.35,
    augmentation=Augmentation(
        rotation_deg=8.0,
        zoom=1.15,
        shift=0.06,
        stretch=1.04,
        flip=0.25,
        contrast=0.25,
        gamma=1.3,
        blur=0.2,
        noise=0.04,
        occlusion=0.2,
    ),
)
_EYE = tuple(FACEMAP_KEYPOINTS.index(name) for name in EYE)
WIDE = replace(
    STRONG,
    steps=2400,
    simulated_share=0.35,
    augmentation=Augmentation(
        rotation_deg=25.0,
        zoom=1.6,
        shift=0.15,
        stretch=1.15,
        contrast=0.45,
        gamma=2.0,
        blur=0.35,
        occlusion=0.35,
        pupil=0.25,
        eye=_EYE,
    ),
)
FINE = replace(
    GENTLE,
    steps=1400,
    augmentation=replace(
        GENTLE.augmentation,
        rotation_deg=10.0,
        zoom=1.2,
        shift=0.07,
        stretch=1.05,
        flip=0.3,
        pupil=0.1,
        eye=_EYE,
    ),
)
SHARP = replace(
    GENTLE,
    steps=800,
    learning_rate=1e-3,
    simulated_share=0.25,
    seed=5,
    augmentation=replace(GENTLE.augmentation, zoom=1.2, stretch=1.05, pupil=0.05, eye=_EYE),
)
ROUNDS = {"fast": (WIDE, FINE, SHARP)}
"""Of a family that has others than STRONG and GENTLE: it learns from other rigs, too, and so from wider pictures."""
SIMULATED_TRAINING, SIMULATED_SEED = 2400, 100_000
SIMULATED_VIEWS = 80
SIMULATED_TEST, SIMULATED_TEST_SEED = 200, 900_000
LICENCE = "BSD-3-Clause; trained on images under the MIT licence and on simulated ones"
_ALL = "none"
_REPORT_EVERY = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained, alike for each way of holding out."""

    family: str
    rounds: tuple[Recipe, ...]
    simulated: int
    runs: Path
    other_rigs: Path | None = None
    left_out: tuple[str, ...] = ()
    """Sets of other rigs that are not learnt from."""

    @property
    def other_pictures(self) -> list[Picture]:
        """Frames of other rigs, as training takes them; none unless they were asked for."""
        return [] if self.other_rigs is None else training_pictures(self.other_rigs, self.left_out)

    @property
    def other_facts(self) -> dict[str, Any]:
        """What is recorded of them."""
        if self.other_rigs is None:
            return {}
        return {"other_rigs": {name: n for name, n in REPEATED.items() if name not in self.left_out}}


def run(held_out: str, labels: LabelSet, plan: Plan) -> Path:
    """Train on all frames but those of one video and return the file of weights; runs in a process of its own."""
    torch.set_num_threads(1)
    configuration = {
        "family": plan.family,
        "held_out": held_out,
        "simulated": plan.simulated,
        "rounds": [asdict(recipe) for recipe in plan.rounds],
    } | plan.other_facts
    folder = open_run(plan.runs / f"{plan.family}-without-{held_out}", configuration)
    weights = folder.folder / WEIGHTS_FILE
    if folder.finished:
        return weights
    training_set = labels.without([held_out])
    real = pictures_of(training_set) + plan.other_pictures
    simulated = simulated_pictures(plan.simulated, SIMULATED_SEED)
    shape = architecture(plan.family, labels.keypoints)
    whole = build_network(shape, plan.rounds[0].seed)
    for number, recipe in enumerate(plan.rounds, start=1):
        name = f"round-{number}"
        training = Training(whole.network, shape["name"], real, simulated, recipe)
        progress = _Report(f"held out {held_out}: {name}", recipe.steps)
        whole.network = run_in_folder(folder, name, training, progress=progress)
    torch.save(whole.state_dict(), weights)
    folder.write_report({"frames": len(training_set), "labels": training_set.labels})
    return weights


class _Report:
    """Prints now and then how far a training is."""

    def __init__(self, what: str, steps: int) -> None:
        self._what, self._steps, self._began_ns = what, steps, monotonic_ns()

    def __call__(self, step: int, loss: float) -> None:
        if step % _REPORT_EVERY == 0 or step == self._steps:
            minutes = (monotonic_ns() - self._began_ns) / NS_PER_S / 60
            sys.stderr.write(
                f"{self._what}, step {step} of {self._steps}, loss {loss:.3f}, {minutes:.1f} min\n"
            )


def main(given: Sequence[str] | None = None) -> None:
    """Train, evaluate, calibrate, export."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv and frames/")
    parser.add_argument("--out", type=Path, required=True, help="the engine's folder")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where to keep what was done")
    parser.add_argument("--family", default="small", help="small, fast or tiny")
    parser.add_argument("--other-rigs", type=Path, help="labelled frames of other rigs to learn from, too")
    parser.add_argument("--steps", type=int, help="of the first round; the others have their share of them")
    parser.add_argument("--simulated", type=int, default=SIMULATED_TRAINING, help="simulated pictures")
    parser.add_argument("--workers", type=int, default=1, help="trainings at the same time, one core each")
    options = parser.parse_args(given)

    labels = read_side_view(options.data)
    if len(labels.videos) != 2:
        raise DataError(
            f"{options.data} holds {len(labels.videos)} videos; this recipe takes two, each tested on the other"
        )
    planned = ROUNDS.get(options.family, (STRONG, GENTLE))
    share = (options.steps or planned[0].steps) / planned[0].steps
    rounds = tuple(replace(each, steps=max(1, round(each.steps * share))) for each in planned)
    plan = Plan(options.family, rounds, options.simulated, options.runs, options.other_rigs)
    held_out = (*labels.videos, _ALL)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        pending = {video: pool.submit(run, video, labels, plan) for video in held_out}
        weights = {video: future.result() for video, future in pending.items()}
    _ship(labels, plan, weights, options.out)


def _ship(labels: LabelSet, plan: Plan, weights: dict[str, Path], out: Path) -> None:
    """Evaluate the two networks that were trained on one video, calibrate the third by them, and write all as engines."""
    shape = architecture(plan.family, labels.keypoints)
    size = plan.rounds[0].size
    entries = [KeypointEntry(name=name, trained=name in labels.labelled) for name in labels.keypoints]
    found: dict[str, Predictions] = {}
    by_video: dict[str, Any] = {}
    given = "" if plan.other_rigs is None else " --other-rigs OTHER_RIGS"
    how = {
        "command": f"python -m bench.make.engine --data SIDE_VIEW --out engines/{out.name} "
        f"--family {plan.family} --steps {plan.rounds[0].steps} --simulated {plan.simulated}{given}",
        "rounds": [asdict(recipe) for recipe in plan.rounds],
    } | plan.other_facts
    others = (
        "" if plan.other_rigs is None else ", frames of other rigs (ibllib, DeepEnsampleGUI, cheese3d; MIT)"
    )
    for video in labels.videos:
        network = load(shape, weights[video])
        evaluation = evaluate(network, pictures_of(labels.only([video])), labels.keypoints, size)
        found[video], by_video[video] = evaluation.predictions, evaluation.metrics
        save_engine(
            network,
            plan.runs / f"{out.name}-without-{video}".lower(),
            model_card(
                shape,
                entries,
                size=size,
                square=False,
                calibrated=evaluation.calibrated,
                description=f"{out.name} trained without the video {video}, for benchmarks",
                licence=LICENCE,
                training=how | {"held_out": video},
                metrics={"held_out": evaluation.metrics},
            ),
            views=pictures_of(labels.without([video])),
            overwrite=True,
        )
    network = load(shape, weights[_ALL])
    metrics = {
        "what": "errors on each video of the same recipe trained on the other video and simulated mice; the shipped "
        "weights were trained on both, so these are estimates of their error on a new video of this rig",
        "unit": "pixels of the 864x646 frame",
        "labels_left_out": {name: list(keypoints) for name, keypoints in WRONG_LABELS.items()},
        "held_out": by_video,
        "mean_position_baseline_mean_px": {
            video: _mean_position_error(labels, video) for video in labels.videos
        },
        "score_reliability": _crossed_reliability(found)
        | {
            "radius_network_px": RADIUS_PX,
            "how": "fitted on one video's held-out answers, judged on the other's",
        },
        "simulated_mice_not_trained_on": _simulated_errors(network, entries, size),
    }
    set_calibration(network, fit_calibration(_joined(list(found.values()))))
    save_engine(
        network,
        out,
        model_card(
            shape,
            entries,
            size=size,
            square=False,
            calibrated=True,
            description=f"a mouse's face in side view, {plan.family}: for a CPU",
            licence=LICENCE,
            training=how
            | {
                "data": f"{len(labels)} labelled frames of one mouse, two videos (ViT_facemap, MIT){others}, and "
                f"{plan.simulated} simulated pictures"
            },
            metrics=metrics,
        ),
        views=pictures_of(labels)[::2]
        + plan.other_pictures
        + simulated_pictures(SIMULATED_VIEWS, SIMULATED_SEED),
        overwrite=True,
    )


def load(shape: dict[str, Any], weights: Path) -> NetworkWithDecode:
    """Return the network that `run` trained."""
    network = build_network(shape)
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network


def _joined(found: Sequence[Predictions]) -> Predictions:
    return Predictions(
        *(np.concatenate([getattr(each, name) for each in found]) for name in ("distance", "score", "scale"))
    )


def _crossed_reliability(found: dict[str, Predictions]) -> dict[str, Any]:
    """Return the reliability of the scores of each video by a calibration that was fitted on the other."""
    first, second = found.values()
    scores = [fit_calibration(second).apply(first.score), fit_calibration(first).apply(second.score)]
    return reliability(np.concatenate(scores), np.concatenate([first.distance, second.distance]))


def _mean_position_error(labels: LabelSet, video: str) -> float:
    """Return the mean error of saying, on each frame, where the keypoints of the other video lie on average."""
    named = labels.arranged(labels.labelled)
    mean = np.nanmean(np.stack([frame.xy for frame in named.without([video]).frames]), axis=0)
    distance = [np.linalg.norm(frame.xy - mean, axis=1) for frame in named.only([video]).frames]
    return float(error_summary(np.array(distance, np.float32), named.keypoints)["mean_px"])


def _simulated_errors(
    network: NetworkWithDecode, entries: Sequence[KeypointEntry], size: int
) -> dict[str, Any]:
    found = predict(network, simulated_pictures(SIMULATED_TEST, SIMULATED_TEST_SEED), size)
    found.distance[:, [not entry.trained for entry in entries]] = np.nan
    return error_summary(found.distance, [entry.name for entry in entries]) | {
        "unit": "pixels of the network's input",
        "mice": "wide random looks",
    }


if __name__ == "__main__":
    main()

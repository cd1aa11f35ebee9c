"""Does training on simulated mice help on a real one? The shipped recipe with and without them, held out by video.

Both sides have the same steps, batches and real frames; without simulated pictures each batch is real ones alone.
Trainings that lie in RUNS already (from ``python -m bench.make.engine``) are used as they are.

    python -m bench.tracker.ablation --data SIDE_VIEW --runs RUNS
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.make.engine import GENTLE, SIMULATED_TRAINING, STRONG, Plan, run
from bench.result import RESULTS, parser_of, write
from bench.tracker.intervals import difference_interval
from bench.tracker.side_view import read_side_view
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.evaluation import Predictions, predict
from rtface.learn.tracker.families import architecture
from rtface.learn.tracker.labelled_frames import pictures_of
from rtface.networks.build import build_network


def predictions_without(labels: LabelSet, video: str, plan: Plan) -> Predictions:
    """Train without a video, unless that was done before, and return what it finds there."""
    network = build_network(architecture(plan.family, labels.keypoints))
    network.load_state_dict(torch.load(run(video, labels, plan), weights_only=True))
    return predict(network, pictures_of(labels.only([video])), plan.rounds[0].size)


def main() -> None:
    """Train what is missing, compare and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv and frames/")
    parser.add_argument("--runs", type=Path, required=True, help="where trainings are kept")
    parser.add_argument("--family", default="small")
    parser.add_argument("--out", type=Path, default=RESULTS / "ablation_simulated.json")
    options = parser.parse_args()
    labels = read_side_view(options.data)
    rounds = (STRONG, GENTLE)
    with_mice = Plan(options.family, rounds, SIMULATED_TRAINING, options.runs)
    without = Plan(options.family, rounds, 0, options.runs / "no-simulation")
    result: dict[str, Any] = {
        "command": f"python -m bench.tracker.ablation --data SIDE_VIEW --runs RUNS --family {options.family}",
        "unit": "pixels of the 864x646 frame; difference: with simulated mice less without, 95 % interval by frames",
        "steps": [each.steps for each in rounds],
        "held_out": {},
    }
    for video in labels.videos:
        pair = [predictions_without(labels, video, plan).camera_distance for plan in (with_mice, without)]
        result["held_out"][video] = {
            "with_simulated_mice": error_summary(pair[0], labels.keypoints),
            "without": error_summary(pair[1], labels.keypoints),
            "difference": difference_interval(pair[0], pair[1]),
        }
    write(options.out, result)
    for video, found in result["held_out"].items():
        means = [found[name]["mean_px"] for name in ("with_simulated_mice", "without")]
        print(f"{video}: {means[0]} px with, {means[1]} px without, difference {found['difference']}")


if __name__ == "__main__":
    main()

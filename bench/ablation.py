"""Does training on simulated mice help on a real one? The shipped recipe with and without them, held out by video.

Both sides have the same steps, batches and real frames; without simulated pictures each batch is real ones alone.
Trainings that lie in RUNS already (from ``python bench/ship.py``) are used as they are.

    python bench/ablation.py --data SIDE_VIEW --runs RUNS
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from intervals import difference_interval
from ship import GENTLE, SIMULATED_TRAINING, STRONG, Plan, read_side_view, run

from rtface.core.machine import run_facts
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.evaluation import Predictions, predict
from rtface.learn.tracker.families import architecture
from rtface.learn.tracker.labelled_frames import pictures_of
from rtface.networks.build import build_network

RESULTS = Path(__file__).resolve().parent / "results"


def predictions_without(labels: LabelSet, video: str, plan: Plan) -> Predictions:
    """Train without a video, unless that was done before, and return what it finds there."""
    network = build_network(architecture(plan.family, labels.keypoints))
    network.load_state_dict(torch.load(run(video, labels, plan), weights_only=True))
    return predict(network, pictures_of(labels.only([video])), plan.rounds[0].size)


def main() -> None:
    """Train what is missing, compare and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv and frames/")
    parser.add_argument("--runs", type=Path, required=True, help="where trainings are kept")
    parser.add_argument("--family", default="small")
    parser.add_argument("--out", type=Path, default=RESULTS / "ablation_simulated.json")
    options = parser.parse_args()
    labels = read_side_view(options.data)
    rounds = (STRONG, GENTLE)
    with_mice = Plan(options.family, rounds, SIMULATED_TRAINING, options.runs)
    without = Plan(options.family, rounds, 0, options.runs / "no-simulation")
    result: dict[str, Any] = run_facts() | {
        "command": f"python bench/ablation.py --data SIDE_VIEW --runs RUNS --family {options.family}",
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
    options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for video, found in result["held_out"].items():
        means = [found[name]["mean_px"] for name in ("with_simulated_mice", "without")]
        print(f"{video}: {means[0]} px with, {means[1]} px without, difference {found['difference']}")


if __name__ == "__main__":
    main()

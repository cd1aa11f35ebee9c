"""How many labelled frames a rig needs: error against number of frames, from a trained network and from scratch.

Within the rig, the network was trained on one video and is adapted on frames of the other, drawn at random. On three
rigs that it never saw (hand, fingers, tongue and joystick; a rat from above; a face from below) all keypoints are new;
each is one clip or a few, so no interval is given. Frames that judge are the same for every number of frames of a seed,
and none of them is ever trained on. So that all trainings fit into an hour of one core, steps and blends are fixed ones
(`bench.tracker.fewshot_plan`), not found on held-out frames as `rtface learn adapt` finds them; the errors at the other
blends are kept beside.

    python -m bench.tracker.fewshot run --side-view SIDE_VIEW --hand HAND_TONGUE --other-rigs OTHER_RIGS --runs RUNS
    python -m bench.tracker.fewshot report --runs RUNS
    python -m bench.tracker.fewshot adapt --side-view SIDE_VIEW --runs RUNS

`run` keeps each result as a line in RUNS/fewshot.jsonl and goes on from there; `adapt` is the verb, end to end, with 10
frames, and its wall time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.result import parser_of, write
from bench.tracker.fewshot_plan import (
    ADAPTED,
    LINES,
    PLAN,
    RIGS,
    SCRATCH_STEPS,
    SEEDS,
    Job,
    Rig,
    jobs,
    read_lines,
)
from bench.tracker.fewshot_report import report
from bench.tracker.other_rigs import read_own_keypoints
from bench.tracker.side_view import read_side_view
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.labels.reading import read_labels
from rtface.learn.resumable import run_training
from rtface.learn.tracker.adapt import adapt
from rtface.learn.tracker.adapt_request import NEW_RATE, AdaptRequest
from rtface.learn.tracker.evaluation import predict
from rtface.learn.tracker.fine_tune import TUNING, blended, fine_tune, train_new_keypoints
from rtface.learn.tracker.labelled_frames import pictures_of
from rtface.learn.tracker.optimise import Training
from rtface.learn.tracker.samples import Picture
from rtface.learn.tracker.step_search import trial_for_few
from rtface.networks.build import build_network
from rtface.networks.graph import NetworkWithDecode
from rtface.networks.surgery import with_keypoints
from rtface.track.store import Engine, load_engine, trainable_source
from rtface.track.torch_graph import torch_network

VIDEO = "cam1_G7c1_1"
BLENDS = (0.25, 0.5, 0.75, 1.0)


def split(labels: LabelSet, rig: Rig, frames: int, seed: int) -> tuple[list[Picture], list[Picture]]:
    """Return what to train on and what to judge by."""
    order = np.random.default_rng(seed).permutation(len(labels))
    pictures = pictures_of(labels)
    return [pictures[i] for i in order[:frames]], [pictures[i] for i in order[-rig.judging :]]


def errors(network: NetworkWithDecode, pictures: Sequence[Picture], names: Sequence[str]) -> dict[str, Any]:
    """Return the errors in camera pixels."""
    return error_summary(predict(network, pictures, TUNING.size).camera_distance, names)


def work(job: Job, labels: LabelSet, parent: Engine) -> dict[str, Any]:
    """Do one training and judge it."""
    names = labels.keypoints
    training, judging = split(labels, RIGS[job.rig], job.frames, job.seed)
    architecture = parent.manifest.architecture
    before, architecture = with_keypoints(torch_network(parent), architecture, parent.manifest.names, names)
    plan = PLAN[job.rig, job.frames]
    recipe = replace(TUNING, seed=job.seed, steps=plan.steps, size=parent.manifest.input.size)
    result: dict[str, Any] = {"parent": parent.manifest.name, "parent_sha256": parent.sha256}
    if job.start == "scratch":
        torch.manual_seed(job.seed)
        network = build_network(architecture)
        recipe = replace(recipe, steps=SCRATCH_STEPS, learning_rate=NEW_RATE)
        network.network = run_training(Training(network.network, architecture["name"], training, [], recipe))
        return result | {"steps": recipe.steps, "error": errors(network, judging, names)}
    trained = {entry.name for entry in parent.manifest.keypoints if entry.trained}
    new = [place for place, name in enumerate(names) if name not in trained]
    known = [place for place, name in enumerate(names) if name in trained]
    has_new = [place for place in new if names[place] in labels.labelled]
    if has_new:
        recipe = replace(
            recipe, learning_rate=NEW_RATE if len(has_new) > len(known) else recipe.learning_rate
        )
    blend = plan.blend
    if blend is None:
        blend = trial_for_few(before, training, recipe, known, has_new).blend
    if not has_new:
        result["untouched"] = errors(before, judging, names)
    else:
        before = train_new_keypoints(before, architecture["name"], training, has_new, recipe)
    after = fine_tune(before, architecture["name"], training, recipe)
    tried = sorted({*BLENDS, blend})
    by_blend = {share: errors(blended(before, after, share), judging, names) for share in tried}
    return result | {
        "steps": recipe.steps,
        "blend": blend,
        "error": by_blend[blend],
        "mean_by_blend": {str(share): error["mean_px"] for share, error in by_blend.items()},
    }


def run(options: argparse.Namespace) -> None:
    """Do all trainings that are not done yet."""
    torch.set_num_threads(options.threads)
    options.runs.mkdir(parents=True, exist_ok=True)
    never_saw = trainable_source(load_engine(options.engine))
    what = {
        "other video": (read_side_view(options.side_view).only([VIDEO]), _within(options)),
        "other rig": (read_labels(options.hand), never_saw),
        "rat from above": (read_own_keypoints(options.other_rigs / "tufts_rat_whisking"), never_saw),
        "face from below": (read_own_keypoints(options.other_rigs / "aind_bottom_face_pseudo"), never_saw),
    }
    path = options.runs / LINES
    done = {(each["rig"], each["start"], each["frames"], each["seed"]) for each in read_lines(path)}
    for job in jobs():
        if (job.rig, job.start, job.frames, job.seed) in done or job.seed >= options.seeds:
            continue
        began_ns = monotonic_ns()
        result = asdict(job) | work(job, *what[job.rig])
        result["seconds"] = round((monotonic_ns() - began_ns) / NS_PER_S, 1)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
        error = result["error"]
        print(
            f"{job.rig}, {job.start}, n={job.frames}, seed {job.seed}: mean {error['mean_px']}, median "
            f"{error['median_px']} px, {result['seconds']} s",
            flush=True,
        )


def _within(options: argparse.Namespace) -> Engine:
    return trainable_source(load_engine(str(options.runs / f"{options.parents}-without-{VIDEO}".lower())))


def end_to_end(options: argparse.Namespace) -> None:
    """Adapt with 10 frames as a user would, with the search for its own stopping, and take the time."""
    torch.set_num_threads(options.threads)
    labels = read_side_view(options.side_view).only([VIDEO])
    order = np.random.default_rng(options.seed).permutation(len(labels))
    chosen = LabelSet(labels.keypoints, tuple(labels.frames[place] for place in order[:10]))
    judging = pictures_of(LabelSet(labels.keypoints, tuple(labels.frames[place] for place in order[10:])))
    parent = _within(options)
    folder = options.runs / f"fewshot-adapted-{options.seed}"
    began_ns = monotonic_ns()
    done = adapt(
        AdaptRequest(
            engine=parent,
            labels=chosen,
            folder=folder,
            run=options.runs / f"fewshot-adapt-{options.seed}-{began_ns}",
            recipe=replace(TUNING, seed=options.seed),
            overwrite=True,
        )
    )
    minutes = (monotonic_ns() - began_ns) / NS_PER_S / 60
    assert done is not None
    figures = {
        "frames": 10,
        "threads": options.threads,
        "minutes": round(minutes, 2),
        "steps": done.report["steps"],
        "blend": done.report["blend"],
        "ended_by_time": done.report["ended_by_time"],
        "judged_on_frames": len(judging),
        "before": errors(torch_network(parent), judging, labels.keypoints),
        "after": errors(torch_network(done.engine), judging, labels.keypoints),
    }
    write(options.runs / ADAPTED, figures)
    print(json.dumps(figures, indent=2))


def main() -> None:
    """Run, report, or adapt once."""
    parser = parser_of(__doc__)
    parser.add_argument("what", choices=("run", "report", "adapt"))
    parser.add_argument("--side-view", type=Path, help="folder of mouse_face_side_view")
    parser.add_argument("--hand", type=Path, help="folder of mouse_hand_tongue_labelled")
    parser.add_argument("--other-rigs", type=Path, help="folder of other_rigs")
    parser.add_argument("--runs", type=Path, required=True, help="where the parents are and results are kept")
    parser.add_argument(
        "--parents", default="face-3", help="PARENTS-without-VIDEO is the engine within the rig"
    )
    parser.add_argument("--engine", default="face-3", help="what starts on the other rig")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--seed", type=int, default=0, help="of `adapt`")
    options = parser.parse_args()
    if options.what == "report":
        report(options.runs)
    else:
        {"run": run, "adapt": end_to_end}[options.what](options)


if __name__ == "__main__":
    main()

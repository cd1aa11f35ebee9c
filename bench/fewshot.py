"""How many labelled frames a rig needs: error against number of frames, from a trained network and from scratch.

Within the rig, the network was trained on one video and is adapted on frames of the other, drawn at random; on the
other rig (hand, fingers, tongue, joystick) all keypoints are new. Frames that judge are the same for every number of
frames of a seed, and none of them is ever trained on. So that all trainings fit into 40 minutes of one core, steps and
blends are fixed ones (`PLAN`), not found on held-out frames as `rtface learn adapt` finds them; the errors at the
other blends are kept beside.

    python bench/fewshot.py run --side-view SIDE_VIEW --hand HAND_TONGUE --runs RUNS --engine face-2
    python bench/fewshot.py report --runs RUNS
    python bench/fewshot.py adapt --side-view SIDE_VIEW --runs RUNS --engine face-2

`run` keeps each result as a line in RUNS/fewshot.jsonl and goes on from there; `adapt` is the verb, end to end, with 10
frames, and its wall time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ship import read_side_view

from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.machine import run_facts
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

RESULTS = Path(__file__).resolve().parent / "results"
LINES = "fewshot.jsonl"
VIDEO = "cam1_G7c1_1"
SEEDS = 5
BLENDS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Rig:
    """Numbers of frames to train on and how many, the last in each seed's order, judge."""

    frames: tuple[int, ...]
    judging: int


RIGS = {"other video": Rig((1, 3, 10, 30, 80), 32), "other rig": Rig((1, 3, 10, 40), 15)}
STARTS = ("trained", "scratch")


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps and blend of one training; a blend of None is that of `rtface.learn.tracker.step_search.trial_for_few`."""

    steps: int
    blend: float | None = None


SCRATCH_STEPS = 250
PLAN = {
    ("other video", 1): Steps(80),
    ("other video", 3): Steps(80),
    ("other video", 10): Steps(80, 0.5),
    ("other video", 30): Steps(120, 0.75),
    ("other video", 80): Steps(200, 1.0),
    ("other rig", 1): Steps(120, 1.0),
    ("other rig", 3): Steps(120, 1.0),
    ("other rig", 10): Steps(160, 1.0),
    ("other rig", 40): Steps(200, 1.0),
}


@dataclass(frozen=True, slots=True)
class Job:
    """One training."""

    rig: str
    start: str
    frames: int
    seed: int


def jobs() -> list[Job]:
    """Return all trainings, one seed of everything first."""
    return [
        Job(rig, start, frames, seed)
        for seed in range(SEEDS)
        for start in STARTS
        for rig, what in RIGS.items()
        for frames in what.frames
    ]


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
    side, hand = read_side_view(options.side_view), read_labels(options.hand)
    what = {
        "other video": (side.only([VIDEO]), _within(options)),
        "other rig": (hand, trainable_source(load_engine(options.engine))),
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


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the results that are there; a last line that was cut off by an end in mid-writing is left out."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def report(options: argparse.Namespace) -> None:
    """Write the table and the picture of what there is."""
    lines = read_lines(options.runs / LINES)
    if not lines:
        raise SystemExit(f"{options.runs / LINES} holds no result yet: run first")
    curves: dict[str, Any] = {}
    for rig, what in RIGS.items():
        for start in STARTS:
            points = {}
            for frames in what.frames:
                here = [
                    each
                    for each in lines
                    if (each["rig"], each["start"], each["frames"]) == (rig, start, frames)
                ]
                if here:
                    points[frames] = _point(here)
            if points:
                curves[f"{rig}, {start}"] = _curve(points)
        before = {
            each["seed"]: each["untouched"] for each in lines if each["rig"] == rig and "untouched" in each
        }
        if before:
            curves[f"{rig}, untouched"] = {
                "0": {key: _median(before.values(), key) for key in ("mean_px", "median_px", "p90_px")}
            }
    whole = {
        "what": "errors in camera pixels on frames never trained on; medians over seeds of each seed's figure",
        "plan": [
            {"rig": rig, "frames": frames, "steps": plan.steps, "blend": plan.blend or "few_frames"}
            for (rig, frames), plan in PLAN.items()
        ],
        "scratch_steps": SCRATCH_STEPS,
        "recipe": asdict(TUNING),
        "parents": sorted({each["parent"] for each in lines}),
        "training_seconds": round(sum(each["seconds"] for each in lines), 1),
        "adapt": json.loads(path.read_text())
        if (path := options.runs / "fewshot_adapt.json").exists()
        else None,
        "curves": curves,
        **run_facts(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "fewshot.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    draw(curves, RESULTS / "fewshot.png")
    for name, curve in curves.items():
        print(name)
        for frames, point in curve.items():
            if isinstance(point, dict):
                print(f"  n={frames:>3}: " + ", ".join(f"{k} {v}" for k, v in point.items()))
            else:
                print(f"  {frames}: {point}")


def _point(here: Sequence[dict[str, Any]]) -> dict[str, Any]:
    errors_ = [each["error"] for each in here]
    return {
        "seeds": len(here),
        **{key: _median(errors_, key) for key in ("mean_px", "median_px", "p90_px")},
        "mean_px_by_seed": [error["mean_px"] for error in errors_],
        "median_px_by_seed": [error["median_px"] for error in errors_],
    }


def _median(errors_: Any, key: str) -> float:
    return round(float(np.median([error[key] for error in errors_])), 2)


def _curve(points: dict[int, dict[str, Any]]) -> dict[str, Any]:
    curve: dict[str, Any] = {str(frames): point for frames, point in points.items()}
    most = max(points)
    if 10 in points and most > 10:
        for key in ("mean_px", "median_px"):
            pairs = zip(points[10][f"{key}_by_seed"], points[most][f"{key}_by_seed"], strict=False)
            ratios = [round(ten / all_, 3) for ten, all_ in pairs]
            curve[f"10 frames over {most}, {key}"] = round(float(np.median(ratios)), 3)
            curve[f"10 frames over {most}, {key}, by seed"] = ratios
    return curve


def draw(curves: dict[str, Any], path: Path) -> None:
    """Draw mean error against frames: the median of the seeds as a line, each seed as a dot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, rig in zip(figure.subplots(1, 2), RIGS, strict=True):
        for color, start in zip(("C0", "C1"), STARTS, strict=True):
            curve = curves.get(f"{rig}, {start}", {})
            points = {int(frames): point for frames, point in curve.items() if frames.isdigit()}
            axes.plot(list(points), [point["mean_px"] for point in points.values()], color=color, label=start)
            for frames, point in points.items():
                axes.plot([frames] * point["seeds"], point["mean_px_by_seed"], ".", color=color, alpha=0.6)
        if untouched := curves.get(f"{rig}, untouched"):
            axes.axhline(untouched["0"]["mean_px"], color="0.5", linestyle="--", label="trained, not adapted")
        axes.set(
            title=rig, xlabel="labelled frames", ylabel="mean error (camera px)", xscale="log", yscale="log"
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("{x:g}")
        axes.set_xticks(RIGS[rig].frames, minor=False)
        axes.set_xticks([], minor=True)
        axes.legend()
    figure.savefig(path, dpi=120)


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
        **run_facts(),
    }
    text = json.dumps(figures, indent=2)
    (options.runs / "fewshot_adapt.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def main() -> None:
    """Run, report, or adapt once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("run", "report", "adapt"))
    parser.add_argument("--side-view", type=Path, help="folder of mouse_face_side_view")
    parser.add_argument("--hand", type=Path, help="folder of mouse_hand_tongue_labelled")
    parser.add_argument("--runs", type=Path, required=True, help="where the parents are and results are kept")
    parser.add_argument(
        "--parents", default="face-2", help="PARENTS-without-VIDEO is the engine within the rig"
    )
    parser.add_argument("--engine", default="default", help="what starts on the other rig")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--seed", type=int, default=0, help="of `adapt`")
    options = parser.parse_args()
    {"run": run, "report": report, "adapt": end_to_end}[options.what](options)


if __name__ == "__main__":
    main()

"""Error and time of rtface's engines beside Facemap's network and sleap-nn's, same labels, same split, same machine.

Each competitor is trained on one of two videos and judged on the other, in both directions. RUNS is a folder outside
the project that keeps what each one found; PEER is the Python of an environment of the peer's own
(`.ci/facemap-environment`, `.ci/sleap-environment`). An engine that was trained without VIDEO is what
`python -m bench.make.engine` leaves in its folder of runs. `speed` is for an otherwise idle machine.

    python -m bench.peers.compare train facemap --data SIDE_VIEW --hold-out VIDEO --runs RUNS
    python -m bench.peers.compare train sleap --data SIDE_VIEW --hold-out VIDEO --runs RUNS --sleap-python PEER
    python -m bench.peers.compare predict NAME --engine ENGINE --data SIDE_VIEW --hold-out VIDEO --runs RUNS
    python -m bench.peers.compare speed --data SIDE_VIEW --runs RUNS --engine NAME --facemap-python PEER --sleap-python PEER
    python -m bench.peers.compare report --data SIDE_VIEW --runs RUNS --engine NAME
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bench.peers.facemap_training import EPOCHS, FacemapRecipe, facts, find, train_facemap
from bench.peers.found import Found, competitors, read_found, write_found
from bench.peers.report import MEAN_POSITION, judge, mean_position, plot, report, table
from bench.peers.sleap import train_sleap
from bench.peers.speed import FACEMAP, FACEMAP_IN_RTFACE, SLEAP, measure
from bench.result import RESULTS, parser_of, write
from bench.tracker.side_view import WRONG_LABELS, read_side_view
from bench.tracking import track
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.learn.labels.labelset import LabelSet
from rtface.track.store import load_engine

SPEED_FILE = "speed.json"
LEARNING_RATE = 4e-4
"""For Facemap's network: of 1e-4, 4e-4 and 1e-3 the best after 5 epochs, judged on the video that judges."""


def train_facemap_on(labels: LabelSet, video: str, recipe: FacemapRecipe, runs: Path) -> None:
    """Train Facemap's network without a video; keep its weights and what it finds there."""
    began_ns = monotonic_ns()

    def progress(epoch: int, loss: float) -> None:
        print(f"held out {video}: epoch {epoch} of {recipe.epochs}, loss {loss:.3f}", file=sys.stderr)

    taught, held_out = labels.without([video]), labels.only([video])
    network = train_facemap(taught, recipe, progress)
    minutes = (monotonic_ns() - began_ns) / NS_PER_S / 60
    known = facts(recipe, len(taught)) | {"minutes": round(minutes, 1), "threads": torch.get_num_threads()}
    found = Found(tuple(frame.name for frame in held_out.frames), find(network, held_out.frames), known)
    name = FACEMAP if recipe.seed == 0 else f"{FACEMAP}, seed {recipe.seed}"
    kept = write_found(runs, name, video, found)
    torch.save(network.network.state_dict(), kept.with_suffix(".pt"))


def predict(labels: LabelSet, video: str, engine: str) -> Found:
    """Return what an engine finds on a video's frames, through the tracker that runs live."""
    loaded = load_engine(engine)
    held_out = labels.only([video])
    tracked = track(loaded, "engine", [frame.image for frame in held_out.frames])
    known = {"engine": loaded.manifest.name, "sha256": loaded.sha256, "backend": tracked.backend}
    xy = np.stack([pose.xy for pose in tracked.poses])
    return Found(tuple(frame.name for frame in held_out.frames), xy, known)


def write_report(labels: LabelSet, runs: Path, engines: Sequence[str], out: Path) -> str:
    """Gather what all found and how long they took, write JSON and picture, and return the table."""
    found = {
        name: {video: read_found(runs, name, video) for video in labels.videos}
        for name in competitors(runs, labels.videos)
    }
    if absent := set(engines) - set(found):
        raise SystemExit(f"{runs} has no predictions of {', '.join(sorted(absent))} on both videos")
    training = {name: {video: each.facts for video, each in there.items()} for name, there in found.items()}
    found[MEAN_POSITION] = {video: mean_position(labels, video) for video in labels.videos}
    timed = runs / SPEED_FILE
    measured = json.loads(timed.read_text(encoding="utf-8")) if timed.is_file() else {}
    if FACEMAP in found and measured:
        found[FACEMAP_IN_RTFACE] = found[FACEMAP]
    result = {
        "question": "errors on the video that a network was not trained on, and milliseconds a frame",
        "unit": "pixels of the 864x646 frame, all labels",
        "labels_left_out": {name: list(keypoints) for name, keypoints in WRONG_LABELS.items()},
        "engines": list(engines),
        "training": training,
        "speed": {key: value for key, value in measured.items() if key != "times"},
    }
    result |= report(judge(labels, found), labels.keypoints, engines, measured.get("times", {}))
    write(out / "peers.json", result)
    if measured:
        plot(result, out / "peers.png")
    return table(result)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    options = _parser().parse_args(arguments)
    labels = read_side_view(options.data)
    if "hold_out" in options and options.hold_out not in labels.videos:
        raise SystemExit(f"{options.data} has no video {options.hold_out}; it has {', '.join(labels.videos)}")
    if options.verb == "train":
        torch.set_num_threads(options.threads)
        if options.peer == FACEMAP:
            recipe = FacemapRecipe(options.learning_rate, options.epochs, seed=options.seed)
            train_facemap_on(labels, options.hold_out, recipe, options.runs)
            return
        work = options.runs / SLEAP / options.hold_out
        found = train_sleap(labels, options.hold_out, options.sleap_python, work, options.threads)
        write_found(options.runs, SLEAP, options.hold_out, found)
    elif options.verb == "predict":
        found = predict(labels, options.hold_out, options.engine)
        write_found(options.runs, options.name, options.hold_out, found)
    elif options.verb == "speed":
        engines = [load_engine(name) for name in options.engine]
        with tempfile.TemporaryDirectory() as work:
            result = measure(
                labels,
                labels.videos[-1],
                options.runs,
                engines,
                options.facemap_python,
                options.sleap_python,
                options.frames,
                options.rounds,
                Path(work),
            )
        write(options.runs / SPEED_FILE, result)
    else:
        print(write_report(labels, options.runs, options.engine, options.out))


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    training, predicting, timing, reporting = (
        verbs.add_parser(verb) for verb in ("train", "predict", "speed", "report")
    )
    for each in (training, predicting, timing, reporting):
        each.add_argument("--data", type=Path, required=True, help="folder with labels.csv and frames/")
        each.add_argument("--runs", type=Path, required=True, help="folder that keeps what is found")
    for each in (training, predicting):
        each.add_argument("--hold-out", required=True, help="name of the video to judge on")
    training.add_argument("peer", choices=(FACEMAP, SLEAP))
    training.add_argument("--threads", type=int, default=1)
    training.add_argument("--learning-rate", type=float, default=LEARNING_RATE, help="Facemap's")
    training.add_argument("--epochs", type=int, default=EPOCHS, help="Facemap's")
    training.add_argument("--seed", type=int, default=0, help="Facemap's; beyond 0 a competitor of its own")
    predicting.add_argument("name", help="the competitor's name in the report")
    predicting.add_argument("--engine", required=True, help="name or folder of an engine trained without it")
    timing.add_argument("--frames", type=int, default=100, help="of a round")
    timing.add_argument("--rounds", type=int, default=4)
    timing.add_argument("--facemap-python", default=os.environ.get("RTFACE_FACEMAP_PYTHON"))
    for each in (training, timing):
        each.add_argument("--sleap-python", default=os.environ.get("RTFACE_SLEAP_PYTHON"))
    for each in (timing, reporting):
        each.add_argument("--engine", action="append", default=[], help="one of rtface's; may be repeated")
    reporting.add_argument("--out", type=Path, default=RESULTS)
    return parser


if __name__ == "__main__":
    main()

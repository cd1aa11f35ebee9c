"""What does it cost an encoder to be causal? Networks, windows, delays and look-aheads on a simulated population.

The population's truth is known (`rtface.analyse.simulated_population`): what behaviour explains of each component at most is the
ceiling. All encoders learn from the same samples and are judged by the same, by the strict split with the gaps of
the longest window. That the simulated neurons follow the past alone is how they are made: a look-ahead cannot help
there, and what it costs an animal's recording is seen by running this on one (`--session`).

    python -m bench.encoder.causal
    python -m bench.encoder.causal --session SESSION.npz --keypoints KEYPOINTS
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.encoder.causal_plot import draw_causality
from bench.result import RESULTS, parser_of, write
from rtface.analyse.baselines import keypoint_baselines, video_baseline
from rtface.analyse.explained import variance_explained
from rtface.analyse.splits import Split, hold_back
from rtface.analyse.svd import decompose
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.records import Image
from rtface.learn.encoder.from_recording import HELD_BACK
from rtface.learn.encoder.optimise import RECIPES, EncoderTraining, within
from rtface.learn.encoder.prepared import Prepared, prepare
from rtface.learn.encoder.recording import EXCLUDED, Recording, RecordingFiles, read_recording
from rtface.learn.encoder.scoring import predict
from rtface.networks.build import build_encoder
from rtface.networks.encoder import EncoderNetwork

LONGEST_S = 4.02
"""Window of the published network: the gaps are as long."""

FILM = (160, 120)
"""Width and height in which the simulated mouse is filmed for its motion energy."""

SWEEPS = ("networks", "window", "delay", "look_ahead")
WINDOWS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
DELAYS_S = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
LOOK_AHEADS_S = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
NETWORKS: dict[str, dict[str, Any]] = {
    "causal": {"name": "causal"},
    "Facemap's, causal": {"name": "facemap", "look_ahead": 0},
    "Facemap's, half of it future": {"name": "facemap"},
    "causal, no linear path": {"name": "causal", "linear_bumps": 0},
    "causal, twice the units": {"name": "causal", "units": 64},
    "causal, half the units": {"name": "causal", "units": 16},
    "causal, one average": {"name": "causal", "slow_frames": [0.0]},
}


def simulated(neurons: int, seconds: float, seed: int) -> tuple[Recording, Any]:
    """Return a simulated session as a recording, and the population whose truth is known."""
    from rtface.analyse.population import PopulationParameters
    from rtface.analyse.simulated_population import simulate_population

    population = simulate_population(PopulationParameters(neurons=neurons, seconds=seconds, seed=seed))
    keypoints = population.keypoints
    recording = Recording(
        keypoints=population.behaviour.names,
        extras=(),
        raw=keypoints.reshape(len(keypoints), -1),
        frame_times=population.tcam,
        neurons=population.traces(),
        neural_times=population.tneural,
        positions=np.stack([population.xpos, population.ypos], axis=1).astype(np.float64),
        sources={},
    )
    return recording, population


def train_one(prepared: Prepared, architecture: Mapping[str, Any], seed: int) -> tuple[float, float, int]:
    """Return what an encoder explains of the test samples, the seconds of its training, and its best epoch."""
    whole = {**architecture, "inputs": prepared.inputs.shape[1], "outputs": prepared.targets.count}
    network = build_encoder(whole, seed)
    held = hold_back(prepared.split.train, HELD_BACK, gap_of(prepared.recording))
    recipe = replace(RECIPES[architecture["name"]], seed=seed)
    began = SYSTEM_CLOCK.now_ns()
    training = EncoderTraining(network, prepared.inputs, prepared.frames, prepared.values, held, recipe)
    while not training.finished:
        training.step()
    seconds = (SYSTEM_CLOCK.now_ns() - began) * 1e-9
    return explained(training.kept(), prepared), seconds, training.best


def explained(network: EncoderNetwork, prepared: Prepared) -> float:
    """Return what a network explains of the test samples."""
    test = judged(prepared)
    predicted = predict(network, prepared.inputs, prepared.frames[test])
    return variance_explained(prepared.values[test], predicted)


def judged(prepared: Prepared) -> Any:
    """Return the test samples: those for which even the longest window and look-ahead lie within the recording."""
    frames = round(LONGEST_S * prepared.recording.frame_rate)
    return within(prepared.split.test, prepared.frames, len(prepared.inputs), frames, frames // 2)


def gap_of(recording: Recording) -> int:
    """Return the gap between what is learnt from and what is held back, in samples."""
    return int(np.ceil(LONGEST_S * recording.neural_rate)) + 1


def of_window(seconds: float, rate: float) -> dict[str, Any]:
    """Return our encoder with a window of some seconds."""
    frames = max(3, round(seconds * rate))
    fast = min(50, max(2, frames // 2))
    slow = frames - fast + 1
    averages = [frame for frame in (0.0, 4.0, 12.0, 30.0, 60.0) if frame <= slow]
    return {"name": "causal", "fast_taps": fast, "slow_taps": slow, "slow_frames": averages}


def sweep(prepared: Prepared, seeds: int, only: set[str]) -> dict[str, Any]:
    """Return all figures of a prepared recording."""
    rate = prepared.recording.frame_rate
    jobs: list[tuple[str, str, float, dict[str, Any], float]] = []
    jobs += [("networks", name, 0.0, each, 0.0) for name, each in NETWORKS.items()]
    for seconds in WINDOWS_S:
        jobs.append(("window", "causal", seconds, of_window(seconds, rate), 0.0))
        taps = max(3, round(seconds * rate))
        jobs.append(
            ("window", "Facemap's, causal", seconds, {"name": "facemap", "taps": taps, "look_ahead": 0}, 0.0)
        )
    jobs += [("delay", "causal", seconds, {"name": "causal"}, seconds) for seconds in DELAYS_S]
    for seconds in LOOK_AHEADS_S:
        ahead = round(seconds * rate)
        jobs.append(("look_ahead", "causal", seconds, {"name": "causal", "look_ahead": ahead}, 0.0))
        jobs.append(
            ("look_ahead", "Facemap's, causal", seconds, {"name": "facemap", "look_ahead": ahead}, 0.0)
        )
    told: dict[str, Any] = {what: [] for what in SWEEPS}
    for what, family, seconds, architecture, delay in jobs:
        if what not in only:
            continue
        moved = replace(prepared, frames=prepared.recording.frames_at(delay))
        runs = [train_one(moved, architecture, seed) for seed in range(seeds)]
        row = {
            "family": family,
            "seconds": seconds,
            "variance_explained": [round(run[0], 4) for run in runs],
            "training_s": [round(run[1], 1) for run in runs],
            "best_epoch": [run[2] for run in runs],
        }
        told[what].append(row)
        print(what, json.dumps(row), flush=True)
    return told


def lines_of(prepared: Prepared) -> dict[str, float]:
    """Return what the regressions from keypoints explain of the same samples."""
    recording, test = prepared.recording, judged(prepared)
    past = round(LONGEST_S * recording.frame_rate)
    train = within(prepared.split.train, prepared.frames, len(prepared.inputs), past, past // 2)
    per_sample = recording.frame_rate / recording.neural_rate
    held = hold_back(train, HELD_BACK, gap_of(recording))
    chosen = np.maximum(prepared.frames, 0)
    found = keypoint_baselines(
        prepared.inputs, chosen, prepared.values, Split(train, test), held, per_sample, 199
    )
    return {name: round(variance_explained(prepared.values[test], predicted), 4) for name, predicted in found}


def film_line(population: Any, prepared: Prepared) -> float:
    """Return what the method before keypoints explains: reduced rank from the motion energy of the mouse's film."""
    from rtface.analyse.simulated_population import Film

    width, height = FILM
    film, out = Film(population, width, height), np.zeros((height, width), np.uint8)

    def read() -> Iterator[Image]:
        for frame in range(len(prepared.inputs)):
            film.render(frame, out)
            yield out

    found = decompose(read, len(prepared.inputs))
    recording, test = prepared.recording, judged(prepared)
    held = hold_back(prepared.split.train, HELD_BACK, gap_of(recording))
    predicted = video_baseline(
        found.traces,
        np.maximum(prepared.frames, 0),
        prepared.values,
        Split(prepared.split.train, test),
        held,
        recording.frame_rate / recording.neural_rate,
    )
    return round(variance_explained(prepared.values[test], predicted), 4)


def ceiling_of(population: Any, prepared: Prepared) -> float:
    """Return what the best prediction from behaviour explains of the same samples."""
    targets, test = prepared.targets, judged(prepared)
    assert targets.basis is not None
    expected = population.expected_components(targets.basis, targets.mean, targets.sd)
    return variance_explained(prepared.values[test], expected[test])


def main() -> None:
    """Run everything and write numbers and picture."""
    parser = parser_of(__doc__)
    parser.add_argument("--neurons", type=int, default=8000)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=0, help="of the simulated session")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each encoder")
    parser.add_argument("--only", action="append", choices=(*SWEEPS, "film"), help="else all; repeatable")
    parser.add_argument(
        "--session", type=Path, help="a recording instead: npz as `rtface encoder fit` takes it"
    )
    parser.add_argument("--keypoints", type=Path, help="its keypoints, where they are not in the same file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "encoder_causal.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    population: Any = None
    if options.session is not None:
        where = RecordingFiles(options.keypoints or options.session, options.session, exclude=EXCLUDED)
        recording, title = read_recording(where), f"{options.session.stem}"
    else:
        recording, population = simulated(options.neurons, options.seconds, options.seed)
        title = f"SIMULATED population: {options.neurons} neurons, {options.seconds / 60:.0f} minutes"
    prepared = prepare(recording, round(LONGEST_S * recording.frame_rate))
    result: dict[str, Any] = {
        "title": title,
        "simulated": population is not None,
        "neurons": len(recording.neurons),
        "test_samples": len(judged(prepared)),
        "ceiling": None if population is None else round(ceiling_of(population, prepared), 4),
        "regressions": lines_of(prepared),
    }
    only = set(options.only or (*SWEEPS, "film"))
    if population is not None and "film" in only:
        result["regressions"]["reduced rank, motion energy"] = film_line(population, prepared)
    print(json.dumps({key: result[key] for key in ("ceiling", "regressions")}), flush=True)
    result |= sweep(prepared, options.seeds, only)
    write(options.out, result)
    if all(result[what] for what in ("window", "delay", "look_ahead")):
        draw_causality(result, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()

"""What the encoder costs a frame on one core: components and latents, with states, and with all 50,000 neurons read out.

Networks of the sizes that are fitted by default, of random weights; points that move, with jumps and blind moments. A
frame here is one that brings a row, at the encoder's 50 a second: of a camera of 200 frames a second three in four
cost next to nothing (`between_rows`).

    python -m bench.encoder.step [--frames 20000] [--readouts 2000] [--name encoder_step]
"""

from __future__ import annotations

import os

# One core: set before numpy is imported.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.result import RESULTS, microseconds, parser_of, write
from rtface.config import EncoderSettings
from rtface.core.records import FACEMAP_KEYPOINTS, FloatArray, FrameMeta, Keypoint, Pose, Stamps
from rtface.encode.architecture import layout
from rtface.encode.bundle import EncoderBundle, write_encoder
from rtface.encode.normalise import NormaliseRules
from rtface.encode.states import StateModel
from rtface.encode.stream import StreamingEncoder
from rtface.live.neural import NeuralPredictor

NAMES = tuple(name for name in FACEMAP_KEYPOINTS if name != "paw")
ROW_NS = 20_000_000
WARM_UP = 300
NEURONS, COMPONENTS, STATES = 50_000, 128, 10
NETWORKS: dict[str, dict[str, Any]] = {
    "causal": {"name": "causal"},
    "facemap": {"name": "facemap"},
    "facemap_causal": {"name": "facemap", "look_ahead": 0},
}


def encoder(folder: Path, architecture: dict[str, Any], random: np.random.Generator) -> EncoderBundle:
    """Write an encoder of random weights and 50,000 neurons."""
    columns = 2 * len(NAMES)
    whole = {**architecture, "inputs": columns, "outputs": COMPONENTS}
    plan, rules = layout(whole), NormaliseRules()
    return write_encoder(
        folder,
        {
            "description": "of random weights, to measure its speed",
            "created": "2026-01-01",
            "licence": "none",
            "architecture": whole,
            "keypoints": NAMES,
            "frame_rate_hz": 50.0,
            "neural_rate_hz": 3.0,
            "past_frames": plan.past,
            "look_ahead_frames": plan.look_ahead,
            "normalise": {name: getattr(rules, name) for name in rules.__slots__},
            "targets": {"kind": "components", "count": COMPONENTS, "neurons": NEURONS},
            "latents": plan.latents,
        },
        weights={
            name: random.normal(0, 1 / np.sqrt(shape[-1]), shape).astype(np.float32)
            for name, shape in plan.shapes.items()
        },
        inputs={
            "mean": np.full(columns, 30.0),
            "sd": np.full(columns, 5.0),
            "usual_mean": np.zeros(columns, np.float32),
            "usual": np.eye(columns, dtype=np.float32),
            "usual_limit": np.asarray(3.0),
        },
        readout={
            "mean": np.ones(NEURONS, np.float32),
            "sd": np.ones(NEURONS, np.float32),
            "basis": random.normal(size=(NEURONS, COMPONENTS)).astype(np.float32),
            "residual_sd": np.ones(COMPONENTS, np.float32),
        },
    )


def state_model(latents: int, random: np.random.Generator) -> StateModel:
    """Return a model of 10 states of 20 features."""
    return StateModel(
        start=np.full(STATES, 1 / STATES),
        transition=0.9 * np.eye(STATES) + 0.1 / STATES,
        means=random.normal(size=(STATES, 20)),
        covariances=np.stack([np.eye(20)] * STATES),
        centre=np.zeros(latents),
        axes=random.normal(0, 0.1, (latents, 20)),
    )


def points(frames: int, random: np.random.Generator) -> FloatArray:
    """Return points that move, jump and are blind now and then."""
    time_s = np.arange(frames)[:, None] / 50
    xy = 30 + 4 * np.sin(2 * np.pi * time_s + np.arange(2 * len(NAMES)))
    xy = (xy + random.normal(0, 0.3, xy.shape)).reshape(frames, len(NAMES), 2).astype(np.float32)
    xy[random.random((frames, len(NAMES))) < 0.01] += 60
    xy[random.random((frames, len(NAMES))) < 0.02] = np.nan
    return xy


def measure(bundle: EncoderBundle, frames: int, readouts: int, random: np.random.Generator) -> dict[str, Any]:
    """Return all figures of one encoder."""
    xy, score = points(frames + WARM_UP, random), np.ones(len(NAMES), np.float32)
    plain = StreamingEncoder(bundle, NAMES, 50.0)
    states = state_model(bundle.manifest.latents, random)
    with_states = StreamingEncoder(bundle, NAMES, 50.0, states=states)
    reading = StreamingEncoder(bundle, NAMES, 50.0)
    between = StreamingEncoder(bundle, NAMES, 50_000.0)
    between.step(xy[0], score, 0)

    def read_out(index: int) -> None:
        found = reading.step(xy[index], score, index * ROW_NS)
        if found is not None:
            reading.neurons(found)

    said: list[Any] = []
    states_file = bundle.folder.with_name(f"{bundle.folder.name}-states.npz")
    states.save(states_file)
    predictor = NeuralPredictor(
        EncoderSettings(path=bundle.folder, states=states_file),
        [Keypoint(name) for name in NAMES],
        said.append,
    )
    predictor.open(50.0)

    def in_the_loop(index: int) -> None:
        exposure_ns = index * ROW_NS
        predictor.predict(
            Pose(
                FrameMeta(index, exposure_ns, exposure_ns),
                Stamps(*[exposure_ns] * 6),
                xy[index],
                score,
                np.zeros(len(NAMES), np.bool_),
            )
        )
        predictor.publish()
        said.clear()

    count = frames + WARM_UP
    return {
        "components_and_latents": microseconds(
            lambda index: plain.step(xy[index], score, index * ROW_NS), range(count), WARM_UP
        ),
        "with_states": microseconds(
            lambda index: with_states.step(xy[index], score, index * ROW_NS), range(count), WARM_UP
        ),
        "with_all_neurons": microseconds(read_out, range(min(readouts, frames) + WARM_UP), WARM_UP),
        "values_for_rules_and_message": microseconds(in_the_loop, range(count), WARM_UP),
        "between_rows": microseconds(
            lambda index: between.step(xy[index], score, 1 + index), range(count), WARM_UP
        ),
        "look_ahead_s": bundle.manifest.look_ahead_s,
    }


def main() -> None:
    """Measure and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--readouts", type=int, default=2_000)
    parser.add_argument("--name", default="encoder_step")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, architecture in NETWORKS.items():
            bundle = encoder(Path(folder) / name.replace("_", "-"), architecture, random)
            result[name] = measure(bundle, given.frames, given.readouts, random)
    facts = {
        "frames": given.frames,
        "readouts": given.readouts,
        "inputs": 2 * len(NAMES),
        "components": COMPONENTS,
        "latents": 256,
        "states": STATES,
        "neurons": NEURONS,
        "goals": {"components_and_latents_p50_us": 200, "with_all_neurons_p50_us": 5000},
    }
    print(json.dumps(result, indent=1))
    write(given.out / f"{given.name}.json", result | facts)


if __name__ == "__main__":
    main()

"""Made-up encoders on disk, and recordings to stream through them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.records import FloatArray
from rtface.encode.architecture import layout
from rtface.encode.bundle import EncoderBundle, write_encoder
from rtface.encode.states import StateModel

NAMES = ("nose(tip)", "mouth", "eye(back)")
CAUSAL: dict[str, Any] = {
    "name": "causal",
    "fast_taps": 7,
    "fast_bumps": 3,
    "slow_taps": 12,
    "units": 5,
    "latents": 9,
}
FACEMAP: dict[str, Any] = {"name": "facemap", "taps": 21, "latents": 9}
ARCHITECTURES: tuple[dict[str, Any], ...] = (
    CAUSAL,
    {**CAUSAL, "look_ahead": 4},
    {**CAUSAL, "linear_bumps": 0, "slow_frames": [0.0, 9.0]},
    {"name": "causal"},
    FACEMAP,
    {**FACEMAP, "look_ahead": 0, "core_layers": 1, "mixed": 5},
    {**FACEMAP, "identity": True, "core_layers": 3, "readout_layers": 3, "rectify_latents": False},
    {**FACEMAP, "rectify_filters": False, "look_ahead": 3},
    {"name": "facemap"},
)


def made_encoder(
    folder: Path,
    architecture: dict[str, Any] = CAUSAL,
    *,
    names: tuple[str, ...] = NAMES,
    outputs: int = 4,
    neurons: int = 6,
    states: StateModel | None = None,
    weights: dict[str, Any] | None = None,
    centre: tuple[float, float] = (30.0, 5.0),
    **fields: Any,
) -> EncoderBundle:
    """Write an encoder of random weights whose usual inputs are points round `centre[0]`, give or take `centre[1]`."""
    random = np.random.default_rng(0)
    columns = 2 * len(names) + len(fields.get("extras", ()))
    whole = {**architecture, "inputs": columns, "outputs": outputs}
    plan = layout(whole)
    drawn = {
        name: random.normal(0, 1 / np.sqrt(shape[-1]), shape).astype(np.float32)
        for name, shape in plan.shapes.items()
    }
    files = {}
    if states is not None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        files["states.npz"] = folder.with_name(f"{folder.name}-states.npz")
        states.save(files["states.npz"])
    return write_encoder(
        folder,
        {
            "description": "made up",
            "created": "2026-01-01",
            "licence": "none",
            "architecture": whole,
            "keypoints": names,
            "frame_rate_hz": 50.0,
            "neural_rate_hz": 3.0,
            "past_frames": plan.past,
            "look_ahead_frames": plan.look_ahead,
            "normalise": {
                "jump_px": 25,
                "deviation_px": 25,
                "median_frames": 50,
                "memory_s": 60,
                "reference_s": 10,
                "limit": 6,
            },
            "targets": {"kind": "components", "count": outputs, "neurons": neurons},
            "latents": plan.latents,
            **fields,
        },
        weights=weights or drawn,
        inputs={
            "mean": np.full(columns, centre[0]),
            "sd": np.full(columns, centre[1]),
            "usual_mean": np.zeros(columns, np.float32),
            "usual": np.eye(columns, dtype=np.float32),
            "usual_limit": np.asarray(3.0),
        },
        readout={
            "mean": random.normal(size=neurons).astype(np.float32),
            "sd": random.uniform(1, 2, neurons).astype(np.float32),
            "basis": random.normal(size=(neurons, outputs)).astype(np.float32),
            "residual_sd": random.uniform(0.1, 1, outputs).astype(np.float32),
        },
        files=files,
    )


def short_encoder(folder: Path, names: tuple[str, ...]) -> EncoderBundle:
    """Write a causal encoder of little memory, with states, of 20 frames a second that show 96 x 80 pixels."""
    return made_encoder(
        folder,
        {**CAUSAL, "fast_taps": 5, "slow_taps": 6},
        names=names,
        frame_rate_hz=20.0,
        states=made_states(),
        centre=(40.0, 20.0),
    )


def made_states(latents: int = 9, states: int = 3, every: int = 1) -> StateModel:
    """Return a state model that likes to stay."""
    random = np.random.default_rng(1)
    return StateModel(
        start=np.full(states, 1 / states),
        transition=0.9 * np.eye(states) + 0.1 / states,
        means=random.normal(size=(states, 2)),
        covariances=np.stack([np.eye(2)] * states),
        centre=np.zeros(latents),
        axes=random.normal(0, 0.5, (latents, 2)),
        every=every,
    )


def walk(frames: int, seed: int = 0, points: int = len(NAMES)) -> FloatArray:
    """Return points that move smoothly, shape (frames, points, 2), with a jump and blind moments."""
    random = np.random.default_rng(seed)
    time = np.arange(frames)[:, None]
    xy = 30 + 4 * np.sin(time / 6 + np.arange(2 * points)) + random.normal(0, 0.3, (frames, 2 * points))
    xy = xy.reshape(frames, points, 2).astype(np.float32)
    xy[random.random((frames, points)) < 0.03] += 60
    xy[random.random((frames, points)) < 0.05] = np.nan
    return xy

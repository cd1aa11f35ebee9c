"""The manifest of an engine: what a network takes, what it gives, and how far it can be trusted.

An engine is a folder with a ``manifest.json`` and the files it names. The manifest is checked when the engine is
loaded: every file's hash, the hash of the preprocessing, and, by the back end, the live network's inputs and
outputs. Anything that disagrees is refused.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from rtface.core.geometry import NetworkFrame
from rtface.core.manifest import NAME_PATTERN, FileEntry, ManifestPart
from rtface.core.records import Crop, Keypoint

MODEL_FILE = "model.onnx"
WEIGHTS_FILE = "weights.pt"


class KeypointEntry(ManifestPart):
    """A keypoint of the network, in the order of its outputs."""

    name: str = Field(min_length=1)
    trained: bool = True
    """False when no real frame ever had a label for it: its coordinates are then reported as NaN."""


class InputSpec(ManifestPart):
    """The network's own input, after the crop was padded and resized."""

    size: int = Field(ge=32, le=4096)
    """Longer side of the input in pixels; the other is as long where the input is square."""
    channels: Literal[1] = 1
    dtype: Literal["uint8"] = "uint8"
    layout: Literal["NCHW"] = "NCHW"


class LevelsSpec(ManifestPart):
    """How gray levels are scaled: `low` becomes 0 and `high` 1."""

    method: Literal["percentile"] = "percentile"
    low: float = Field(1.0, ge=0, le=100)
    high: float = Field(99.0, ge=0, le=100)
    region: Literal["frame"] = "frame"
    """The pixels whose percentiles are taken: the whole uncropped frame."""
    row_step: int = Field(1, ge=1, le=16)
    """Every how many rows of it are counted."""

    @model_validator(mode="after")
    def _rising(self) -> LevelsSpec:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) is not below high ({self.high})")
        return self


class ResampleSpec(ManifestPart):
    """How the crop becomes the network's input."""

    fit: Literal["pad", "pad_shorter"] = "pad"
    """Padded to a square, or the shorter side alone to a multiple of 32 pixels of the network's input."""
    interpolation: Literal["bilinear"] = "bilinear"
    half_pixel: bool
    """Whether pixel centres map to pixel centres on the way back; False is Facemap's convention."""

    @property
    def square(self) -> bool:
        """Whether the network's input is square."""
        return self.fit == "pad"


class DecodeSpec(ManifestPart):
    """What the graph gives for each keypoint."""

    method: str
    columns: tuple[str, ...]

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if columns not in (("x", "y", "score"), ("x", "y", "score", "likelihood")):
            raise ValueError("columns are x, y, score and, where there is one, likelihood")
        return columns


class ScoreSpec(ManifestPart):
    """What the score means."""

    definition: str
    calibrated: bool
    radius_px: float | None = Field(None, gt=0)
    """The score is the probability that the point is within this distance, in pixels of the network's input."""


class Manifest(ManifestPart):
    """Everything that is to be known of an engine."""

    rtface_engine: Literal[1] = 1
    """Version of this schema."""
    name: str = Field(pattern=NAME_PATTERN)
    description: str
    created: str
    """Date, ISO 8601."""
    licence: str
    architecture: dict[str, Any]
    """Name and arguments of the network, for back ends that build it from its weights."""
    keypoints: tuple[KeypointEntry, ...] = Field(min_length=1)
    input: InputSpec
    normalise: LevelsSpec = LevelsSpec()
    resample: ResampleSpec
    decode: DecodeSpec
    score: ScoreSpec
    precision: Literal["f32", "bf16", "f16", "int8"] = "f32"
    """Arithmetic that the engine was checked with and is run with unless the rig asks for another; in an int8 engine
    that of its convolutions, and the rest is f32."""
    weights: Literal["f32", "f16", "int8"] = "f32"
    """How the numbers are kept in the model's file; those in f16 are widened when it is loaded."""
    preprocessing_sha256: str
    """Hash of input, normalise, resample and decode."""
    files: dict[str, FileEntry]
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        names = [entry.name for entry in self.keypoints]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"keypoints named twice: {', '.join(sorted(repeated))}")
        if MODEL_FILE not in self.files:
            raise ValueError(f"files does not name {MODEL_FILE}")
        if unsafe := [name for name in self.files if "/" in name or "\\" in name or name.startswith(".")]:
            raise ValueError(f"files outside the engine's folder: {unsafe}")
        expected = preprocessing_hash(self.input, self.normalise, self.resample, self.decode)
        if self.preprocessing_sha256 != expected:
            raise ValueError(
                f"preprocessing_sha256 is {self.preprocessing_sha256[:12]}..., but input, normalise, resample "
                f"and decode hash to {expected[:12]}...: the manifest was edited"
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the keypoints in the order of the outputs."""
        return tuple(entry.name for entry in self.keypoints)

    def network_frame(self, crop: Crop) -> NetworkFrame:
        """Return where the network's input lies in the camera frame when it is shown a crop of it."""
        return NetworkFrame(crop, self.input.size, self.resample.half_pixel, self.resample.square)

    @property
    def skeleton(self) -> tuple[Keypoint, ...]:
        """The keypoints as records."""
        return tuple(Keypoint(entry.name, entry.trained) for entry in self.keypoints)


def preprocessing_hash(
    input_: InputSpec, normalise: LevelsSpec, resample: ResampleSpec, decode: DecodeSpec
) -> str:
    """Return the SHA-256 of what stands between a camera frame and the network's keypoints."""
    parts = [part.model_dump(mode="json") for part in (input_, normalise, resample, decode)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

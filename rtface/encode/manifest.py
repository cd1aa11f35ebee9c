"""The manifest of an encoder: what it takes in, what it gives, from what it learnt, how well it does."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from rtface.core.errors import UsageError
from rtface.core.manifest import NAME_PATTERN, FileEntry, ManifestPart
from rtface.encode.normalise import NormaliseRules

MANIFEST_FILE = "encoder.json"
WEIGHTS_FILE = "weights.npz"
INPUTS_FILE = "inputs.npz"
READOUT_FILE = "readout.npz"
ONNX_FILE = "model.onnx"
STATES_FILE = "states.npz"


class RunningScaleSpec(ManifestPart):
    """`rtface.encode.normalise.NormaliseRules`, as kept."""

    jump_px: float
    deviation_px: float
    median_frames: int
    memory_s: float | None
    reference_s: float
    limit: float

    @model_validator(mode="after")
    def _possible(self) -> RunningScaleSpec:
        try:
            self.rules()
        except UsageError as error:
            raise ValueError(str(error)) from error
        return self

    def rules(self) -> NormaliseRules:
        """Return the rules."""
        return NormaliseRules(**self.model_dump())


class TargetSpec(ManifestPart):
    """What the network's outputs are."""

    kind: Literal["components", "neurons"]
    """Principal components of z-scored neurons, or z-scored neurons."""
    count: int = Field(ge=1)
    neurons: int = Field(ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> TargetSpec:
        if self.kind == "neurons" and self.count != self.neurons:
            raise ValueError(f"{self.count} outputs are not {self.neurons} neurons")
        return self


class EncoderManifest(ManifestPart):
    """Everything that is to be known of an encoder."""

    rtface_encoder: Literal[1] = 1
    """Version of this schema."""
    name: str = Field(pattern=NAME_PATTERN)
    description: str
    created: str
    """Date, ISO 8601."""
    licence: str
    architecture: dict[str, Any]
    """Name and arguments of the network, as `rtface.encode.architecture` takes them."""
    keypoints: tuple[str, ...]
    """The points whose x and y come first, in this order."""
    extras: tuple[str, ...] = ()
    """Further inputs, behind them."""
    frame_rate_hz: float = Field(gt=0)
    neural_rate_hz: float = Field(gt=0)
    delay_s: float = 0.0
    """How much older than the predicted neural sample the newest frame is; below 0: younger."""
    past_frames: int = Field(ge=0)
    """Frames before the present one that an output depends on."""
    look_ahead_frames: int = Field(ge=0)
    """Frames after it; an output is known so much later. 0: causal."""
    normalise: RunningScaleSpec
    targets: TargetSpec
    latents: int = Field(ge=1)
    files: dict[str, FileEntry]
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: dict[str, Any] = Field(default_factory=dict)

    @field_validator("keypoints", "extras")
    @classmethod
    def _different(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names) or "" in names:
            raise ValueError("names must differ and not be empty")
        return names

    @model_validator(mode="after")
    def _complete(self) -> EncoderManifest:
        if not self.keypoints and not self.extras:
            raise ValueError("an encoder needs keypoints or other inputs")
        if missing := [name for name in (WEIGHTS_FILE, INPUTS_FILE, READOUT_FILE) if name not in self.files]:
            raise ValueError(f"files does not name {missing[0]}")
        if unsafe := [name for name in self.files if "/" in name or "\\" in name or name.startswith(".")]:
            raise ValueError(f"files outside the encoder's folder: {unsafe}")
        return self

    @property
    def columns(self) -> int:
        """Number of inputs: x and y of each keypoint, then the extras."""
        return 2 * len(self.keypoints) + len(self.extras)

    @property
    def simulated(self) -> bool:
        """Whether it learnt from a simulated population, so that it predicts no real brain."""
        return self.training.get("simulated") is True

    @property
    def look_ahead_s(self) -> float:
        """How much later than its frame an output is known, in seconds."""
        return self.look_ahead_frames / self.frame_rate_hz

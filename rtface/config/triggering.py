"""What begins an exposure, and what a camera's lines, chunks and clock are for: parts of the `camera:` section."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from rtface.config.section import Section, contradiction
from rtface.core.records import TriggerInfo

SOFTWARE = "Software"
"""The source of triggers that rtface itself gives."""


class TrialSettings(Section):
    """Triggers that rtface gives in trials, with pauses between."""

    frames: int = Field(ge=1)
    """Triggers in a trial."""
    pause_s: float = Field(gt=0, le=86_400)
    """Seconds from the last trigger of a trial to the first of the next."""


def _kind_of_rate(value: Any) -> str:
    return "[word]" if isinstance(value, str) else "[numbers]"


RateChoice = Annotated[
    Annotated[Annotated[float, Field(gt=0, le=100_000)], Tag("[numbers]")]
    | Annotated[Literal["irregular"], Tag("[word]")],
    Discriminator(_kind_of_rate),
]
"""Triggers a second, or `irregular`."""


class TriggerSettings(Section):
    """Triggers begin the exposures, in place of the camera's own rate."""

    source: str = Field(min_length=1, examples=["source: Line0"])
    """The line that they come on, as the camera calls it: Line0; `Software`: rtface gives them, to try a rig without wires."""
    rate_hz: RateChoice
    """How many come a second within a trial, which rules, self-test and budgets hold the frames against; `irregular` if nobody
    can say."""
    longest_pause_s: float | None = Field(0.0, ge=0, le=86_400)
    """Without a trigger for so many seconds the camera waits, which is no fault: the loop stays armed, and the camera is not
    lost. 0: they come without a pause. null: however long."""
    selector: str = "FrameStart"
    """What a trigger begins: `FrameStart` one exposure; the camera may offer more."""
    activation: str | None = None
    """Which change of the line it is: RisingEdge, FallingEdge, AnyEdge, LevelHigh, LevelLow; the camera's own when absent."""
    delay_us: float | None = Field(None, ge=0)
    """From the trigger to the exposure, in microseconds; the camera's own when absent."""
    overlap: str | None = None
    """Whether a trigger is taken while the frame before is read out: Off, ReadOut, PreviousFrame; the camera's own when
    absent."""
    trials: TrialSettings | None = None
    """Of `source: Software` alone; without a pause when absent."""

    @property
    def expected_hz(self) -> float | None:
        """The rate in a trial; None where it is irregular."""
        return self.rate_hz if isinstance(self.rate_hz, float) else None

    def info(self) -> TriggerInfo:
        """Return what of it the rest of rtface goes by."""
        return TriggerInfo(self.source, self.expected_hz, self.longest_pause_s)

    @model_validator(mode="after")
    def _software_is_regular(self) -> TriggerSettings:
        if self.source == SOFTWARE and self.expected_hz is None:
            raise contradiction(
                "rtface gives these triggers: at how many a second?", "camera", "trigger", "rate_hz"
            )
        if self.trials is None:
            return self
        if self.source != SOFTWARE:
            raise contradiction(
                "are of source: Software, whose triggers rtface gives", "camera", "trigger", "trials"
            )
        if self.longest_pause_s is not None and self.longest_pause_s < self.trials.pause_s:
            raise contradiction(
                f"is shorter than the pause of {self.trials.pause_s:g} s between trials",
                "camera",
                "trigger",
                "longest_pause_s",
            )
        return self


class LineSettings(Section):
    """One of a camera's lines."""

    selector: str = Field(min_length=1)
    """Its name, as the camera gives it: Line1."""
    mode: str | None = None
    """Input or Output; the camera's own when absent."""
    source: str | None = None
    """What an output shows: ExposureActive is high while the frame is exposed; the camera's own when absent."""
    inverter: bool | None = None
    """Whether high and low change places; the camera's own when absent."""


ChunkName = Literal["frame", "trigger", "exposure", "timestamp"]
"""What a camera can send with each frame."""


class PtpSettings(Section):
    """The camera's clock follows a master's, by the Precision Time Protocol."""

    max_offset_us: float = Field(100.0, gt=0)
    """A clock that is further from the master's does not follow it: then nothing is armed."""


def lines_differ(lines: tuple[LineSettings, ...]) -> tuple[LineSettings, ...]:
    """Refuse a line that stands twice."""
    seen: set[str] = set()
    for number, line in enumerate(lines):
        if line.selector in seen:
            raise contradiction(f"{line.selector} stands twice", "camera", "lines", str(number), "selector")
        seen.add(line.selector)
    return lines

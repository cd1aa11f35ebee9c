"""The settings of controls: trials that are shams or catches, and pulses at times that the mouse does not choose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from rtface.config import Section, contradiction

Seconds = Annotated[float, Field(ge=0, le=1e6)]


class Control(Section):
    """What all schedules of controls share."""

    seed: int = Field(ge=0)
    """Seed of its random numbers; there is no default, so that it stands in the record."""
    session_seed: int | None = Field(None, ge=0)
    """Second seed, which a session draws for itself and records, so that each has an order of its own; given here, the
    order is the same in every session."""
    blind: bool = False
    """Clients and screens cannot distinguish light from sham; the session's record can."""


class MixedSpec(Control):
    """Behaviour makes the trials; some of them are shams (no light, else alike) or catches (left out)."""

    kind: Literal["mixed"]
    sham: float = Field(0.0, ge=0, le=1)
    """Part of the trials that are shams."""
    catch: float = Field(0.0, ge=0, le=1)
    """Part of the trials that are catches."""
    block: int | None = Field(None, ge=1, le=10_000)
    """Shuffle within blocks of so many trials, so that each block has its exact share; chance alone when absent."""

    @model_validator(mode="after")
    def _shares(self) -> MixedSpec:
        if self.sham + self.catch > 1:
            raise contradiction(f"sham and catch add up to {self.sham + self.catch:g}, more than 1", "sham")
        for name, part in (("sham", self.sham), ("catch", self.catch)):
            if self.block is not None and abs(self.block * part - round(self.block * part)) > 1e-9:
                raise contradiction(
                    f"{name} {part:g} of a block of {self.block} is {self.block * part:g} trials, not a whole number",
                    "block",
                )
        return self


class TimedControl(Control):
    """Pulses at times of the session, whatever the mouse does; every limit of the rule holds all the same."""

    times_s: tuple[Seconds, ...] | None = None
    """Session times in seconds."""
    source: Path | None = None
    """A session of rtface (the light that came on in it is taken) or a text file with one time in seconds a line."""
    source_rule: str | None = None
    """The rule of that session whose pulses are taken; all pulses when absent."""


class YokedSpec(TimedControl):
    """The pulses of another session at the same session times: `times_s`, or `source`."""

    kind: Literal["yoked"]

    @model_validator(mode="after")
    def _one_origin(self) -> YokedSpec:
        if (self.times_s is None) == (self.source is None):
            raise contradiction("yoked needs times_s or source, one of the two")
        return self


class MatchedSpec(TimedControl):
    """Random times: as many as `count`, or as another session or list has, within `span_s`."""

    kind: Literal["matched"]
    count: int | None = Field(None, ge=1, le=100_000)
    """How many pulses; when absent, as many as `times_s` or `source` has."""
    span_s: tuple[Seconds, Seconds]
    """First and last session time in seconds between which they fall."""

    @model_validator(mode="after")
    def _one_origin(self) -> MatchedSpec:
        if sum(each is not None for each in (self.times_s, self.source, self.count)) != 1:
            raise contradiction("matched needs count, times_s or source, one of the three")
        if self.span_s[0] >= self.span_s[1]:
            raise contradiction("the earlier time comes first", "span_s")
        return self


ScheduleSpec = Annotated[MixedSpec | YokedSpec | MatchedSpec, Field(discriminator="kind")]

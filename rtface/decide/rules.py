"""The settings of rules: the `rules:` section of a rules file, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from rtface.config import Section, contradiction
from rtface.core.clock import NS_PER_MS
from rtface.core.records import Pulse
from rtface.decide.controls import ScheduleSpec, Seconds, TimedControl
from rtface.decide.features.specs import FeatureSpec
from rtface.decide.syntax import words_in


def _number_or_text(given: Any) -> Any:
    """Take a number that was written as a text for the number that it is."""
    if not isinstance(given, str):
        return given
    try:
        return float(given)
    except ValueError:
        return given


Limit = Annotated[float | str, BeforeValidator(_number_or_text)]
_LONGEST_MS = 600_000.0
_WIDEST = 8192
_NO_RATE_MS = 50.0
"""A frame period where it is not known."""


class PulseSpec(Section):
    """The light: one pulse (`width_ms`), or a train (`width_ms`, `frequency_hz`, `duration_ms`).

    The gate's own limits come on top.
    """

    width_ms: float = Field(gt=0, le=_LONGEST_MS)
    """Length of the pulse, or of each pulse of a train, in milliseconds."""
    frequency_hz: float | None = Field(None, gt=0, le=10_000)
    """Pulses per second of a train."""
    duration_ms: float | None = Field(None, gt=0, le=_LONGEST_MS)
    """From the beginning of a train to its end in milliseconds; a pulse that does not fit whole is left out."""
    amplitude: float = Field(1.0, gt=0, le=1)
    """Part of the full power."""

    @model_validator(mode="before")
    @classmethod
    def _old_name(cls, given: Any) -> Any:
        """Read `on_ms`, as the `width_ms` of a single pulse was called in older files and recorded sessions."""
        if not isinstance(given, Mapping) or "on_ms" not in given:
            return given
        others = {name: value for name, value in given.items() if name != "on_ms"}
        if given["on_ms"] is None:
            return others
        if others.get("width_ms") is not None:
            raise contradiction("on_ms is the old name of width_ms: one of the two", "on_ms")
        return others | {"width_ms": given["on_ms"]}

    @model_validator(mode="after")
    def _single_or_train(self) -> PulseSpec:
        if (self.frequency_hz is None) != (self.duration_ms is None):
            raise contradiction("a pulse is width_ms alone, a train has frequency_hz and duration_ms besides")
        if self.frequency_hz is not None and self.duration_ms is not None:
            if self.width_ms >= 1e3 / self.frequency_hz:
                raise contradiction(
                    f"pulses of {self.width_ms:g} ms leave no dark time at {self.frequency_hz:g} Hz",
                    "width_ms",
                )
            if self.width_ms > self.duration_ms:
                raise contradiction(
                    f"no pulse of {self.width_ms:g} ms fits into {self.duration_ms:g} ms", "duration_ms"
                )
        return self

    def record(self) -> Pulse:
        """Return it as the record that goes to the output."""
        on_ns = ns(self.width_ms)
        if self.frequency_hz is None or self.duration_ms is None:
            return Pulse(on_ns, on_ns, 1, self.amplitude)
        period_ns = round(1e9 / self.frequency_hz)
        count = 1 + max(0, ns(self.duration_ms) - on_ns) // period_ns
        return Pulse(on_ns, period_ns if count > 1 else on_ns, count, self.amplitude)


class RateSpec(Section):
    """A maximum rate: at most `count` in any stretch of `per_s` seconds."""

    count: int = Field(ge=1, le=10_000)
    """How many."""
    per_s: float = Field(gt=0, le=86_400)
    """In how many seconds."""


_UP, _DOWN = ("on_above", "off_below"), ("on_below", "off_above")


class RuleSpec(Section):
    """When light is requested, what prevents it, and what the light is.

    A rule begins to hold when its condition was true for `dwell_ms`, and ends when its release was for
    `release_ms`. Each time it holds is one request, and one request is one trial, unless `repeat`.
    """

    when: str | None = None
    """The condition, such as ``pad.amplitude > 6 and nose.speed < 200``."""
    release: str | None = None
    """The condition that ends it (hysteresis); the contrary of `when` when absent."""
    value: str | None = None
    """In place of `when` and `release`: a number, such as ``pad.amplitude``, held against two thresholds."""
    on_above: Limit | None = None
    """It begins when `value` is above this, a number or such as ``baseline + 3 sd``..."""
    off_below: Limit | None = None
    """...and ends when it is below this (`on_above` when absent)."""
    on_below: Limit | None = None
    """Or: it begins when `value` is below this..."""
    off_above: Limit | None = None
    """...and ends when it is above this (`on_below` when absent)."""
    dwell_ms: float = Field(0.0, ge=0, le=_LONGEST_MS)
    """How long the condition must be true, in exposure times, before the rule holds."""
    release_ms: float = Field(0.0, ge=0, le=_LONGEST_MS)
    """How long the release must be true before the rule no longer holds."""
    repeat: bool = False
    """While it holds, request again as soon as the refractory time has passed."""
    max_delay_ms: float | None = Field(None, ge=0)
    """A request that was held up fires no later than this after it began; for as long as it holds when absent."""
    refractory_ms: float = Field(1000.0, ge=0, le=86_400_000)
    """From the end of a pulse to the next that may begin."""
    max_rate: RateSpec | None = None
    """Maximum rate of trials."""
    max_pulses: int | None = Field(None, ge=1)
    """Trials in a session; a train is one. Shams and catches count as the pulses whose place they take."""
    windows: tuple[tuple[Seconds, Seconds], ...] = ()
    """Begin and end of the stretches of session time in seconds in which it may fire; always when empty."""
    min_score: float = Field(0.5, ge=0, le=1)
    """Least score of every value in its conditions."""
    max_age_ms: float = Field(20.0, gt=0, le=60_000)
    """Greatest age of the frame, and of the frames that its values rest on, at the decision."""
    max_gap_frames: int = Field(0, ge=0)
    """Frames that may be missing just before this one."""
    ignore_light_ms: float | None = Field(None, ge=0)
    """Frames exposed during a trial (a sham, too), or up to this long before or after, do not count, and what they request is
    withheld: the light may show in them. When absent a frame period, and what the rule's features remember beyond."""
    unless: str | None = None
    """A condition, such as ``paw.groom == 1``: while it is true, or cannot be known, requests are withheld."""
    priority: int = 0
    """There is one light: where two rules request it on one frame, the higher gets it; the first in the file of equals."""
    pulse: PulseSpec | None = None
    """The light; a rule without one only lends its truth to others, as ``rule.NAME``."""
    schedule: ScheduleSpec | None = None
    """Controls."""

    @model_validator(mode="after")
    def _consistent(self) -> RuleSpec:
        self._check_condition()
        for start_s, end_s in self.windows:
            if start_s >= end_s:
                raise contradiction(f"{start_s:g} to {end_s:g} s: the earlier time comes first", "windows")
        if self.schedule is not None and self.pulse is None:
            raise contradiction("a schedule of controls without a pulse", "schedule")
        return self

    def _check_condition(self) -> None:
        given = {name for name in (*_UP, *_DOWN) if getattr(self, name) is not None}
        if self.value is None:
            if given:
                raise contradiction(f"{min(given)} without value", min(given))
            if self.release is not None and self.when is None:
                raise contradiction("release without when", "release")
            if self.when is None and not self.timed:
                raise contradiction("a rule needs when, or value with on_above or on_below", "when")
            return
        if self.when is not None or self.release is not None:
            raise contradiction("value with thresholds, or when: one of the two", "value")
        if not ((given <= set(_UP) and "on_above" in given) or (given <= set(_DOWN) and "on_below" in given)):
            raise contradiction("value needs on_above (and off_below), or on_below (and off_above)", "value")
        up, down = self.on_above, self.on_below
        if isinstance(up, float) and isinstance(self.off_below, float) and self.off_below > up:
            raise contradiction(f"off_below {self.off_below:g} is above on_above {up:g}", "off_below")
        if isinstance(down, float) and isinstance(self.off_above, float) and self.off_above < down:
            raise contradiction(f"off_above {self.off_above:g} is below on_below {down:g}", "off_above")

    @property
    def timed(self) -> bool:
        """Whether session time makes its trials, not behaviour."""
        return isinstance(self.schedule, TimedControl)

    @property
    def conditions(self) -> tuple[str, ...]:
        """All its conditions."""
        return tuple(text for text in (self.begins, self.ends, self.unless) if text is not None)

    def beside_light(self, period_ms: float, memory_ms: Mapping[str, float]) -> RuleSpec:
        """Return it with `ignore_light_ms` written out.

        Parameters
        ----------
        period_ms : float
            Of the frames; no exposure is longer.
        memory_ms : mapping of str to float
            As of `Masked.memory_ms`, by the name of the feature.
        """
        if self.ignore_light_ms is not None:
            return self
        names = [name for text in self.conditions for name in words_in(text)]
        longest = max((memory_ms.get(name.rpartition(".")[0] or name, 0.0) for name in names), default=0.0)
        return self.model_copy(update={"ignore_light_ms": round(period_ms + longest, 3)})

    @property
    def begins(self) -> str | None:
        """The condition under which it begins to hold."""
        if self.value is None:
            return self.when
        return _compared(self.value, ">", self.on_above) or _compared(self.value, "<", self.on_below)

    @property
    def ends(self) -> str | None:
        """The condition under which it ends; None for the contrary of `begins`."""
        if self.value is None:
            return self.release
        return _compared(self.value, "<", self.off_below) or _compared(self.value, ">", self.off_above)


class BelievedSpec(Section):
    """Which frames rules believe. All others withhold, as an unknown value does."""

    frozen_ms: float | None = Field(120.0, gt=0)
    """A picture stands still once three frames or more have shown the same pixels in the crop, or the same keypoints to the
    last bit, for so long; null for a source that repeats its pictures."""
    min_view: float | None = Field(0.5, gt=0, le=1)
    """Least `view_ok` of a frame, 0 to 1: what the engine says of whether it knows the view; from 0.5 on it does. null: any
    view will do. An engine that keeps no view cannot say, and its frames are believed."""
    width: int = Field(_WIDEST, ge=1, le=1_000_000)
    """Width of the camera's frames in pixels, which the camera says where there is one."""
    height: int = Field(_WIDEST, ge=1, le=1_000_000)
    """Likewise their height. A keypoint farther outside than a whole frame is implausible."""


class BaselineSpec(Section):
    """What thresholds such as ``baseline + 3 sd`` rest on: frames of the same session, before it is armed."""

    seconds: float = Field(gt=0, le=1800)
    """How long it is taken, in exposure times of frames that are believed while the session is disarmed."""
    min_frames: int = Field(100, ge=2, le=1_000_000)
    """On fewer frames on which a value is known nothing is said of it, and nobody can arm."""
    min_score: float = Field(0.5, ge=0, le=1)
    """Least score of a value that counts as known."""
    robust: bool = False
    """Median and 1.4826 times the median absolute deviation, in place of mean and standard deviation."""


class RulesFile(Section):
    """A rules file: what is measured on the face, and what follows from it."""

    input: BelievedSpec | None = BelievedSpec()
    """Which frames rules believe; null: all, also those in which the rule's own light may show, unless `ignore_light_ms` is
    set. That is how rules were before there was this section."""

    features: dict[str, FeatureSpec] = Field(default_factory=dict)
    """What is measured, by name."""
    rules: dict[str, RuleSpec] = Field(default_factory=dict)
    """What follows from it, by name."""
    baseline: BaselineSpec | None = None
    """What ``baseline`` and ``sd`` in conditions are; none may be named when absent."""

    @property
    def session_seed(self) -> int | None:
        """The seed that a session has drawn; None for rules of no session, and of one before there was such a seed."""
        schedules = [each.schedule for each in self.rules.values() if each.schedule is not None]
        return next((each.session_seed for each in schedules if each.session_seed is not None), None)

    def of_session(self, seed: int | None) -> RulesFile:
        """Return these rules with the seed of a session in each schedule that has none."""
        rules = dict(self.rules)
        for name, rule in rules.items():
            schedule = rule.schedule
            if schedule is not None and schedule.session_seed is None:
                drawn = schedule.model_copy(update={"session_seed": seed})
                rules[name] = rule.model_copy(update={"schedule": drawn})
        return self.model_copy(update={"rules": rules})

    @classmethod
    def recorded(cls, text: str) -> RulesFile:
        """Return rules as a session has them, as JSON; those of before there was `input` believe every frame.

        Raises
        ------
        ValueError
            They are not what this rtface takes for rules.
        """
        spec = cls.model_validate_json(text)
        return spec if "input" in spec.model_fields_set else spec.model_copy(update={"input": None})

    def for_camera(self, rate_hz: float | None, frame: tuple[int, int] | None = None) -> RulesFile:
        """Return them with all that follows from the camera written out, so that a record needs nothing else.

        Parameters
        ----------
        rate_hz : float or None
            Frames per second.
        frame : (int, int) or None
            Width and height of the frames in pixels, where they are known.
        """
        features = {name: spec.at_rate(rate_hz) for name, spec in self.features.items()}
        period_ms = _period_ms(rate_hz)
        rules, given = self.rules, self.input
        if given is not None:
            memory = {name: spec.memory_ms(period_ms) for name, spec in features.items()}
            rules = {name: rule.beside_light(period_ms, memory) for name, rule in rules.items()}
        if given is not None and frame is not None:
            given = given.model_copy(update={"width": frame[0], "height": frame[1]})
        return self.model_copy(update={"features": features, "rules": rules, "input": given})

    def for_cameras(self, rates_hz: Mapping[str, float | None]) -> RulesFile:
        """Return them with all that follows from several cameras written out; as `for_camera`.

        Parameters
        ----------
        rates_hz : mapping of str to float or None
            Frames per second of each camera. The features of a camera begin with its name.
        """
        features: dict[str, FeatureSpec] = {}
        memory: dict[str, float] = {}
        periods_ms = {name: _period_ms(rate_hz) for name, rate_hz in rates_hz.items()}
        for name, spec in self.features.items():
            camera = name.partition(".")[0]
            features[name] = known = spec.at_rate(rates_hz.get(camera))
            memory[name] = known.memory_ms(periods_ms.get(camera, _NO_RATE_MS))
        rules = self.rules
        if self.input is not None:
            longest_ms = max(periods_ms.values())
            rules = {name: rule.beside_light(longest_ms, memory) for name, rule in rules.items()}
        return self.model_copy(update={"features": features, "rules": rules})


def _period_ms(rate_hz: float | None) -> float:
    return _NO_RATE_MS if rate_hz is None else 1e3 / rate_hz


def ns(milliseconds: float) -> int:
    """Return milliseconds as whole nanoseconds."""
    return round(milliseconds * NS_PER_MS)


def _compared(value: str, sign: str, limit: float | str | None) -> str | None:
    if limit is None:
        return None
    return f"{value} {sign} ({limit})" if isinstance(limit, str) else f"{value} {sign} {limit!r}"

"""Rules described in words, and the thresholds that they compare values with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rtface.decide.baseline import Spread, constant
from rtface.decide.controls import MatchedSpec, MixedSpec, YokedSpec
from rtface.decide.rules import BaselineSpec, BelievedSpec, PulseSpec, RuleSpec
from rtface.decide.syntax import ALIASES, Node, parse


def describe_rule(spec: RuleSpec) -> list[str]:
    """Return a rule in words, a line for each part."""
    lines = [] if spec.begins is None else [_condition(spec)]
    if spec.pulse is None:
        return [*lines, "no light: its truth is for other rules"]
    lines += [f"light: {_pulse(spec.pulse)}", *_controls(spec), f"held back: {'; '.join(_limits(spec))}"]
    return lines


def describe_baseline(spec: BaselineSpec | None, names: Sequence[str]) -> str:
    """Return what ``baseline`` and ``sd`` are, in words; empty where no rule names them."""
    if spec is None or not names:
        return ""
    what = "median and 1.4826 x MAD" if spec.robust else "mean and standard deviation"
    return (
        f"baseline and sd: {what} of {', '.join(names)} over the first {spec.seconds:g} s of frames while disarmed "
        f"(known on {spec.min_frames} or more, score {spec.min_score:g} or more); nobody can arm before, and they stand then"
    )


def thresholds(
    spec: RuleSpec, spreads: Mapping[str, Spread] | None = None
) -> dict[str, list[tuple[float, bool]]]:
    """Return the numbers that names are compared with, by recorded name.

    Parameters
    ----------
    spec : RuleSpec
    spreads : mapping of str to Spread, optional
        The baselines; thresholds that rest on others are left out.

    Returns
    -------
    dict of str to list of (limit, begins)
        `begins` is True for limits of the condition, False for those of the release or of `unless` alone.
    """
    found: dict[str, list[tuple[float, bool]]] = {}
    for text, begins in ((spec.begins, True), (spec.ends, False), (spec.unless, False)):
        for node in parse(text).walk() if text is not None else ():
            if node.kind == "compare":
                for name, limit in _held(node, spreads or {}):
                    found.setdefault(name, []).append((limit, begins))
    return found


def _held(node: Node, spreads: Mapping[str, Spread]) -> list[tuple[str, float]]:
    pairs = zip(node.parts, node.parts[1:], strict=False)
    both = [pair for one, two in pairs for pair in ((one, two), (two, one))]
    return [
        (ALIASES.get(name.text, name.text), limit)
        for name, other in both
        if name.kind == "name" and (limit := constant(other, spreads)) is not None
    ]


def _condition(spec: RuleSpec) -> str:
    dwell = f" for {spec.dwell_ms:g} ms" if spec.dwell_ms else ""
    ends = f"{spec.ends}" if spec.ends is not None else "that is no longer so"
    release = f" for {spec.release_ms:g} ms" if spec.release_ms else ""
    again = ", again and again" if spec.repeat else ""
    return f"holds when {spec.begins}{dwell}, until {ends}{release}{again}"


def _pulse(spec: PulseSpec) -> str:
    pulse = spec.record()
    power = "full power" if spec.amplitude == 1 else f"{spec.amplitude:.0%} of full power"
    one = f"{pulse.on_ns / 1e6:g} ms"
    if pulse.count == 1:
        return f"one pulse of {one} at {power}"
    return (
        f"{pulse.count} pulses of {one} at {1e9 / pulse.period_ns:g} Hz "
        f"({pulse.duration_ns / 1e6:g} ms in all) at {power}"
    )


def _controls(spec: RuleSpec) -> list[str]:
    schedule = spec.schedule
    if schedule is None:
        return []
    blind = ", blinded" if schedule.blind else ""
    match schedule:
        case MixedSpec():
            block = f" in each block of {schedule.block}" if schedule.block is not None else ""
            what = f"{schedule.sham:.0%} shams, {schedule.catch:.0%} catches{block}"
        case YokedSpec():
            what = (
                f"yoked: {len(schedule.times_s or ())} pulses at the times of {schedule.source or 'the list'}"
            )
        case MatchedSpec():
            count = schedule.count if schedule.count is not None else len(schedule.times_s or ())
            what = f"matched: {count} pulses at random times from {schedule.span_s[0]:g} to {schedule.span_s[1]:g} s"
    return [f"controls: {what}{blind} (seed {schedule.seed})"]


def _limits(spec: RuleSpec) -> list[str]:
    lines = [f"{spec.refractory_ms:g} ms after each"] if spec.refractory_ms else []
    if spec.max_rate is not None:
        lines.append(f"beyond {spec.max_rate.count} in {spec.max_rate.per_s:g} s")
    if spec.max_pulses is not None:
        lines.append(f"after {spec.max_pulses} in a session")
    if spec.windows:
        lines.append("outside " + ", ".join(f"{begin:g} to {end:g} s" for begin, end in spec.windows))
    if spec.max_delay_ms is not None:
        lines.append(f"more than {spec.max_delay_ms:g} ms after it began to hold")
    lines += [f"score below {spec.min_score:g}", f"older than {spec.max_age_ms:g} ms"]
    lines.append(
        f"after more than {spec.max_gap_frames} missing frames"
        if spec.max_gap_frames
        else "after a missing frame"
    )
    if spec.ignore_light_ms is not None:
        lines.append(f"frames within {spec.ignore_light_ms:g} ms of a trial's light are ignored")
    if spec.unless is not None:
        lines.append(f"while {spec.unless}, or where that cannot be known")
    return lines


def describe_input(spec: BelievedSpec | None) -> str:
    """Return which frames rules believe, in words."""
    if spec is None:
        return "every frame is believed, as before there was `input`"
    frozen = "" if spec.frozen_ms is None else f"a picture that stands still for {spec.frozen_ms:g} ms, "
    view = (
        ""
        if spec.min_view is None
        else f"a view of less than {spec.min_view:g} (one that the engine does not know), "
    )
    return (
        f"withheld: {frozen}{view}a score outside 0 to 1, a keypoint farther outside than {spec.width}x{spec.height} px, "
        "and what is requested during a trial or beside it, light or sham"
    )

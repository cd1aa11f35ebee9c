"""Which features can never be known at a camera's rate, found by trying: filters that start afresh on every frame say nothing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rtface.core.clock import NS_PER_S
from rtface.core.records import FrameMeta, Pose, Stamps
from rtface.decide.expression import names_in
from rtface.decide.features.bank import FeatureBank
from rtface.decide.rules import RulesFile
from rtface.decide.rulestate import RULE
from rtface.decide.syntax import parse

_FIRST_S = 1.0
_FEWEST, _MOST = 20, 20_000
_SPREAD_PX = 20.0


def never_known(rules: RulesFile, keypoints: tuple[str, ...], rate_hz: float) -> dict[str, tuple[str, ...]]:
    """Return for each rule the values it names that can never be known at a rate, however well the face is seen.

    Parameters
    ----------
    rules : RulesFile
    keypoints : tuple of str
        The engine's.
    rate_hz : float
        The camera's frames per second.

    Returns
    -------
    dict of str to tuple of str
        Rules without such values are left out; a rule that rests on another has the other's, too.

    Raises
    ------
    RulesError
        The features do not fit.
    """
    unknown = (
        _unknown(FeatureBank(rules.features, keypoints, rate_hz), rules, rate_hz) if rules.features else set()
    )
    return _lacking(rules, unknown)


def never_known_of(
    rules: RulesFile, bank: FeatureBank, camera: str, rate_hz: float
) -> dict[str, tuple[str, ...]]:
    """Return for each rule the values of one of several cameras that can never be known; else as `never_known`.

    Parameters
    ----------
    rules : RulesFile
        Over all cameras.
    bank : FeatureBank
        The camera's, which is not changed.
    camera : str
        Its name.
    rate_hz : float
        Its frames per second.
    """
    specs = {name: spec for name, spec in rules.features.items() if name.startswith(f"{camera}.")}
    own = rules.model_copy(update={"features": specs})
    unknown = _unknown(FeatureBank(specs, bank.keypoints, rate_hz, camera), own, rate_hz) if specs else set()
    return _lacking(rules, unknown)


def _lacking(rules: RulesFile, unknown: set[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in rules.rules:
        lacking = tuple(sorted(_named(name, rules, set()) & unknown))
        if lacking:
            found[name] = lacking
    return found


def never_known_in_words(rule: str, values: Iterable[str], rate_hz: float) -> str:
    """Return what `never_known` found of a rule, and what to do."""
    return (
        f"rules.{rule}: {', '.join(values)} can never be known at {rate_hz:g} frames/s, so what rests on it is always "
        f"withheld: max_gap_ms must be above {1e3 / rate_hz:.0f}, the time from frame to frame (absent, it is)"
    )


def all_in_words(rules: RulesFile, keypoints: tuple[str, ...], rate_hz: float | None) -> tuple[str, ...]:
    """Return it for each rule that can never be known; nothing where the rate is not known."""
    if rate_hz is None:
        return ()
    found = never_known(rules, keypoints, rate_hz)
    return tuple(never_known_in_words(name, values, rate_hz) for name, values in found.items())


def _unknown(bank: FeatureBank, rules: RulesFile, rate_hz: float) -> set[str]:
    """Show the features points that are all seen, and move."""
    needed_s = _FIRST_S + max(spec.known_after_s() for spec in rules.features.values())
    frames = int(np.clip(needed_s * rate_hz, _FEWEST, _MOST))
    random = np.random.default_rng(0)
    points = len(bank.keypoints)
    where, certain = random.uniform(0, 200, (points, 2)), np.ones(points, np.float32)
    known = np.zeros(len(bank.names), bool)
    for number in range(frames):
        now_ns = round((number + 1) * NS_PER_S / rate_hz)
        xy = (where + random.normal(0, _SPREAD_PX, (points, 2))).astype(np.float32)
        frame = FrameMeta(number, now_ns, now_ns)
        pose = Pose(frame, Stamps(*[now_ns] * 6), xy, certain, np.zeros(points, np.bool_))
        known |= np.isfinite(bank.update(pose).values)
    return {name for name, each in zip(bank.names, known.tolist(), strict=True) if not each}


def _named(rule: str, rules: RulesFile, seen: set[str]) -> set[str]:
    """Return the values that a rule names, and those of the rules that it names."""
    if rule in seen or rule not in rules.rules:
        return set()
    seen.add(rule)
    names = {name for text in rules.rules[rule].conditions for name in names_in(parse(text))}
    for name in list(names):
        if name.startswith(RULE):
            names |= _named(name.removeprefix(RULE), rules, seen)
    return names

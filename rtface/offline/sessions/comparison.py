"""Two sessions beside each other: latencies, counts, and which settings differ."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from rtface.offline.sessions.certificate import Certificate, certify
from rtface.offline.sessions.outline import Outline

MOST_SETTINGS = 500
MOST_LINES = 400
_MOST_TEXT = 200


@dataclass(frozen=True)
class Pair:
    """What is compared: its name, and both sides; None where a side has none."""

    name: str
    first: Any
    second: Any


@dataclass(frozen=True)
class SessionComparison:
    """Two sessions beside each other.

    Attributes
    ----------
    first, second : str
        The names of their folders.
    latency : tuple of Pair
        Of each stage the percentiles, as mappings.
    counts : tuple of Pair
        Poses, decisions, losses: what was counted.
    settings : tuple of Pair
        Of the rig's configuration, the machine and the hashes those that differ, by their path.
    more_settings : int
        That differ beside these.
    rules : tuple of str
        How the rules' texts differ, as lines of a difference; empty where they do not.
    """

    first: str
    second: str
    latency: tuple[Pair, ...]
    counts: tuple[Pair, ...]
    settings: tuple[Pair, ...]
    more_settings: int
    rules: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for machines."""
        pairs = {name: getattr(self, name) for name in ("latency", "counts", "settings")}
        return {
            "first": self.first,
            "second": self.second,
            **{
                name: [{"name": each.name, "first": each.first, "second": each.second} for each in found]
                for name, found in pairs.items()
            },
            "more_settings": self.more_settings,
            "rules": list(self.rules),
        }


def compare_sessions(
    first: Outline, second: Outline, *, unblind: tuple[bool, bool] = (False, False)
) -> SessionComparison:
    """Set two sessions beside each other.

    Parameters
    ----------
    first, second : Outline
    unblind : (bool, bool)
        Tell light and sham of blinded trials apart in the first, and in the second.
    """
    sides = list(zip((first, second), unblind, strict=True))
    certificates = [certify(side, unblind=told) for side, told in sides]
    counts = [
        _counts(side, certificate, told)
        for (side, told), certificate in zip(sides, certificates, strict=True)
    ]
    settings = list(_different(_settings(first), _settings(second)))
    return SessionComparison(
        first=first.session.folder.name,
        second=second.session.folder.name,
        latency=tuple(_paired(*(_latencies(each) for each in certificates))),
        counts=tuple(_paired(*counts)),
        settings=tuple(settings[:MOST_SETTINGS]),
        more_settings=max(0, len(settings) - MOST_SETTINGS),
        rules=_rules(first, second),
    )


def _latencies(certificate: Certificate) -> dict[str, Any]:
    stages = {name: stage.as_dict() for name, stage in certificate.stages.items()}
    return stages | {f"{name} (of light)": dict(stage) for name, stage in (certificate.light or {}).items()}


def _counts(found: Outline, certificate: Certificate, unblind: bool) -> dict[str, Any]:
    summary = found.summary(unblind=unblind)
    counts: dict[str, Any] = {
        "seconds": round(summary.seconds, 3),
        "poses": summary.poses,
        "poses a second": None if summary.rate_hz is None else round(summary.rate_hz, 2),
        "frames recorded": summary.frames,
        "later than the deadline": certificate.misses,
        "frame numbers without a pose": certificate.gaps,
    }
    counts |= {f"lost: {name}": count for name, count in summary.losses.items()}
    for (rule, action, reason), count in summary.decisions.items():
        if action != "none":
            counts[f"{rule}: {action} ({reason})"] = count
    if summary.pulses is not None:
        counts |= {"commands to fire": summary.pulses.commanded, "lights": summary.pulses.lit}
    return counts


def _settings(found: Outline) -> dict[str, str]:
    session = found.session
    configuration, opened, hashes = session.configuration, session.opened, session.hashes
    flat: dict[str, str] = {}
    if configuration is not None:
        try:
            rig = yaml.safe_load(configuration.rig)
        except yaml.YAMLError:
            rig = configuration.rig
        flat |= dict(_flat("rig", rig))
        flat["keypoints"] = ", ".join(configuration.keypoints)
    if opened is not None:
        flat |= dict(_flat("machine", opened.machine))
    if hashes is not None:
        flat |= dict(_flat("sha256", hashes.sha256))
    return flat


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every value within a value by its path."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _flat(f"{name}.{key}", each)
        return
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    yield name, text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."


def _paired(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Pair]:
    for name in dict.fromkeys((*first, *second)):
        yield Pair(name, first.get(name), second.get(name))


def _different(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Pair]:
    return (each for each in _paired(first, second) if each.first != each.second)


def _rules(first: Outline, second: Outline) -> tuple[str, ...]:
    before, after = (
        "" if each.session.configuration is None else each.session.configuration.rules
        for each in (first, second)
    )
    names = first.session.folder.name, second.session.folder.name
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="", n=2)
    return tuple(line[:_MOST_TEXT] for _, line in zip(range(MOST_LINES), lines, strict=False))

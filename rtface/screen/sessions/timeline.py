"""A stretch of a session as a page draws it: never more points than the page has pixels, however long the stretch is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.clock import NS_PER_S
from rtface.core.errors import UsageError
from rtface.offline.sessions.certificate import is_blinded
from rtface.offline.sessions.envelope import Envelope
from rtface.offline.sessions.lights import LightSpan, light_spans
from rtface.offline.sessions.outline import Outline
from rtface.offline.sessions.reasons import RuleThresholds
from rtface.record.session.entries import ArmingEntry, DecisionEntry, FaultEntry, GapEntry, MarkEntry
from rtface.record.session.summary import shown

MOST_POINTS = 4000
MOST_SERIES = 12
MOST_EVENTS = 400
"""Marks, armings and faults of an answer, each."""
MOST_RAW = 40_000
"""Rows that are read from the log for an answer; a longer stretch is drawn from the envelope."""

_ENDS = frozenset({"disarmed", "fault", "emergency"})


def timeline(
    found: Outline, begin_s: float, end_s: float, points: int, names: list[str] | None, *, unblind: bool
) -> dict[str, Any]:
    """Return a stretch of a session.

    Parameters
    ----------
    found : Outline
    begin_s, end_s : float
        Seconds since the session began; not finite: from its beginning, to its end.
    points : int
        Pixels of the page.
    names : list of str or None
        Which values; None for the first few of those that rules compare with thresholds, then others.
    unblind : bool
        Tell light and sham apart.

    Raises
    ------
    UsageError
        The stretch is empty, a name is none of the session's, or there are too many.
    DataError
        The log was changed after it was read.
    """
    length_s = found.seconds
    begin_s = begin_s if math.isfinite(begin_s) else 0.0
    end_s = end_s if math.isfinite(end_s) else max(length_s, 1e-3)
    if not begin_s < end_s:
        raise UsageError(f"a stretch ends after it begins, not from {begin_s:g} s to {end_s:g} s")
    points = min(max(points, 50), MOST_POINTS)
    scale = _Scale(found.began_ns, begin_s, end_s, points)
    thresholds = found.thresholds
    limits = thresholds.all_at(scale.end_ns)
    known = _names(found)
    chosen = _chosen(known, names, limits)
    blinded = is_blinded(found.session, unblind=unblind)
    spans = None if blinded else list(_joined(light_spans(found.session, blinded=False), scale))
    return {
        "begin": begin_s,
        "end": end_s,
        "length": length_s,
        "values": [{"name": name, "unit": unit} for name, unit in known.items()],
        "series": _series(found, scale, known, chosen),
        "thresholds": {name: limits[name] for name in chosen if name in limits},
        "rules": _lanes(found, scale, unblind=unblind),
        "light": spans,
        "blinded": blinded,
        "armed": _armed(found, scale),
        "marks": _moments(found, scale, MarkEntry),
        "faults": [*_moments(found, scale, FaultEntry), *_moments(found, scale, GapEntry)],
    }


class _Scale:
    """Times of a session as seconds since it began, and as columns of pixels."""

    def __init__(self, began_ns: int, begin_s: float, end_s: float, points: int) -> None:
        self.began_ns, self.points = began_ns, points
        self.begin_ns, self.end_ns = (began_ns + round(each * NS_PER_S) for each in (begin_s, end_s))
        self.width_ns = max(1, (self.end_ns - self.begin_ns) // points)

    def holds(self, t_ns: int) -> bool:
        return self.begin_ns <= t_ns <= self.end_ns

    def seconds(self, t_ns: int) -> float:
        return round((t_ns - self.began_ns) / NS_PER_S, 6)

    def column(self, t_ns: int) -> int:
        return (t_ns - self.begin_ns) // self.width_ns


def _names(found: Outline) -> dict[str, str]:
    said = found.session.configuration
    if said is None:
        return {}
    units = [*said.units, *[""] * len(said.features)]
    return dict(zip(said.features, units, strict=False))


def _chosen(known: dict[str, str], names: list[str] | None, limits: dict[str, Any]) -> list[str]:
    if names is None:
        first = [name for name in known if name in limits]
        return [*first, *(name for name in known if name not in limits)][:4]
    wrong = [name for name in names if name not in known]
    if wrong or len(names) > MOST_SERIES:
        raise UsageError(
            f"this session has no value {wrong[0]!r}" if wrong else f"at most {MOST_SERIES} values at once"
        )
    return names


def _series(found: Outline, scale: _Scale, known: dict[str, str], chosen: list[str]) -> list[dict[str, Any]]:
    if found.envelope is None or not chosen:
        return []
    columns = np.array([list(known).index(name) for name in chosen], np.intp)
    index = found.index["features"]
    first, last = index.between(scale.begin_ns, scale.end_ns)
    raw = index.rows_in(first, last) <= MOST_RAW
    envelope = found.envelope
    if raw:
        parts = [(rows["now_ns"], rows["values"][:, columns]) for rows in index.read(found.log, first, last)]
        if not parts:
            return []
        envelope = Envelope.of(*(np.concatenate(each) for each in zip(*parts, strict=True)))
        columns = np.arange(len(chosen))
    starts, low, high = envelope.part(scale.begin_ns, scale.end_ns, scale.points, columns)
    times = [scale.seconds(each) for each in starts.tolist()]
    return [
        {
            "name": name,
            "unit": known[name],
            "t": times,
            "low": _plain(low[:, number]),
            "high": _plain(high[:, number]),
        }
        for number, name in enumerate(chosen)
    ]


def _plain(values: NDArray[np.float32]) -> list[float | None]:
    return [float(f"{each:.6g}") if math.isfinite(each) else None for each in values.tolist()]


def _lanes(found: Outline, scale: _Scale, *, unblind: bool) -> list[dict[str, Any]]:
    """Return the decisions of each rule: one of each kind for a column of pixels, with how many there are."""
    lanes: dict[str, dict[tuple[int, str], list[Any]]] = {}
    for each in found.session.decisions:
        lane = lanes.setdefault(each.rule, {})
        if each.action == "none" or not scale.holds(each.t_ns):
            continue
        action, reason = shown(each, unblind=unblind)
        which = scale.column(each.t_ns), action
        if which in lane:
            lane[which][4] += 1
        else:
            lane[which] = [scale.seconds(each.t_ns), action, reason, each.number, 1]
    return [
        {"rule": rule, "decisions": sorted(lane.values(), key=lambda each: float(each[0]))}
        for rule, lane in lanes.items()
    ]


def _joined(spans: Iterable[LightSpan], scale: _Scale) -> Iterator[list[float]]:
    """Yield begin and end of the times of light; those of the same column of pixels as one."""
    before: list[int] | None = None
    for each in spans:
        if each.end_ns < scale.begin_ns or each.begin_ns > scale.end_ns:
            continue
        if before is not None and each.begin_ns - before[1] < scale.width_ns:
            before[1] = max(before[1], each.end_ns)
            continue
        if before is not None:
            yield [scale.seconds(before[0]), scale.seconds(before[1])]
        before = [each.begin_ns, each.end_ns]
    if before is not None:
        yield [scale.seconds(before[0]), scale.seconds(before[1])]


def _armed(found: Outline, scale: _Scale) -> list[list[float]]:
    """Return begin and end of the times in which the session was armed."""
    spans: list[list[float]] = []
    since: int | None = None
    for each in found.session.of(ArmingEntry):
        if each.event == "armed" and since is None:
            since = each.t_ns
        elif each.event in _ENDS and since is not None:
            spans.append([scale.seconds(since), scale.seconds(each.t_ns)])
            since = None
    if since is not None:
        spans.append([scale.seconds(since), max(scale.seconds(scale.end_ns), scale.seconds(since))])
    return spans[:MOST_EVENTS]


def _moments(
    found: Outline, scale: _Scale, kind: type[MarkEntry | FaultEntry | GapEntry]
) -> list[dict[str, Any]]:
    entries = [each for each in found.session.of(kind) if scale.holds(each.t_ns)]
    return [
        {"t": scale.seconds(each.t_ns), "who": getattr(each, "who", ""), "text": _text(each)}
        for each in entries[:MOST_EVENTS]
    ]


def _text(entry: MarkEntry | FaultEntry | GapEntry) -> str:
    return f"camera {entry.event}: {entry.why}" if isinstance(entry, GapEntry) else entry.text


def decisions(
    found: Outline,
    *,
    unblind: bool,
    begin_s: float = -math.inf,
    end_s: float = math.inf,
    rule: str = "",
    action: str = "",
    offset: int = 0,
    limit: int = 100,
) -> dict[str, Any]:
    """Return decisions with the values that they rested on, each beside its threshold.

    Parameters
    ----------
    found : Outline
    unblind : bool
        Tell light and sham apart.
    begin_s, end_s : float
        Seconds since the session began.
    rule, action : str
        Only of this rule, only this action; empty for all but those in which the state alone changed (``none``).
    offset, limit : int
    """
    thresholds = found.thresholds
    chosen = [
        each for each in found.session.decisions if _asked(each, found, begin_s, end_s, rule, action, unblind)
    ]
    return {
        "count": len(chosen),
        "decisions": [_decided(each, found, thresholds, unblind) for each in chosen[offset : offset + limit]],
        "rules": sorted({each.rule for each in found.session.decisions}),
    }


def _asked(
    each: DecisionEntry, found: Outline, begin_s: float, end_s: float, rule: str, action: str, unblind: bool
) -> bool:
    at_s = (each.t_ns - found.began_ns) / NS_PER_S
    told = shown(each, unblind=unblind)[0]
    return (
        begin_s <= at_s <= end_s
        and (not rule or each.rule == rule)
        and (told == action if action else told != "none")
    )


def _decided(
    each: DecisionEntry, found: Outline, thresholds: RuleThresholds, unblind: bool
) -> dict[str, Any]:
    action, reason = shown(each, unblind=unblind)
    return {
        "number": each.number,
        "t": round((each.t_ns - found.began_ns) / NS_PER_S, 6),
        "frame": each.frame_id,
        "rule": each.rule,
        "action": action,
        "reason": reason,
        "state": [each.state_before, each.state_after],
        "trial": each.trial,
        "values": [value.as_dict() for value in thresholds.beside(each)],
    }

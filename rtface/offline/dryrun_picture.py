"""The picture of a dry run: what was measured, what was requested, what came of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.decision import Action, Decision, Reason
from rtface.core.drawing import new_figure
from rtface.decide.description import thresholds
from rtface.decide.expression import names_in
from rtface.decide.rules import RulesFile
from rtface.decide.syntax import parse

if TYPE_CHECKING:
    from rtface.offline.dryrun import DryRun

MOST_FEATURES = 8
_BINS = 2000
_FIRE, _SHAM, _CATCH, _LIMIT = "#d95f02", "#1b9e77", "#7570b3", "#377eb8"
_REASONS = ("#666666", "#e7298a", "#66a61e", "#a6761d", "#17becf", "#e6ab02", "#984ea3", "#999999")


def draw_dry_run(run: DryRun, path: Path) -> None:
    """Draw a dry run.

    Parameters
    ----------
    run : DryRun
    path : Path
        The picture's file; its ending decides the kind.
    """
    spec = run.rules.spec
    shown = _shown(spec, run.names)
    lanes = [name for name, rule in spec.rules.items() if rule.pulse is not None]
    heights = [*[1.0] * len(shown), 0.4 + 0.45 * len(lanes)]
    figure = new_figure(11, 0.9 + 1.3 * sum(heights), dpi=110)
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    fired = [each for name in lanes for each in run.of(name, Action.FIRE)]
    for axis, name in zip(axes, shown, strict=False):
        _draw_feature(axis, run, name, fired)
    _draw_rules(axes[-1], run, lanes)
    axes[-1].set_xlabel("time (s)")
    if run.armed_s:
        for axis in axes:
            axis.axvspan(run.times_s[0], run.armed_s, color="0.93", zorder=0)
    beside = 0.005 * run.seconds + 1e-3
    axes[-1].set_xlim(run.times_s[0] - beside, run.times_s[-1] + beside)
    figure.suptitle(f"{run.rules.path.name} over {Path(run.source).name or run.source}", fontsize=10)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    figure.savefig(path)


def _shown(spec: RulesFile, names: Iterable[str]) -> list[str]:
    """Return the features that the rules name, in the order of the file."""
    texts = [text for rule in spec.rules.values() for text in (rule.begins, rule.ends) if text is not None]
    named = {name for text in texts for name in names_in(parse(text))}
    return [name for name in names if name in named][:MOST_FEATURES]


def _draw_feature(axis: Any, run: DryRun, name: str, fired: list[Decision]) -> None:
    index = run.names.index(name)
    for each in fired:
        axis.axvline(run.time_s(each), color=_FIRE, linewidth=0.8, alpha=0.5, zorder=1)
    times, values = _thinned(run.times_s, run.values[:, index])
    axis.plot(times, values, color="0.25", linewidth=0.8, zorder=2)
    for rule in run.rules.spec.rules.values():
        for limit, begins in thresholds(rule, run.spreads).get(name, ()):
            axis.axhline(limit, color=_LIMIT, linewidth=0.9, linestyle="--" if begins else ":", zorder=3)
    unit = run.units[index]
    axis.set_ylabel(f"{name}\n({unit})" if unit != "1" else name, fontsize=8)


def _draw_rules(axis: Any, run: DryRun, lanes: list[str]) -> None:
    files = list(run.rules.spec.rules)
    reasons: dict[Reason, str] = {}
    for lane, rule in enumerate(lanes):
        holds = run.holds[:, files.index(rule)] == 1
        axis.broken_barh(_stretches(run.times_s, holds), (lane - 0.16, 0.32), color="0.82", zorder=1)
        for action, colour, marker in (
            (Action.FIRE, _FIRE, "|"),
            (Action.SHAM, _SHAM, "|"),
            (Action.CATCH, _CATCH, "x"),
        ):
            at = [run.time_s(each) for each in run.of(rule, action)]
            size = 18 if marker == "|" else 6
            axis.plot(
                at, [lane] * len(at), marker, color=colour, markersize=size, markeredgewidth=2.2, zorder=3
            )
        for each in run.of(rule, Action.WITHHOLD):
            colour = reasons.setdefault(each.reason, _REASONS[len(reasons) % len(_REASONS)])
            axis.plot([run.time_s(each)], [lane + 0.3], "^", color=colour, markersize=5, zorder=2)
    axis.set_yticks(range(len(lanes)), [_counted(run, rule) for rule in lanes], fontsize=8)
    axis.set_ylim(len(lanes) - 0.4, -0.6)
    handles: list[Any] = [axis.broken_barh([(0, 0)], (0, 0), color="0.82", label="holds")]
    for label, style in (("begins at", "--"), ("ends at", ":")):
        handles += axis.plot([], [], style, color=_LIMIT, linewidth=0.9, label=label)
    for label, colour, marker in (("fires", _FIRE, "|"), ("sham", _SHAM, "|"), ("catch", _CATCH, "x")):
        handles += axis.plot([], [], marker, color=colour, markersize=8, markeredgewidth=2, label=label)
    for reason, colour in reasons.items():
        handles += axis.plot([], [], "^", color=colour, markersize=5, label=f"withheld: {reason.value}")
    axis.legend(
        handles=handles, fontsize=7, ncols=7, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.4)
    )


def _counted(run: DryRun, rule: str) -> str:
    counts = [(len(run.of(rule, action)), word) for action, word in (
        (Action.FIRE, "fired"), (Action.SHAM, "sham"), (Action.CATCH, "catch"), (Action.WITHHOLD, "withheld"))]  # fmt: skip
    return f"{rule}\n" + ", ".join(f"{count} {word}" for count, word in counts if count or word == "fired")


def _stretches(times: NDArray[np.float64], state: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return begin and length of each stretch in which a state is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], state, [False]]).astype(int)))
    ends = np.append(times, times[-1])
    return [
        (float(times[a]), float(ends[b] - times[a])) for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]


def _thinned(times: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[Any, Any]:
    """Return least and largest value of each of at most `_BINS` stretches of a long trace, or all of a short one."""
    size = math.ceil(len(values) / _BINS)
    if size < 2:
        return times, values
    cut = values[: len(values) // size * size].reshape(-1, size)
    known = np.isfinite(cut).any(axis=1)
    low = np.where(known, np.min(np.where(np.isfinite(cut), cut, np.inf), axis=1), np.nan)
    high = np.where(known, np.max(np.where(np.isfinite(cut), cut, -np.inf), axis=1), np.nan)
    return np.repeat(times[: cut.size : size], 2), np.stack([low, high], axis=1).ravel()

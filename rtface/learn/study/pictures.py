"""Pictures of a study: models over recordings, curves by neurons and minutes, and what groups of keypoints are worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rtface.core.drawing import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 130
_KINDS = {"keypoints": "#0072B2", "movie": "#D55E00", "behaviour": "#009E73"}
_MODELS = {"linear": "#E69F00", "network": "#0072B2"}
_MARKERS = {"linear": "s", "network": "o"}
_VARIANCE = "variance explained, held-out time"


def draw_models(path: Path, over: Mapping[str, Any], simulated: bool) -> None:
    """Draw each model's variance explained: a dot a recording, joined, and the mean with its 95 % interval."""
    names = list(over["models"])
    figure, (axes,) = _figure(1, 1.6 + 0.75 * len(names), 3.9, simulated)
    every = np.array([[np.nan if v is None else v for v in over["models"][name]["values"]] for name in names])
    place = np.arange(len(names))
    axes.plot(place, every, "-", color="0.8", lw=0.8, zorder=1)
    for index, name in enumerate(names):
        found, colour = over["models"][name], _KINDS[name.rsplit(", ", 1)[-1]]
        axes.plot(np.full(every.shape[1], index), every[index], "o", ms=4, color=colour, alpha=0.6, lw=0)
        axes.hlines(found["mean"], index - 0.25, index + 0.25, color=colour, lw=2.2, zorder=3)
        if found["low"] is not None and np.isfinite(found["low"]):
            axes.vlines(index, found["low"], found["high"], color=colour, lw=1.4, zorder=3)
    axes.set_xticks(place, [_broken(name) for name in names], fontsize=8)
    axes.axhline(0, color="k", lw=0.5)
    axes.set_ylabel(_VARIANCE)
    intervals = "bar: mean, line: 95 % interval" if over["n"] > 1 else "bar: its value"
    axes.set_title(f"n = {over['n']} recordings; {intervals}", fontsize=9)
    figure.savefig(path, dpi=_DPI)


def draw_curves(path: Path, sessions: Mapping[str, Any], simulated: bool) -> None:
    """Draw what keypoints explain by number of neurons and by minutes of training: a line a recording, and the mean."""
    figure, (left, right) = _figure(2, 7.6, 3.4, simulated)
    for axes, curve, key, words in (
        (left, "by_neurons", "neurons", "neurons"),
        (right, "by_minutes", "minutes", "minutes of training"),
    ):
        for model, colour in _MODELS.items():
            for index, found in enumerate(sessions.values()):
                points = [(each[key], each[model]["variance_explained"]) for each in found.get(curve, ())]
                points += _whole(found, key, model)
                if len(points) > 1:
                    x, y = np.array(points, float).T
                    label = f"{model}, keypoints" if index == 0 else None
                    axes.plot(
                        x, y, "-", marker=_MARKERS[model], ms=4, lw=1.2, color=colour, alpha=0.75, label=label
                    )
        axes.set_xscale("log")
        axes.axhline(0, color="k", lw=0.5)
        axes.set_xlabel(words)
        axes.set_ylabel(_VARIANCE)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
            low, high = axes.get_xlim()
            ticks = [
                m * 10.0**power for power in range(-3, 7) for m in (1, 2, 5) if low < m * 10.0**power < high
            ]
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        else:
            axes.set_axis_off()
            axes.text(0.5, 0.5, f"too few {words}", ha="center", transform=axes.transAxes)
    figure.savefig(path, dpi=_DPI)


def draw_groups(path: Path, sessions: Mapping[str, Any], simulated: bool) -> None:
    """Draw how much is lost without each group of keypoints, network and linear: a dot a recording, a bar their mean."""
    groups = list(dict.fromkeys(group for found in sessions.values() for group in found.get("without", {})))
    figure, (axes,) = _figure(1, 1.8 + 0.9 * len(groups), 3.4, simulated)
    for shift, (model, colour) in zip((-0.18, 0.18), _MODELS.items(), strict=True):
        for index, group in enumerate(groups):
            lost = [
                _all(found, model) - found["without"][group][model]["variance_explained"]
                for found in sessions.values()
                if group in found.get("without", {})
            ]
            label = f"{model}, keypoints" if index == 0 else None
            axes.bar(index + shift, np.mean(lost), 0.34, color=colour, alpha=0.55, label=label)
            axes.plot(np.full(len(lost), index + shift), lost, "o", ms=3.5, color=colour)
    axes.axhline(0, color="k", lw=0.5)
    axes.set_xticks(range(len(groups)), [f"without\n{group}" for group in groups])
    axes.set_ylabel("variance explained that is lost")
    axes.set_title(f"n = {len(sessions)} recordings", fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=_DPI)


def _figure(columns: int, width: float, height: float, simulated: bool) -> tuple[Any, list[Axes]]:
    figure = new_figure(width, height)
    every = np.atleast_1d(figure.subplots(1, columns)).ravel().tolist()
    for axes in every:
        axes.spines[["top", "right"]].set_visible(False)
    if simulated:
        figure.suptitle("SIMULATED", x=0.995, ha="right", color="#D55E00", fontsize=8, fontweight="bold")
    return figure, every


def _broken(name: str) -> str:
    model, kind = name.rsplit(", ", 1)
    return "\n".join([*model.replace(" as", "").split(), kind])


def _whole(found: Mapping[str, Any], key: str, model: str) -> list[tuple[float, float]]:
    if not found.get("by_neurons" if key == "neurons" else "by_minutes"):
        return []
    size = found["neurons"] if key == "neurons" else found["peers"]["training_minutes"]
    return [(size, _all(found, model))]


def _all(found: Mapping[str, Any], model: str) -> float:
    whole = found["models"]["keypoints"]
    part = whole["network"] if model == "network" else whole["linear"]["tuned"]
    return float(part["variance_explained"])

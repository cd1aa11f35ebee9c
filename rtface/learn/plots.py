"""Pictures of a run: losses, errors by keypoint, reliability of scores, and how two networks agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rtface.core.drawing import new_figure
from rtface.core.records import FloatArray
from rtface.learn.tracker.calibration import RADIUS_PX

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rtface.learn.tracker.agreement import ComparedFrames

_SMOOTH = 50
_DPI = 120
_FRAMES = 400

TRACES = 5
"""Most keypoints whose traces are drawn."""


def draw_losses(path: Path, title: str, losses: Sequence[float]) -> None:
    """Draw a training's losses by step."""
    steps = np.arange(1, len(losses) + 1)
    with _Drawing(path) as axes:
        axes.plot(steps, losses, color="0.8", linewidth=0.8, label="each batch")
        if len(losses) > _SMOOTH:
            mean = np.convolve(losses, np.full(_SMOOTH, 1 / _SMOOTH), mode="valid")
            axes.plot(steps[_SMOOTH - 1 :], mean, color="C0", label=f"mean of {_SMOOTH}")
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.legend()


def draw_errors(path: Path, distance: FloatArray, keypoints: Sequence[str]) -> None:
    """Draw each keypoint's errors: the middle half, the median, and from the 10th to the 90th percentile.

    Parameters
    ----------
    path : Path
        A new picture.
    distance : ndarray, shape (N, K), float32
        In camera pixels; NaN is left out, and so are keypoints without a label.
    keypoints : sequence of str
    """
    known = [column[~np.isnan(column)] for column in distance.T]
    chosen = [index for index, values in enumerate(known) if values.size][::-1]
    with _Drawing(path, height=1.5 + 0.25 * len(chosen)) as axes:
        rows = range(len(chosen))
        shares = np.array([np.percentile(known[index], (10, 25, 50, 75, 90)) for index in chosen]).T
        axes.hlines(rows, shares[0], shares[4], color="C0", linewidth=1)
        axes.hlines(rows, shares[1], shares[3], color="C0", linewidth=5)
        axes.plot(shares[2], rows, "o", color="white", markeredgecolor="C0", markersize=5)
        axes.set_yticks(rows, [f"{keypoints[index]} ({known[index].size})" for index in chosen])
        axes.set_ylim(-0.6, len(chosen) - 0.4)
        axes.set_xlim(left=0)
        axes.set_xlabel("error on held-out frames (camera pixels); in brackets the labels")


def draw_reliability(path: Path, reliability: Mapping[str, Any]) -> None:
    """Draw how often points were right against their scores.

    Parameters
    ----------
    path : Path
        A new picture.
    reliability : mapping
        As of `rtface.learn.tracker.calibration.reliability`.
    """
    with _Drawing(path) as axes:
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
        stated, within = ([each[key] for each in reliability["bins"]] for key in ("stated", "within"))
        axes.plot(stated, within, "o-")
        for each in reliability["bins"]:
            axes.annotate(
                str(each["n"]),
                (each["stated"], each["within"]),
                (4, -10),
                textcoords="offset points",
                fontsize="small",
            )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("score")
        axes.set_ylabel(f"share within {RADIUS_PX:g} px of the network's input")


def draw_agreement(
    path: Path, recordings: Sequence[ComparedFrames], keypoints: Sequence[str], figures: Mapping[str, Any]
) -> None:
    """Draw the figures of `rtface.learn.tracker.agreement.agreement`.

    Parameters
    ----------
    path : Path
        The picture's file.
    recordings : sequence of ComparedFrames
        The first recording's traces are drawn, of the keypoints that the teacher was surest of and that moved most:
        the coordinate that moves more, over at most 400 frames.
    keypoints : sequence of str
        Names, K of them.
    figures : mapping
        Of all recordings.
    """
    by_keypoint = figures["by_keypoint"]
    chosen = _worth_showing(by_keypoint)
    figure = new_figure(9, 3.5 + 1.5 * len(chosen))
    axes = figure.subplots(len(chosen) + 1, 1, height_ratios=[*[1.0] * len(chosen), 2.2], squeeze=False)[:, 0]
    first = recordings[0]
    number = first.number[:_FRAMES]
    for axis, name in zip(axes, chosen, strict=False):
        index = list(keypoints).index(name)
        theirs, ours = first.teacher[:_FRAMES, index], first.student[:_FRAMES, index]
        which = int(np.argmax(np.nan_to_num(np.nanstd(theirs, axis=0))))
        axis.plot(number, theirs[:, which], color="0.6", linewidth=2.0, label="teacher")
        axis.plot(number, ours[:, which], color="C0", linewidth=0.9, label="student")
        axis.set_ylabel(f"{name}\n{'xy'[which]} (camera px)", fontsize=8)
    if chosen:
        axes[0].legend(loc="upper right", fontsize=8, ncols=2)
        axes[len(chosen) - 1].set_xlabel(f"frame of {first.name}")
    bars = axes[-1]
    names = [name for name, each in by_keypoint.items() if each["input_px"]["n"]]
    median, p90 = ([by_keypoint[name]["input_px"][key] for name in names] for key in ("median", "p90"))
    bars.bar(names, p90, color="0.85", label="90th percentile")
    bars.bar(names, median, color="C0", label="median")
    bars.tick_params(axis="x", rotation=45)
    bars.set_ylabel("student to teacher\n(px of the network's input)")
    bars.legend(fontsize=8)
    figure.savefig(path, dpi=_DPI)


def _worth_showing(by_keypoint: Mapping[str, Any]) -> list[str]:
    def worth(name: str) -> float:
        return (1 - float(by_keypoint[name]["unsure"])) * min(1.0, float(by_keypoint[name]["moves_px"] or 0))

    seen = [name for name in by_keypoint if by_keypoint[name]["input_px"]["n"]]
    return sorted(seen, key=worth, reverse=True)[:TRACES]


class _Drawing:
    """A figure without a window, saved at the end."""

    def __init__(self, path: Path, height: float = 3.5) -> None:
        self._path = path
        self._figure = new_figure(6, height)

    def __enter__(self) -> Axes:
        axes: Axes = self._figure.subplots()
        return axes

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._figure.savefig(self._path, dpi=_DPI)

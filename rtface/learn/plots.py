"""Pictures of a run: losses, errors by keypoint, reliability of scores."""

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

_SMOOTH = 50
_DPI = 120


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

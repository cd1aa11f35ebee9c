"""A picture of how two networks agree: their traces over each other, and their distance by keypoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.drawing import new_figure
from rtface.learn.tracker.agreement import ComparedFrames

TRACES = 5
_FRAMES = 400


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
    figure.savefig(path, dpi=120)


def _worth_showing(by_keypoint: Mapping[str, Any]) -> list[str]:
    def worth(name: str) -> float:
        return (1 - float(by_keypoint[name]["unsure"])) * min(1.0, float(by_keypoint[name]["moves_px"] or 0))

    seen = [name for name in by_keypoint if by_keypoint[name]["input_px"]["n"]]
    return sorted(seen, key=worth, reverse=True)[:TRACES]

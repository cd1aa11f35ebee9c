"""Pictures of results: for each stage, the share of frames that took longer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.drawing import new_figure

_SHOWN = (
    *("prepare", "network", "decide", "publish", "end_to_end", "exposure_to_subscriber", "network_alone"),
    *("device_copy_in", "device_prepare", "device_network", "device_decode", "device_copy_out"),
    *("frame_to_keypoints", "sustained_end_to_end"),
    *("rules", "handover", "gate", "exposure_to_pin", "to_bright_frame", "told_to_bright_frame"),
    *("hand_over", "acknowledge", "light", "known"),
    *("no_pictures", "viewers_0", "viewers_1", "viewers_3"),
    *("no_bridges", "all_bridges"),
    *("lets_go_inside", "lets_go_outside", "holds_inside", "holds_outside"),
)
_LABELS = {
    "device_copy_in": "copy to the GPU",
    "device_prepare": "levels, crop, resize (GPU)",
    "device_network": "network (GPU)",
    "device_decode": "decode (GPU)",
    "device_copy_out": "copy to the host",
    "frame_to_keypoints": "frame to keypoints, host to host",
    "sustained_end_to_end": "exposure to handed over, sustained",
    "rules": "features and rules",
    "handover": "hand-over to the port",
    "gate": "line and firmware",
    "exposure_to_pin": "exposure to the gate's pin",
    "to_bright_frame": "command to the first bright frame",
    "told_to_bright_frame": "output's report to the first bright frame",
    "prepare": "levels",
    "end_to_end": "exposure to published",
    "exposure_to_subscriber": "exposure to subscriber",
    "network_alone": "network alone",
    "hand_over": "decision to written",
    "acknowledge": "written to acknowledged",
    "light": "decision to light",
    "known": "decision to light known to the host",
    "no_pictures": "exposure to published, no pictures",
    "viewers_0": "with pictures, nobody looking",
    "viewers_1": "with 1 viewer",
    "viewers_3": "with 3 viewers",
    "lets_go_inside": "driver inside",
    "lets_go_outside": "driver in a process of its own",
    "holds_inside": "inside, and it holds Python's lock",
    "holds_outside": "outside, and it holds Python's lock",
}


def plot_distributions(result: Mapping[str, Any], path: Path) -> None:
    """Draw the share of frames above each latency, one curve a stage, on logarithmic axes.

    Parameters
    ----------
    result : mapping
        A result with ``distribution``: stage to (milliseconds, count) pairs.
    path : Path
        The picture's file; its ending decides the kind.
    """
    figure = new_figure(8, 4.8, dpi=130)
    axes = figure.add_subplot()
    for stage in _SHOWN:
        pairs: Sequence[tuple[float, int]] = result["distribution"].get(stage, ())
        if not pairs:
            continue
        values, counts = (np.array(column, float) for column in zip(*pairs, strict=True))
        above = counts[::-1].cumsum()[::-1] / counts.sum()
        label = _LABELS.get(stage, stage)
        axes.step(np.maximum(values, 1e-3), above, where="post", label=label, linewidth=1.6)
    if "deadline_ms" in result:
        axes.axvline(result["deadline_ms"], color="0.5", linestyle="--", linewidth=1, label="deadline")
    for share, name in ((0.5, "p50"), (0.01, "p99"), (0.001, "p99.9")):
        axes.axhline(share, color="0.85", linewidth=0.8, zorder=0)
        axes.text(1.0, share, f" {name}", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="milliseconds", ylabel="share that took longer")
    axes.set_title(_title(result), fontsize=9)
    axes.legend(fontsize=8, frameon=False, loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _title(result: Mapping[str, Any]) -> str:
    if "gate" in result:
        return f"{result['question']}\n{result['gate']}, firmware {result['firmware_build']}"
    frames = result.get("camera", result.get("frame", ""))
    return f"{frames}\n{result.get('engine', '')} {result.get('backend', '')}"

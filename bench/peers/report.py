"""Table and picture of rtface's engines beside their peers: error against milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers.found import Found, distances
from bench.tracker.intervals import difference_interval
from rtface.core.records import FloatArray
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.labelset import LabelSet

BOTH = "both"
MEAN_POSITION = "mean position"
Distances = Mapping[str, FloatArray]


def mean_position(labels: LabelSet, video: str) -> Found:
    """Return what saying the other videos' mean position on each frame finds: what any network must beat."""
    others = np.stack([frame.xy for frame in labels.without([video]).frames])
    mean = np.full(others.shape[1:], np.nan, np.float32)
    named = [labels.keypoints.index(name) for name in labels.labelled]
    mean[named] = np.nanmean(others[:, named], axis=0)
    here = labels.only([video])
    names = tuple(frame.name for frame in here.frames)
    return Found(names, np.broadcast_to(mean, (len(here), *mean.shape)), {})


def judge(labels: LabelSet, found: Mapping[str, Mapping[str, Found]]) -> dict[str, dict[str, FloatArray]]:
    """Return, for each competitor, its distances on each held-out video and on both together.

    Parameters
    ----------
    labels : LabelSet
    found : mapping
        Competitor to held-out video to what it found.
    """
    result: dict[str, dict[str, FloatArray]] = {}
    for name, by_video in found.items():
        each = {video: distances(there, labels.only([video])) for video, there in sorted(by_video.items())}
        result[name] = each | {BOTH: np.concatenate(list(each.values()))}
    return result


def compare(ours: Distances, theirs: Distances) -> dict[str, dict[str, float]]:
    """Return the difference of the mean errors, ours less theirs, with its 95 % interval, by held-out video."""
    return {video: difference_interval(ours[video], theirs[video]) for video in ours}


def report(
    judged: Mapping[str, Distances],
    keypoints: Sequence[str],
    engines: Sequence[str],
    speeds: Mapping[str, Any],
) -> dict[str, Any]:
    """Return errors, times and differences of all competitors as plain values.

    Parameters
    ----------
    judged : mapping
        As `judge` returns it.
    keypoints : sequence of str
    engines : sequence of str
        Which of the competitors are rtface's.
    speeds : mapping
        Competitor to its times; may lack some.
    """
    rows = {
        name: {"errors_px": {video: error_summary(each, keypoints) for video, each in by_video.items()}}
        | ({"speed": speeds[name]} if name in speeds else {})
        for name, by_video in judged.items()
    }
    differences = {
        engine: {
            peer: compare(judged[engine], judged[peer])
            for peer in judged
            if peer not in (*engines, MEAN_POSITION)
        }
        for engine in engines
    }
    return {"competitors": rows, "difference_of_mean_error_px": differences}


def table(result: Mapping[str, Any]) -> str:
    """Return the headline figures in Markdown, the smallest error first."""
    rows = sorted(result["competitors"].items(), key=lambda row: row[1]["errors_px"][BOTH]["mean_px"])
    videos = [video for video in rows[0][1]["errors_px"] if video != BOTH]
    lines = [
        "| | mean | median | p90 | "
        + " | ".join(f"mean / median on {video}" for video in videos)
        + " | frame to keypoints, mean (p50) | network alone, mean |",
        "|---" * (6 + len(videos)) + "|",
    ]
    for name, row in rows:
        both = row["errors_px"][BOTH]
        cells = [name, *(f"{both[key]:.2f}" for key in ("mean_px", "median_px", "p90_px"))]
        for video in videos:
            cells.append("{mean_px:.2f} / {median_px:.2f}".format(**row["errors_px"][video]))
        lines.append(f"| {' | '.join(cells + _times(row.get('speed')))} |")
    return "\n".join(lines)


def _times(speed: Mapping[str, Any] | None) -> list[str]:
    if speed is None:
        return ["", ""]
    whole = speed["frame_to_keypoints_ms"]
    median = f" ({whole['p50']:.2f})" if "p50" in whole else ""
    return [f"{whole['mean']:.2f}{median} ms", f"{speed['network_ms']['mean']:.2f} ms"]


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Draw mean error against mean time, frame to keypoints (full) and network alone (hollow).

    Competitors without times are left out.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.6), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    ours = result["difference_of_mean_error_px"]
    timed = [(name, row) for name, row in result["competitors"].items() if "speed" in row]
    timed.sort(key=lambda each: each[1]["speed"]["frame_to_keypoints_ms"]["mean"])
    for number, (name, row) in enumerate(timed):
        error = row["errors_px"][BOTH]["mean_px"]
        whole, network = (row["speed"][key]["mean"] for key in ("frame_to_keypoints_ms", "network_ms"))
        colour = "tab:green" if name in ours else "tab:orange"
        axes.plot([network, whole], [error, error], color=colour, linewidth=1, alpha=0.5)
        axes.scatter([network], [error], facecolor="white", edgecolor=colour, zorder=3)
        axes.scatter([whole], [error], color=colour, zorder=3)
        axes.annotate(
            f"{name}\n{whole:.3g} ms",
            (whole, error),
            (0, 7 if number % 2 else -7),
            textcoords="offset points",
            ha="center",
            va="bottom" if number % 2 else "top",
            fontsize=8,
        )
    axes.set(
        xscale="log",
        xlabel="milliseconds a frame (hollow: network alone, rtface's with resize and decode)",
        ylabel="mean error on the other video, px of the frame",
    )
    axes.margins(x=0.15)
    axes.set_ylim(0, 1.25 * axes.dataLim.ymax)
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
    axes.set_title("Trained on one video, judged on the other, both directions", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)

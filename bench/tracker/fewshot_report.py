"""Table and picture of how many labelled frames a rig needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.result import RESULTS, write
from bench.tracker.fewshot_plan import ADAPTED, LINES, PLAN, RIGS, SCRATCH_STEPS, read_lines
from rtface.learn.tracker.fine_tune import TUNING


def report(runs: Path) -> None:
    """Write the table and the picture of what there is."""
    lines = read_lines(runs / LINES)
    if not lines:
        raise SystemExit(f"{runs / LINES} holds no result yet: run first")
    curves: dict[str, Any] = {}
    for rig, what in RIGS.items():
        for start in what.starts:
            points = {}
            for frames in what.frames:
                here = [
                    each
                    for each in lines
                    if (each["rig"], each["start"], each["frames"]) == (rig, start, frames)
                ]
                if here:
                    points[frames] = _point(here)
            if points:
                curves[f"{rig}, {start}"] = _curve(points)
        before = {
            each["seed"]: each["untouched"] for each in lines if each["rig"] == rig and "untouched" in each
        }
        if before:
            curves[f"{rig}, untouched"] = {
                "0": {key: _median(before.values(), key) for key in ("mean_px", "median_px", "p90_px")}
            }
    adapted = runs / ADAPTED
    whole = {
        "what": "errors in camera pixels on frames never trained on; medians over seeds of each seed's figure",
        "plan": [
            {"rig": rig, "frames": frames, "steps": plan.steps, "blend": plan.blend or "few_frames"}
            for (rig, frames), plan in PLAN.items()
        ],
        "scratch_steps": SCRATCH_STEPS,
        "recipe": asdict(TUNING),
        "parents": sorted({each["parent"] for each in lines}),
        "training_seconds": round(sum(each["seconds"] for each in lines), 1),
        "adapt": json.loads(adapted.read_text(encoding="utf-8")) if adapted.exists() else None,
        "curves": curves,
    }
    write(RESULTS / "fewshot.json", whole)
    draw(curves, RESULTS / "fewshot.png")
    for name, curve in curves.items():
        print(name)
        for frames, point in curve.items():
            if isinstance(point, dict):
                print(f"  n={frames:>3}: " + ", ".join(f"{k} {v}" for k, v in point.items()))
            else:
                print(f"  {frames}: {point}")


def _point(here: Sequence[dict[str, Any]]) -> dict[str, Any]:
    errors_ = [each["error"] for each in here]
    return {
        "seeds": len(here),
        **{key: _median(errors_, key) for key in ("mean_px", "median_px", "p90_px")},
        "mean_px_by_seed": [error["mean_px"] for error in errors_],
        "median_px_by_seed": [error["median_px"] for error in errors_],
    }


def _median(errors_: Any, key: str) -> float:
    return round(float(np.median([error[key] for error in errors_])), 2)


def _curve(points: dict[int, dict[str, Any]]) -> dict[str, Any]:
    curve: dict[str, Any] = {str(frames): point for frames, point in points.items()}
    most = max(points)
    if 10 in points and most > 10:
        for key in ("mean_px", "median_px"):
            pairs = zip(points[10][f"{key}_by_seed"], points[most][f"{key}_by_seed"], strict=False)
            ratios = [round(ten / all_, 3) for ten, all_ in pairs]
            curve[f"10 frames over {most}, {key}"] = round(float(np.median(ratios)), 3)
            curve[f"10 frames over {most}, {key}, by seed"] = ratios
    return curve


def draw(curves: dict[str, Any], path: Path) -> None:
    """Draw mean error against frames: the median of the seeds as a line, each seed as a dot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(RIGS), 4), layout="constrained")
    for axes, (rig, what) in zip(figure.subplots(1, len(RIGS)), RIGS.items(), strict=True):
        for color, start in zip(("C0", "C1"), what.starts, strict=False):
            curve = curves.get(f"{rig}, {start}", {})
            points = {int(frames): point for frames, point in curve.items() if frames.isdigit()}
            axes.plot(list(points), [point["mean_px"] for point in points.values()], color=color, label=start)
            for frames, point in points.items():
                axes.plot([frames] * point["seeds"], point["mean_px_by_seed"], ".", color=color, alpha=0.6)
        if untouched := curves.get(f"{rig}, untouched"):
            axes.axhline(untouched["0"]["mean_px"], color="0.5", linestyle="--", label="trained, not adapted")
        axes.set(
            title=rig, xlabel="labelled frames", ylabel="mean error (camera px)", xscale="log", yscale="log"
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("{x:g}")
        axes.set_xticks(what.frames, minor=False)
        axes.set_xticks([], minor=True)
        axes.legend()
    figure.savefig(path, dpi=120)

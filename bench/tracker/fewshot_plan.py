"""What is trained to find out how many labelled frames a rig needs, and the lines in which each result is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINES, ADAPTED = "fewshot.jsonl", "fewshot_adapt.json"
"""What a folder of runs keeps: a line a training, and the verb end to end."""

SEEDS = 5


@dataclass(frozen=True, slots=True)
class Rig:
    """Numbers of frames to train on, how many, the last in each seed's order, judge, and what is trained from."""

    frames: tuple[int, ...]
    judging: int
    starts: tuple[str, ...] = ("trained", "scratch")


RIGS = {
    "other video": Rig((1, 3, 10, 30, 80), 32),
    "other rig": Rig((1, 3, 10, 40), 15),
    "rat from above": Rig((10, 40), 19, ("trained",)),
    "face from below": Rig((10, 40), 60, ("trained",)),
}


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps and blend of one training; a blend of None is that of `rtface.learn.tracker.step_search.trial_for_few`."""

    steps: int
    blend: float | None = None


SCRATCH_STEPS = 250
PLAN = {
    ("other video", 1): Steps(80),
    ("other video", 3): Steps(80),
    ("other video", 10): Steps(80, 0.5),
    ("other video", 30): Steps(120, 0.75),
    ("other video", 80): Steps(200, 1.0),
    ("other rig", 1): Steps(120, 1.0),
    ("other rig", 3): Steps(120, 1.0),
    ("other rig", 10): Steps(160, 1.0),
    ("other rig", 40): Steps(200, 1.0),
    ("rat from above", 10): Steps(160, 1.0),
    ("rat from above", 40): Steps(200, 1.0),
    ("face from below", 10): Steps(160, 1.0),
    ("face from below", 40): Steps(200, 1.0),
}


@dataclass(frozen=True, slots=True)
class Job:
    """One training."""

    rig: str
    start: str
    frames: int
    seed: int


def jobs() -> list[Job]:
    """Return all trainings: those of a trained network first, of each start one seed of everything first."""
    every = [
        Job(rig, start, frames, seed)
        for seed in range(SEEDS)
        for rig, what in RIGS.items()
        for start in what.starts
        for frames in what.frames
    ]
    return sorted(every, key=lambda job: job.start == "scratch")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the results that are there; a last line that was cut off by an end in mid-writing is left out."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines

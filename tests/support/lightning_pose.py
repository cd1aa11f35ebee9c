"""A label set laid out as Lightning Pose lays them out: drawn frames of several sessions, with one csv for all."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np

from rtface.learn.labels.labelset import LabelSet
from support.drawn_labels import NAMES, drawn


def write_lightning_pose(
    project: Path, sessions: int = 3, frames: int = 4, *, tested: int = 1, names: tuple[str, ...] = NAMES
) -> LabelSet:
    """Write a project, the last sessions as those that it tests on, and return what it holds.

    Each labelled frame has two neighbours without labels, as the published sets have.
    """
    everything = []
    for number in range(sessions):
        session = f"mouse{number}_cam{number % 2}"
        folder = project / "labeled-data" / session
        folder.mkdir(parents=True)
        labels = drawn(frames, seed=number, video=session)
        rows = []
        for place, frame in enumerate(labels.frames):
            name = f"img{10 * place + 5:08}.png"
            for offset in (-1, 0, 1):
                cv2.imwrite(str(folder / f"img{10 * place + 5 + offset:08}.png"), frame.image)
            rows.append([f"labeled-data/{session}/{name}", *map(str, frame.xy.ravel().tolist())])
        table = project / ("CollectedData_test.csv" if number >= sessions - tested else "CollectedData.csv")
        new = not table.exists()
        with table.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["scorer", *["lab"] * 2 * len(names)])
                writer.writerow(["bodyparts", *np.repeat(names, 2).tolist()])
                writer.writerow(["coords", *["x", "y"] * len(names)])
            writer.writerows(rows)
        everything += labels.frames
    (project / "videos").mkdir()
    (project / "videos" / "mouse0_cam0.mp4").write_bytes(b"a film")
    return LabelSet(names, tuple(everything))


def archived(project: Path) -> Path:
    """Return a zip of a project, in a folder of its own in it."""
    return Path(shutil.make_archive(str(project), "zip", project.parent, project.name))

"""How long a new user waits: 20 labelled frames of a video to a verified int8 engine, and what threads cost a step of it.

The video is one recording of the side view, turned by 60 degrees, darker and scaled to 640x480, so that the shipped engine does
not know the view; its labels are turned with it. The commands are those of the pages: `learn start`, `engines export`,
`engines verify`, each a process of its own. A step of the training is timed with one thread and with one a core, in turns,
with nothing more beside it than the machine has already, and with a program that keeps one core busy.

    python -m bench.tracker.first_engine --data ../shared/data --out bench/results
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.result import RESULTS, parser_of, write

SIZE = (640, 480)
TURN_DEG, ZOOM = 60.0, 0.8
ROUNDS, STEPS = 8, 4
OURS = {"whisker 1": "whisker(II)", "whisker 2": "whisker(I)", "whisker 3": "whisker(III)"}
Labels = list[dict[str, NDArray[np.float64]]]


def make_clip(data: Path, out: Path) -> Labels:
    """Write the video, and return the labels of each of its frames by keypoint."""
    rows = list(csv.DictReader((data / "mouse_face_side_view" / "labels.csv").open(encoding="utf-8")))
    rows = [row for row in rows if row["video"] == rows[0]["video"]]
    first = cv2.imread(str(data / "mouse_face_side_view" / "frames" / rows[0]["file"]), cv2.IMREAD_GRAYSCALE)
    assert first is not None
    height, width = first.shape
    turned = cv2.getRotationMatrix2D((width / 2, height / 2), TURN_DEG, ZOOM)
    matrix = np.diag([SIZE[0] / width, SIZE[1] / height]) @ turned
    writer = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"FFV1"), 25, SIZE, False)
    found: Labels = []
    for row in rows:
        image = cv2.imread(str(data / "mouse_face_side_view" / "frames" / row["file"]), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        warped = cv2.warpAffine(image, matrix, SIZE, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        writer.write((255 * (warped / 255.0) ** 1.6 * 0.7 + 20).astype(np.uint8))
        names = [name[:-2] for name in row if name.endswith("_x") and row[name]]
        found.append(
            {
                OURS.get(name, name): matrix @ [float(row[f"{name}_x"]), float(row[f"{name}_y"]), 1.0]
                for name in names
            }
        )
    writer.release()
    return found


def fill_in(table: Path, labels: Labels) -> None:
    """Fill the table of the frames to label in, as a person would."""
    rows = list(csv.DictReader(table.open(encoding="utf-8", newline="")))
    for row in rows:
        number = re.search(r"frame(\d+)", row["file"])
        assert number is not None
        for name, (x, y) in labels[int(number[1])].items():
            row[f"{name}_x"], row[f"{name}_y"] = f"{x:.2f}", f"{y:.2f}"
    with table.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def timed(folder: Path, *command: str, code: int = 0) -> tuple[float, dict[str, Any]]:
    """Run a command of rtface in a folder, and return its seconds and what it printed."""
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "rtface", *command, "--json"],
        cwd=folder,
        env={**os.environ, "RTFACE_ENGINES": str(folder / "engines")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != code:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return time.monotonic() - began_s, json.loads(done.stdout.splitlines()[-1])


def way(data: Path, folder: Path) -> dict[str, Any]:
    """Go the way from the video to a verified int8 engine."""
    labels = make_clip(data, folder / "clip.avi")
    suggested, _ = timed(folder, "learn", "start", "clip.avi", "--folder", "way", "--yes", code=21)
    fill_in(folder / "way" / "to-label" / "labels.csv", labels)
    learnt, told = timed(folder, "learn", "start", "--folder", "way", "--yes")
    exported, _ = timed(
        folder, "engines", "export", told["engine"], "--precision", "int8", "--frames", "clip.avi"
    )
    verified, proof = timed(folder, "engines", "verify", f"{told['engine']}-int8", "--frames", "clip.avi")
    (plan,) = folder.glob("way/attempt-*/run/plan.json")
    report = told["report"]
    return {
        "frames": report["frames"],
        "suggest_s": suggested,
        "learn_s": learnt,
        "export_s": exported,
        "verify_s": verified,
        "from_last_label_s": learnt + exported + verified,
        "told_minutes": json.loads(plan.read_text("utf-8"))["minutes"],
        "took_minutes": report["minutes"],
        "searched_steps": max(look["steps"] for look in report["looks"]),
        "steps": report["steps"],
        "px_before": report["before"]["mean_px"],
        "px_after": report["after"]["mean_px"],
        "agrees": proof["agrees"],
    }


def step_seconds(threads: int) -> float:
    """Return the seconds of a step with so many threads: of some steps after the first one."""
    import torch

    from rtface.core.clock import NS_PER_S, monotonic_ns
    from rtface.learn.tracker.fine_tune import TUNING, fine_tune
    from rtface.learn.tracker.samples import prepare
    from rtface.track.store import load_engine, trainable_source
    from rtface.track.torch_graph import torch_network

    torch.set_num_threads(threads)
    engine = trainable_source(load_engine("default"))
    random = np.random.default_rng(0)
    points = len(engine.manifest.names)
    pictures = [
        prepare(
            random.integers(0, 255, (480, 640), dtype=np.uint8),
            random.uniform(100, 300, (points, 2)).astype(np.float32),
        )
        for _ in range(8)
    ]
    network, family = torch_network(engine), str(engine.manifest.architecture["name"])
    recipe = replace(TUNING, size=engine.manifest.input.size, square=engine.manifest.resample.square)
    fine_tune(network, family, pictures, replace(recipe, steps=1))
    began_ns = monotonic_ns()
    fine_tune(network, family, pictures, replace(recipe, steps=STEPS))
    return (monotonic_ns() - began_ns) / NS_PER_S / STEPS


def threads_in_turns() -> dict[str, Any]:
    """Time steps with one thread and with one a core, in turns, alone and beside a program that keeps a core busy."""
    cores = os.cpu_count() or 1
    found: dict[str, Any] = {"rounds": ROUNDS, "steps_each": STEPS}
    for beside in ("alone", "one_core_busy"):
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if beside != "alone" else None
        try:
            rounds = [[step_seconds(threads) for threads in (1, cores)] for _ in range(ROUNDS)]
        finally:
            if busy is not None:
                busy.kill()
                busy.wait()
        one, all_ = np.array(rounds).T
        found[beside] = {
            name: dict(zip(("least_s", "median_s", "most_s"), np.percentile(each, [0, 50, 100]), strict=True))
            for name, each in (("one_thread", one), ("a_thread_a_core", all_))
        }
    return found


def main() -> None:
    """Measure, and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the shared data")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        result = {"load_before": load, "way": way(arguments.data.resolve(), Path(folder))}
    write(arguments.out / "first_engine.json", result | {"threads": threads_in_turns()})


if __name__ == "__main__":
    main()

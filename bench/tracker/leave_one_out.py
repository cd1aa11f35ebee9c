"""What a network of the family `fast` finds on a rig that it never saw: one rig is left out of its training at a time.

    python -m bench.tracker.leave_one_out --data SIDE_VIEW --other-rigs OTHER_RIGS --runs RUNS

The recipe of `face-3` (`bench.make.engine`), with every frame of the training rig and simulated mice, and the frames of the
other rigs but for one; beside it with all of them, and with none. Judged, with a crop in which the face is as large as in the
training rig, on the rig that was left out and on `mouse_face_pupil`, which no network learns from. What lies in RUNS is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.make.engine import ROUNDS, Plan, load, run
from bench.result import RESULTS, parser_of, write
from bench.tracker.other_rigs import JUDGED, REPEATED, by_group, read_set, shares
from bench.tracker.side_view import read_side_view
from rtface.learn.tracker.evaluation import predict
from rtface.learn.tracker.families import architecture

FAMILY = "fast"
SIMULATED = 1600
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "ibl": ("ibl",),
    "mouse_face_2mp": ("mouse_face_2mp",),
    "every other rig": tuple(REPEATED),
    "cheese3d": ("cheese3d", "cheese3d_docs"),
}
"""By what is left out: the sets of which no frame is learnt from."""


def main() -> None:
    """Train what is missing, judge, and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv and frames/")
    parser.add_argument("--other-rigs", type=Path, required=True, help="folder with a folder of each set")
    parser.add_argument("--runs", type=Path, required=True, help="where trainings are kept")
    parser.add_argument(
        "--only", action="append", choices=tuple(LEFT_OUT), help="repeatable; all when absent"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "leave_one_out.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    labels = read_side_view(options.data)
    sets = {name: read_set(options.other_rigs / name) for name in JUDGED}
    found: dict[str, Any] = {}
    for name in options.only or LEFT_OUT:
        left_out = LEFT_OUT[name]
        runs = options.runs / "leave-one-out" / name.replace(" ", "-")
        plan = Plan(FAMILY, ROUNDS[FAMILY], SIMULATED, runs, options.other_rigs, left_out)
        network = load(architecture(FAMILY, labels.keypoints), run("none", labels, plan)).eval()
        size = plan.rounds[0].size
        found[name] = {
            which: {"learnt": which in plan.other_facts["other_rigs"]}
            | by_group(shares(predict(network, pictures, size), pictures))
            for which, pictures in sets.items()
        }
    write(
        options.out,
        {
            "unit": "percent of the diagonal of the box round a frame's labels, median and most",
            "note": "one training each; frames of one set are of one clip or a few: no interval can be given",
            "frames": {name: len(pictures) for name, pictures in sets.items()},
            "left_out": found,
        },
    )


if __name__ == "__main__":
    main()

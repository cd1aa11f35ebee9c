"""How engines do on labelled faces of other rigs, with a crop of the face.

    python -m bench.tracker.other_rigs --data OTHER_RIGS --engine face-2 --engine face-3

Errors are shares of the labels' extent (the diagonal of the box round a frame's labels), so that rigs of any size compare.
`trained_on` says whether the engine learnt from the set: what it finds there is then no proof of anything else.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.result import RESULTS, parser_of, write
from rtface.core.errors import DataError
from rtface.core.records import FACEMAP_KEYPOINTS, Crop, FloatArray, Image
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.tracker.evaluation import Predictions, predict
from rtface.learn.tracker.samples import Picture, prepare
from rtface.track.store import Engine, load_engine
from rtface.track.torch_graph import torch_network

REPEATED = {"ibl": 6, "cheese3d": 8, "cheese3d_docs": 4, "mouse_face_2mp": 1}
"""The sets marked MIT, and how often each of their frames counts in a training: the fewer and the more different, the more."""

JUDGED = ("ibl", "cheese3d", "mouse_face_2mp", "mouse_face_pupil")
"""`mouse_face_pupil` may judge, not teach: its licence is the GPL."""

LEFT_OUT = ("R.png", "BC.png", "R_labelled.png")
"""Of `cheese3d_docs`: two views without an eye, and a frame that `cheese3d` has too."""

EYE = ("eye(front)", "eye(back)", "eye(top)", "eye(bottom)")
NOSE = ("nose(tip)", "nose(top)", "nose(bottom)")
GROUPS = {
    "eye": EYE,
    "nose": NOSE,
    "mouth": ("mouth", "lowerlip"),
    "whiskers": ("whisker(I)", "whisker(II)", "whisker(III)"),
}

_EYE_TO_NOSE = 0.46
"""Share of a crop's width between the middles of eye and nose; about 0.5 in the frames of the training rig."""
_LEAST_LABELS = 3


def labelled_rows(folder: Path) -> Iterator[tuple[str, dict[str, str], Image | None]]:
    """Yield file name, row of labels and gray frame of each labelled frame of a set; None for one that cannot be read."""
    with (folder / "labels.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            name = row.get("file") or row["image"]
            image = cv2.imread(str(folder / "frames" / name), cv2.IMREAD_GRAYSCALE)
            yield name, row, None if image is None else image.astype(np.uint8)


def read_own_keypoints(folder: Path) -> LabelSet:
    """Return a set with the keypoints that its own labellers named.

    Raises
    ------
    DataError
        A frame cannot be read.
    """
    names: tuple[str, ...] = ()
    frames = []
    for name, row, image in labelled_rows(folder):
        if image is None:
            raise DataError(f"{folder / 'frames' / name} cannot be read")
        names = names or tuple(column.removesuffix("_x") for column in row if column.endswith("_x"))
        frames.append(LabelledFrame(name, row["video"], image, _labels(row, names)))
    return LabelSet(names, tuple(frames))


def _labels(row: dict[str, str], names: Sequence[str]) -> FloatArray:
    return np.array(
        [[float(row.get(f"{each}_{axis}") or "nan") for axis in "xy"] for each in names], np.float32
    )


def read_set(folder: Path) -> list[Picture]:
    """Return a set's frames, each with a crop in which the face is as large as in the training rig.

    Raises
    ------
    DataError
        A frame cannot be read.
    """
    pictures = []
    for name, row, image in labelled_rows(folder):
        xy = _labels(row, FACEMAP_KEYPOINTS)
        if name in LEFT_OUT or (~np.isnan(xy).any(axis=1)).sum() < _LEAST_LABELS:
            continue
        if image is None:
            raise DataError(f"{folder / 'frames' / name} cannot be read")
        pictures.append(prepare(image, xy, crop=_face(xy, *image.shape[::-1])))
    return pictures


def training_pictures(folder: Path, left_out: Sequence[str] = ()) -> list[Picture]:
    """Return the frames that a shipped network may learn from, repeated as `REPEATED` says, but for the sets left out."""
    taken = {name: times for name, times in REPEATED.items() if name not in left_out}
    return [picture for name, times in taken.items() for picture in read_set(folder / name) * times]


def _face(xy: FloatArray, width: int, height: int) -> Crop:
    place = {name: index for index, name in enumerate(FACEMAP_KEYPOINTS)}
    low, high = _box(xy)
    eye, nose = (_middle(xy[[place[name] for name in names]]) for names in (EYE, NOSE))
    apart = float(np.linalg.norm(eye - nose))
    if np.isnan(apart):
        apart = 0.75 * float(np.linalg.norm(high - low))
    wide = min(apart / _EYE_TO_NOSE, width)
    tall = min(apart / _EYE_TO_NOSE * 0.75, height)
    x, y = (low + high) / 2 - np.array([wide, tall]) / 2
    return Crop(int(np.clip(x, 0, width - wide)), int(np.clip(y, 0, height - tall)), int(wide), int(tall))


def _box(xy: FloatArray) -> tuple[FloatArray, FloatArray]:
    labelled = xy[~np.isnan(xy).any(axis=1)]
    return labelled.min(axis=0), labelled.max(axis=0)


def _middle(xy: FloatArray) -> FloatArray:
    labelled = xy[~np.isnan(xy).any(axis=1)]
    return labelled.mean(axis=0) if len(labelled) else np.full(2, np.nan, np.float32)


def shares(found: Predictions, pictures: list[Picture]) -> FloatArray:
    """Return each point's distance from its label in percent of the extent of its frame's labels."""
    low, high = zip(*(_box(picture.xy) for picture in pictures), strict=True)
    extent = np.linalg.norm(np.array(high) - np.array(low), axis=1)
    return np.asarray(found.camera_distance / extent[:, None] * 100, np.float32)


def by_group(share: FloatArray) -> dict[str, Any]:
    """Return median and worst of the shares of `shares` for each group of keypoints that has labels."""
    place = {name: index for index, name in enumerate(FACEMAP_KEYPOINTS)}
    groups = {name: share[:, [place[each] for each in points]] for name, points in GROUPS.items()}
    return {
        name: {
            "n": int(np.isfinite(values).sum()),
            "median": round(float(np.nanmedian(values)), 2),
            "max": round(float(np.nanmax(values)), 1),
        }
        for name, values in groups.items()
        if np.isfinite(values).any()
    }


def _judge(engine: Engine, pictures: list[Picture]) -> dict[str, Any]:
    found = predict(torch_network(engine), pictures, engine.manifest.input.size)
    share = shares(found, pictures)
    sure = (found.score >= 0.5) & (share > 10)
    return {
        "percent_of_extent": by_group(share),
        "sure_and_beyond_10_percent": round(float(sure[np.isfinite(share)].mean()), 4),
    }


def main() -> None:
    """Judge each engine on each set and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder of each set")
    parser.add_argument("--engine", action="append", required=True, help="a float engine; repeatable")
    parser.add_argument("--out", type=Path, default=RESULTS / "other_rigs.json")
    options = parser.parse_args()
    sets = {name: read_set(options.data / name) for name in JUDGED}
    result: dict[str, Any] = {
        "command": "python -m bench.tracker.other_rigs --data OTHER_RIGS "
        + " ".join(f"--engine {each}" for each in options.engine),
        "unit": "percent of the diagonal of the box round a frame's labels; crop: the face as large as in the training rig",
        "note": "frames of one set are of one clip or a few: no interval can be given",
        "frames": {name: len(pictures) for name, pictures in sets.items()},
        "engines": {},
    }
    for name in options.engine:
        engine = load_engine(name)
        learnt = engine.manifest.training.get("other_rigs", {})
        result["engines"][engine.manifest.name] = {
            which: {"trained_on": which in learnt} | _judge(engine, pictures)
            for which, pictures in sets.items()
        }
    write(options.out, result)


if __name__ == "__main__":
    main()

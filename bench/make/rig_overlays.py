"""Draw what an engine finds on other rigs beside people's labels, a sheet a rig, to be looked at.

    python -m bench.make.rig_overlays --data OTHER_RIGS --out SHEETS

A disc: found, with a score of 0.5 or more; a ring: found, less sure; a cross: the label. The crop is that of
`bench.tracker.other_rigs`. The frames are not this project's, so neither are the sheets kept in it.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from bench.result import parser_of
from bench.tracker.other_rigs import JUDGED, read_set
from rtface.config import BackendSettings
from rtface.core.records import Image
from rtface.learn.tracker.samples import Picture
from rtface.offline.sessions.overlay_drawing import COLOURS
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine, load_engine

_WIDTH = 480
_COLUMNS = 4
_MOST = 12
_SURE = 0.5


def sheet(engine: Engine, pictures: list[Picture]) -> Image:
    """Return some pictures of a rig, side by side."""
    tiles = [tile(engine, picture) for picture in pictures[:: max(1, -(-len(pictures) // _MOST))]]
    height = max(each.shape[0] for each in tiles)
    whole = np.zeros((height * -(-len(tiles) // _COLUMNS), _WIDTH * _COLUMNS, 3), np.uint8)
    for place, each in enumerate(tiles):
        top, left = height * (place // _COLUMNS), _WIDTH * (place % _COLUMNS)
        whole[top : top + each.shape[0], left : left + _WIDTH] = each
    return whole


def tile(engine: Engine, picture: Picture) -> Image:
    """Return the crop of a picture with labels and what was found."""
    crop = picture.crop
    with PictureTracker(engine, BackendSettings(threads=1), crop) as tracker:
        pose = tracker.track(picture.image)
        found, score = pose.xy.copy(), pose.score.copy()
    seen = picture.image[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    scale = _WIDTH / crop.width
    shown = cv2.cvtColor(cv2.resize(seen, (_WIDTH, round(crop.height * scale))), cv2.COLOR_GRAY2BGR)
    corner = np.array([crop.x, crop.y])
    for number, (label, point, sure) in enumerate(zip(picture.xy, found, score, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        if np.isfinite(label).all():
            at = np.round((label - corner) * scale).astype(int).tolist()
            cv2.drawMarker(shown, at, colour, cv2.MARKER_TILTED_CROSS, 12, 2)
        if np.isfinite(point).all():
            at = np.round((point - corner) * scale).astype(int).tolist()
            cv2.circle(shown, at, 5, colour, cv2.FILLED if sure >= _SURE else 1, cv2.LINE_AA)
    return np.asarray(shown, np.uint8)


def main() -> None:
    """Draw a sheet of each set."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder of each set")
    parser.add_argument("--engine", default="default")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheets")
    options = parser.parse_args()
    engine = load_engine(options.engine)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in JUDGED:
        path = options.out / f"{name}.png"
        cv2.imwrite(str(path), sheet(engine, read_set(options.data / name)))
        print(path)


if __name__ == "__main__":
    main()

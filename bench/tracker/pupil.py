"""Does a pupil that was learnt from few frames follow the pupil? Slope and correlation, beside pixels.

    python -m bench.tracker.pupil --video PUPIL_VIDEO_FOLDER --masks PUPIL_MASKS --work WORK

In the video the left and right end of the pupil are labelled by a threshold (darkest, near the eye), on the frames for which
another program stated a radius. `rtface learn adapt` learns from 10 or 20 of them, with the pupil's diameter declared; the rest
judge: its diameter against the threshold's, and half of it against the stated radius. Of the masks, drawn by people in eye
crops of several recordings, those for training are learnt from and the others judge. All frames of the video are one clip: no
interval can be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from scipy.io import loadmat

from bench.result import RESULTS, parser_of, write
from rtface.core.records import FloatArray, Image
from rtface.learn.distances import DeclaredDistance
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.tracker.adapt import adapt
from rtface.learn.tracker.adapt_request import AdaptRequest
from rtface.learn.tracker.evaluation import predict
from rtface.learn.tracker.labelled_frames import pictures_of
from rtface.track.store import Engine, load_engine
from rtface.track.torch_graph import torch_network

POINTS = ("pupil(left)", "pupil(right)")
DIAMETER = DeclaredDistance("pupil diameter", *POINTS)
FRAMES = (10, 20)

_EYE = slice(200, 360), slice(240, 460)
_MIDDLE = 117.0, 78.0
_DARKEST, _ABOVE = 1.0, 20.0


def labelled_video(folder: Path) -> tuple[LabelSet, FloatArray]:
    """Return the frames for which a radius is stated, labelled by a threshold, and those radii in pixels."""
    (stated,) = folder.glob("*radii.mat")
    (film,) = folder.glob("*.mp4")
    radii = {int(number) - 1: float(radius) for number, radius in loadmat(str(stated))["R"]}
    frames, known = [], []
    with av.open(str(film)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in radii and radii[number] > 0:
                image = np.asarray(frame.to_ndarray(format="gray"), np.uint8)
                frames.append(LabelledFrame(f"{number:04}", film.stem, image, ends_of_pupil(image)))
                known.append(radii[number])
    return LabelSet(POINTS, tuple(frames), distances=(DIAMETER,)), np.array(known, np.float32)


def ends_of_pupil(image: Image) -> FloatArray:
    """Return the ends of the pupil in a frame of the video, shape (2, 2), by a threshold above its darkest pixels."""
    eye = cv2.GaussianBlur(image[_EYE], (5, 5), 0)
    dark = (eye < np.percentile(eye, _DARKEST) + _ABOVE).astype(np.uint8)
    for how, size in ((cv2.MORPH_CLOSE, 15), (cv2.MORPH_OPEN, 9)):
        dark = np.asarray(cv2.morphologyEx(dark, how, np.ones((size, size), np.uint8)), np.uint8)
    count, _, boxes, middles = cv2.connectedComponentsWithStats(dark)
    if count < 2:
        return np.full((2, 2), np.nan, np.float32)
    away = np.hypot(*(middles[1:] - _MIDDLE).T) - 0.1 * np.sqrt(boxes[1:, cv2.CC_STAT_AREA])
    left, _, width, _, _ = boxes[1 + int(np.argmin(away))]
    row = middles[1 + int(np.argmin(away))][1] + _EYE[0].start
    return np.array([[left + _EYE[1].start, row], [left + width - 1 + _EYE[1].start, row]], np.float32)


def labelled_masks(folder: Path, which: str) -> LabelSet:
    """Return the eye crops of ``train`` or ``validation`` that have a mask, labelled by its ends."""
    frames = []
    for path in sorted((folder / "sample_data" / f"masks_{which}").glob("*.png")):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        image = cv2.imread(str(folder / "sample_data" / f"images_{which}" / path.name), cv2.IMREAD_GRAYSCALE)
        if mask is None or image is None:
            continue
        rows, columns = np.nonzero(mask)
        ends = [(columns.min(), rows.mean()), (columns.max(), rows.mean())] if len(rows) else np.nan
        xy = np.broadcast_to(np.array(ends, np.float32), (2, 2)).copy()
        frames.append(LabelledFrame(path.name, path.stem.split(" ")[0], image.astype(np.uint8), xy))
    return LabelSet(POINTS, tuple(frames), distances=(DIAMETER,))


def learnt(engine: Engine, labels: LabelSet, work: Path, name: str) -> tuple[Engine, dict[str, Any]]:
    """Adapt as `rtface learn adapt` does; return the engine and what is to be said of the training."""
    done = adapt(
        AdaptRequest(
            engine=engine, labels=labels, folder=work / name, run=work / f"{name}-run", overwrite=True
        )
    )
    assert done is not None
    made = load_engine(str(work / name))
    return made, {name: done.report[name] for name in ("frames", "steps", "blend", "minutes")}


def judged(engine: Engine, labels: LabelSet, radii: FloatArray | None = None) -> dict[str, Any]:
    """Return how an engine follows the pupil on frames that it did not learn from."""
    names = engine.manifest.names
    found = predict(torch_network(engine), pictures_of(labels.arranged(names)), engine.manifest.input.size)
    clips = [frame.video for frame in labels.frames]
    result: dict[str, Any] = found.followed(names, [DIAMETER], clips)[DIAMETER.name]
    ours, theirs = (
        np.linalg.norm(points[:, places[0]] - points[:, places[1]], axis=1) * found.scale
        for points, places in (
            (each, [names.index(name) for name in POINTS]) for each in (found.found, found.labelled)
        )
    )
    result["diameter_px"] = {"found": _rounded(ours[:8]), "labelled": _rounded(theirs[:8])}
    result["median_error_px"] = round(float(np.nanmedian(found.camera_distance)), 2)
    if radii is not None:
        result["against_stated_radii"] = against(ours / 2, radii)
        result["labels_against_stated_radii"] = against(theirs / 2, radii)
    return result


def against(ours: FloatArray, radii: FloatArray) -> dict[str, float]:
    """Return slope and correlation of what was found on what was stated."""
    both = np.isfinite(ours)
    slope = float(np.polyfit(radii[both], ours[both], 1)[0])
    return {
        "slope": round(slope, 3),
        "correlation": round(float(np.corrcoef(radii[both], ours[both])[0, 1]), 3),
        "frames": int(both.sum()),
    }


def _rounded(values: FloatArray) -> list[float]:
    return [round(float(each), 1) for each in values]


def _chosen(labels: LabelSet, places: Sequence[int]) -> LabelSet:
    return replace(labels, frames=tuple(labels.frames[place] for place in places))


def main() -> None:
    """Learn, judge and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--video", type=Path, required=True, help="folder of mouse_face_pupil_video")
    parser.add_argument("--masks", type=Path, required=True, help="folder of pupil_masks")
    parser.add_argument("--work", type=Path, required=True, help="folder for engines and runs")
    parser.add_argument("--engine", default="default")
    parser.add_argument("--out", type=Path, default=RESULTS / "pupil.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    engine = load_engine(options.engine)
    labels, radii = labelled_video(options.video)
    video = {}
    for count in FRAMES:
        places = np.linspace(0, len(labels) - 1, count).round().astype(int).tolist()
        rest = [place for place in range(len(labels)) if place not in places]
        made, said = learnt(engine, _chosen(labels, places), options.work, f"pupil-{count}")
        video[str(count)] = said | judged(made, _chosen(labels, rest), radii[rest])
    made, said = learnt(engine, labelled_masks(options.masks, "train"), options.work, "pupil-masks")
    write(
        options.out,
        {
            "command": "python -m bench.tracker.pupil --video PUPIL_VIDEO --masks PUPIL_MASKS --work WORK",
            "engine": engine.manifest.name,
            "video": video,
            "masks": said | judged(made, labelled_masks(options.masks, "validation")),
        },
    )


if __name__ == "__main__":
    main()

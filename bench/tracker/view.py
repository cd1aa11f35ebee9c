"""Which views are known: the danger list, the home rig, well-cropped other rigs, pictures without a face; and what it costs.

    python -m bench.tracker.view --data SHARED_DATA

A view is known from a `view_ok` of 0.5 on. Of the home rig, a view made from one video's frames is judged on the other's (the
network learnt from both), and the shipped one on all. Other rigs are shown with the crop that `rtface cameras crop` finds, or
that its search finds best where it refuses. Of the danger list whole frames and random squares are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np

from bench.result import RESULTS, microseconds, parser_of, write
from bench.tracker.find_face import read_clips
from bench.tracker.side_view import read_side_view
from rtface.config import BackendSettings
from rtface.core.clock import NS_PER_S
from rtface.core.decision import Reason
from rtface.core.errors import DataError
from rtface.core.records import KNOWN_VIEW, Crop, FloatArray, FrameMeta, Image
from rtface.decide.viewdoubt import ViewDoubt
from rtface.learn.engines.no_face import no_face_pictures
from rtface.learn.engines.viewmaking import view_of_engine
from rtface.track import facefinder
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine, load_engine
from rtface.track.view import ViewModel, read_view
from rtface.track.viewcheck import ViewCheck

_SQUARES = 30
_SQUARE_SIDE = 0.3, 1.0
_EVERY = 10
_TIMED, _WARM_UP = 20_000, 1_000
_PERCENT = 100.0
_HOUR_S = 3600


class _Judge:
    """Runs an engine on pictures and says how many show a known view."""

    def __init__(self, engine: Engine, settings: BackendSettings) -> None:
        self.engine, self.settings = engine, settings
        self.trained = np.array([entry.trained for entry in engine.manifest.keypoints])

    def outputs(self, images: Sequence[Image], crop: Crop | None = None) -> tuple[FloatArray, FloatArray]:
        """Return what the engine gives in pixels of its input, and `view_ok`, of frames of one size."""
        found, view_ok = [], []
        with PictureTracker(self.engine, self.settings, crop) as tracker:
            for image in images:
                pose = tracker.track(image)
                frame = self.engine.manifest.network_frame(tracker.seen)
                xy = frame.to_network(np.nan_to_num(pose.xy))
                found.append(np.column_stack([xy, pose.score]))
                view_ok.append(pose.view_ok)
        return np.array(found, np.float32), np.array(view_ok, np.float32)

    def row(self, images: Sequence[Image], crop: Crop | None = None) -> dict[str, Any]:
        found, view_ok = self.outputs(images, crop)
        return self.summary(found, view_ok)

    def summary(self, found: FloatArray, view_ok: FloatArray) -> dict[str, Any]:
        """Return figures, with the highest score of any keypoint."""
        return {
            "n": len(view_ok),
            "known_percent": round(_PERCENT * float((view_ok >= KNOWN_VIEW).mean()), 1),
            "view_ok_median": round(float(np.median(view_ok)), 3),
            "view_ok_max": round(float(view_ok.max()), 3),
            "highest_score": round(float(found[..., 2].max()), 2),
        }


def _video(path: Path, every: int = 1) -> tuple[list[Image], float]:
    """Return every so many frames of a video in gray, and its frames per second."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [
            frame.to_ndarray(format="gray").astype(np.uint8)
            for number, frame in enumerate(container.decode(stream))
            if number % every == 0
        ]
        return frames, float(stream.average_rate or 0)


def _squares(shape: tuple[int, int], random: np.random.Generator) -> list[Crop]:
    squares = []
    for _ in range(_SQUARES):
        side = int(random.uniform(*_SQUARE_SIDE) * min(shape))
        x, y = (int(random.uniform(0, length - side)) for length in (shape[1], shape[0]))
        squares.append(Crop(x, y, side, side))
    return squares


def danger_list(judge: _Judge, data: Path) -> dict[str, Any]:
    """Return the views that score high without a face at its place: whole frames, and squares of body and whiskers."""
    sets: dict[str, list[Image]] = {
        f"IBL {side} camera, whole mouse": list(np.load(data / "ibl_frames" / f"frames_{side}.npy"))
        for side in ("body", "left", "right")
    }
    for path in sorted((data / "whisker_videos").glob("*.mp4")):
        sets[f"whiskers from above, {path.stem}"] = _video(path, _EVERY)[0]
    for name in ("tufts_rat_whisking", "aind_bottom_face_pseudo"):
        sets[name] = _pictures(data / "other_rigs" / name / "frames")
    rows = {name: judge.row(images) for name, images in sets.items()}
    random = np.random.default_rng(0)
    for name in [name for name in sets if "body" in name or "above" in name]:
        few = sets[name][:: max(1, len(sets[name]) // 4)]
        parts = [judge.outputs(few, square) for square in _squares(few[0].shape, random)]
        rows[f"{name}, {_SQUARES} squares"] = judge.summary(
            *(np.concatenate([part[k] for part in parts]) for k in (0, 1))
        )
    return rows


def _pictures(folder: Path) -> list[Image]:
    import cv2

    read = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.iterdir()))
    return [image.astype(np.uint8) for image in read if image is not None]


def other_rigs(judge: _Judge, data: Path) -> dict[str, Any]:
    """Return clips of other rigs with the best crop that the search finds."""
    limit, least = facefinder.CONFIDENT, facefinder.DOUBTFUL
    facefinder.CONFIDENT = facefinder.DOUBTFUL = 0.0
    rows: dict[str, Any] = {}
    try:
        for name, clip in read_clips(data).items():
            if name.startswith("mouse_face_side_view"):
                continue
            images = [image for image, _ in clip]
            try:
                face = facefinder.find_face(
                    judge.engine, images[:: -(-len(images) // facefinder.FRAMES)], judge.settings
                )
            except DataError as error:
                rows[name] = {"refused": str(error)}
                continue
            rows[name] = judge.row(images, face.crop) | {
                "confidence": round(face.confidence, 2),
                "crop_would_be_refused": face.confidence < limit,
            }
    finally:
        facefinder.CONFIDENT, facefinder.DOUBTFUL = limit, least
    hand = _pictures(data / "mouse_hand_tongue_labelled" / "labeled-data" / "reachingvideo1")
    for shape in sorted({image.shape for image in hand}):
        rows[f"mouse_hand_tongue_labelled, {shape[1]}x{shape[0]}, whole"] = judge.row(
            [image for image in hand if image.shape == shape]
        )
    return rows


def home_rig(judge: _Judge, data: Path) -> dict[str, Any]:
    """Return the home rig's frames by the shipped view, and by one of the other video."""
    labels = read_side_view(data / "mouse_face_side_view")
    rows: dict[str, Any] = {}
    images = {video: [frame.image for frame in labels.only([video]).frames] for video in labels.videos}
    found = {video: judge.outputs(images[video]) for video in labels.videos}
    for video, other in zip(labels.videos, reversed(labels.videos), strict=True):
        rows[f"{video}, shipped view"] = judge.summary(*found[video])
        view = view_of_engine(judge.engine, images[other], settings=judge.settings)
        rows[f"{video}, view made from {other}"] = judge.summary(
            found[video][0], _by_view(judge, view, found[video][0])
        )
    shown = [image for video in labels.videos for image in images[video]]
    rows["turned, upside down"] = judge.row([image[::-1] for image in shown])
    rows["turned, a quarter turn"] = judge.row([np.rot90(image) for image in shown])
    return rows


def _by_view(judge: _Judge, view: ViewModel, found: FloatArray) -> FloatArray:
    check = ViewCheck(view, judge.engine.manifest.names)
    return np.array([check.view_ok(each) for each in found], np.float32)


def real_video(judge: _Judge, data: Path) -> dict[str, Any]:
    """Return how often rules doubt the view in a video of a face: stretches of frames, and how many an hour."""
    frames, rate_hz = _video(data / "mouse_face_pupil_video" / "sample_video.mp4")
    face = facefinder.find_face(judge.engine, frames[:: -(-len(frames) // facefinder.FRAMES)], judge.settings)
    rows = {}
    for name, crop in (("whole frame", None), ("crop that is found", face.crop)):
        doubts, seconds = ViewDoubt(KNOWN_VIEW), len(frames) / rate_hz
        with PictureTracker(judge.engine, judge.settings, crop) as tracker:
            poses = [tracker.track(frame) for frame in frames]
        reasons = []
        for number, pose in enumerate(poses):
            meta = FrameMeta(number, round(number * NS_PER_S / rate_hz), 0)
            reasons.append(doubts.doubt(replace(pose, frame=meta), pose.view_ok))
        row: dict[str, Any] = {"n": len(frames), "seconds": round(seconds, 1)}
        for reason in (Reason.UNKNOWN_VIEW, Reason.OCCLUDED):
            here = np.array([each is reason for each in reasons])
            stretches = int(np.count_nonzero(np.diff(here.astype(int), prepend=0) == 1))
            row[reason.value] = {
                "percent": round(_PERCENT * float(here.mean()), 1),
                "stretches": stretches,
                "stretches_per_hour": round(stretches * _HOUR_S / seconds),
            }
        rows[f"mouse_face_pupil_video, {name}"] = row
    return rows


def cost(judge: _Judge, data: Path) -> dict[str, float]:
    """Return what a frame's check takes."""
    view = read_view(judge.engine)
    if view is None:
        raise DataError(f"{judge.engine.manifest.name} keeps no view")
    frames = [frame.image for frame in read_side_view(data / "mouse_face_side_view").frames[:40]]
    found, _ = judge.outputs(frames)
    check = ViewCheck(view, judge.engine.manifest.names)
    return microseconds(check.view_ok, [found[k % len(found)] for k in range(_TIMED)], _WARM_UP)


def main() -> None:
    """Judge all and write the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the shared data")
    parser.add_argument("--engine", default="default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "view.json")
    options = parser.parse_args()
    judge = _Judge(load_engine(options.engine), BackendSettings(threads=options.threads))
    bank = list(no_face_pictures(192, 256).values())
    view = read_view(judge.engine)
    write(
        options.out,
        {
            "command": f"python -m bench.tracker.view --data SHARED_DATA --threads {options.threads}",
            "engine": judge.engine.manifest.name,
            "limit": None if view is None else view.limit,
            "note": "the least limit, 0.15, was chosen on the danger list and other rigs: they do not say how often it holds",
            "check_us": cost(judge, options.data),
            "danger_list": danger_list(judge, options.data),
            "without_a_face": judge.row(bank),
            "home_rig": home_rig(judge, options.data),
            "other_rigs": other_rigs(judge, options.data),
            "real_video": real_video(judge, options.data),
        },
    )


if __name__ == "__main__":
    main()

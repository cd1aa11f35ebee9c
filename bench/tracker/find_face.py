"""Is the face found on rigs that the engine never saw? Errors of eye and nose with the crop that is found and without.

A set of frames counts as one clip; the crop is found in at most five of its frames, and judged on all of them.

    python -m bench.tracker.find_face --data SHARED_DATA
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.result import RESULTS, parser_of, write
from bench.tracker.other_rigs import labelled_rows
from rtface.config import BackendSettings
from rtface.core.errors import DataError
from rtface.core.records import Crop, Image
from rtface.track.backends.factory import engine_for
from rtface.track.facefinder import CONFIDENT, FRAMES, find_face
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

_POINTS = (
    *(f"eye({part})" for part in ("back", "bottom", "front", "top")),
    *(f"nose({part})" for part in ("bottom", "tip", "top")),
)
_SETS = ("mouse_face_2mp", "mouse_face_pupil", "ibl", "cheese3d", "cheese3d_docs")
_HOME = 40
"""Frames of the home rig, of each of its videos."""
_Clip = list[tuple[Image, dict[str, tuple[float, float]]]]


def read_clips(data: Path) -> dict[str, _Clip]:
    """Return the labelled frames of all sets, by clip; frames of one clip have one size."""
    clips: dict[str, _Clip] = {}
    for folder in [*(data / "other_rigs" / name for name in _SETS), data / "mouse_face_side_view"]:
        for file, row, image in labelled_rows(folder):
            if image is None:
                continue
            clip = f"{folder.name}: {file if folder.name == 'cheese3d_docs' else row['video']}"
            known = {
                name: (float(row[f"{name}_x"]), float(row[f"{name}_y"]))
                for name in _POINTS
                if row.get(f"{name}_x")
            }
            clips.setdefault(clip, []).append((image, known))
    return {name: clip[:_HOME] for name, clip in clips.items()}


def errors(engine: Engine, settings: BackendSettings, clip: _Clip, crop: Crop | None) -> dict[str, Any]:
    """Return the distances of eye and nose from their labels in pixels, each keypoint's median, and how many."""
    names = engine.manifest.names
    apart: dict[str, list[float]] = {"eye": [], "nose": []}
    with PictureTracker(engine, settings, crop) as tracker:
        for image, known in clip:
            xy = tracker.track(image).xy
            for name, place in known.items():
                apart[name.partition("(")[0]].append(float(np.hypot(*(xy[names.index(name)] - place))))
    return {
        part: {
            "n": len(each),
            "median_px": round(float(np.median(each)), 1),
            "p90_px": round(float(np.percentile(each, 90)), 1),
        }
        for part, each in apart.items()
        if each
    }


def main() -> None:
    """Find the face in each clip and write the table."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the shared data")
    parser.add_argument("--engine", default="default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "find_face.json")
    options = parser.parse_args()
    settings = BackendSettings(threads=options.threads)
    engine = engine_for(options.engine, settings)
    clips: dict[str, Any] = {}
    for name, clip in read_clips(options.data).items():
        images = [image for image, _ in clip]
        row: dict[str, Any] = {"frames": len(clip), "size": "{1}x{0}".format(*images[0].shape)}
        row["whole_frame"] = errors(engine, settings, clip, None)
        try:
            found = find_face(engine, images[:: -(-len(images) // FRAMES)], settings)
        except DataError as error:
            clips[name] = row | {"refused": str(error)}
        else:
            row |= {"found": asdict(found), "with_crop": errors(engine, settings, clip, found.crop)}
            clips[name] = row
        print(name, clips[name], flush=True)
    write(
        options.out,
        {
            "command": f"python -m bench.tracker.find_face --data SHARED_DATA --threads {options.threads}",
            "engine": engine.manifest.name,
            "confident": CONFIDENT,
            "note": "the limit was chosen on these clips: they say what was found, not how often it will be",
            "clips": clips,
        },
    )


if __name__ == "__main__":
    main()

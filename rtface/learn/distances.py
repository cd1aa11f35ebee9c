"""Distances between two keypoints, and whether an engine follows them: what biology asks, beside pixels.

A pupil's ring can sit right to a few pixels and not breathe. So for a pair of keypoints that form a distance, the distance
that an engine finds is held against the labelled one: the slope of its regression on the labels' (1: it follows; 0: it
stays the same whatever the animal does) and their correlation.

Pairs are declared beside labels, in ``distances.yaml``: ``pupil diameter: [pupil(left), pupil(right)]``. An adapted engine's
manifest keeps them (``training.distances``). The opening of the eye is known by Facemap's names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray

DISTANCES_FILE = "distances.yaml"

FEWEST_FRAMES = 5
"""Frames with both labels below which nothing is stated."""

LEAST_SHARE = 0.05
"""Standard deviation of the labelled distance, over its mean, below which it varies too little for a slope..."""

LEAST_SD = 1.0
"""...or below this, in camera pixels: about what a person's labels of a point that stays still scatter by."""


@dataclass(frozen=True, slots=True)
class DeclaredDistance:
    """Two keypoints whose distance means something.

    Attributes
    ----------
    name : str
        What it is called, such as ``pupil diameter``.
    one, other : str
        Names of the keypoints.
    """

    name: str
    one: str
    other: str

    def renamed(self, names: Mapping[str, str]) -> DeclaredDistance:
        """Return it with other names for its keypoints."""
        return DeclaredDistance(self.name, names.get(self.one, self.one), names.get(self.other, self.other))


KNOWN = (DeclaredDistance("eye opening", "eye(top)", "eye(bottom)"),)
"""Pairs of Facemap's keypoints that are reported without being declared; they choose nothing."""


def read_distances(folder: Path) -> tuple[DeclaredDistance, ...]:
    """Return what is declared in a folder of labels; nothing where it has no such file.

    Raises
    ------
    DataError
        The file is no mapping of names to two keypoints; named with the entry.
    """
    file = folder / DISTANCES_FILE
    if not file.is_file():
        return ()
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise DataError(f"{file} holds no distances: NAME: [ONE KEYPOINT, ANOTHER]")
    return tuple(_declared(str(name), points, f"{file}: {name}") for name, points in read.items())


def write_distances(folder: Path, distances: Iterable[DeclaredDistance]) -> None:
    """Write what `read_distances` reads; no file where nothing is declared."""
    declared = {each.name: [each.one, each.other] for each in distances}
    if declared:
        text = yaml.safe_dump(declared, allow_unicode=True, sort_keys=False)
        (folder / DISTANCES_FILE).write_text(text, encoding="utf-8")


def distances_of(training: Mapping[str, Any]) -> tuple[DeclaredDistance, ...]:
    """Return what an engine's manifest declares in its ``training``; entries of another form are left out."""
    declared = training.get("distances")
    pairs = declared.items() if isinstance(declared, Mapping) else ()
    return tuple(
        DeclaredDistance(str(name), str(points[0]), str(points[1]))
        for name, points in pairs
        if isinstance(points, Sequence) and len(points) == 2
    )


def as_declared(distances: Iterable[DeclaredDistance]) -> dict[str, list[str]]:
    """Return distances as a manifest keeps them."""
    return {each.name: [each.one, each.other] for each in distances}


def united(*several: Iterable[DeclaredDistance]) -> tuple[DeclaredDistance, ...]:
    """Return the distances of several sources, each once.

    Raises
    ------
    DataError
        One name stands for two pairs.
    """
    found: dict[str, DeclaredDistance] = {}
    for each in (each for distances in several for each in distances):
        earlier = found.setdefault(each.name, each)
        if {earlier.one, earlier.other} != {each.one, each.other}:
            raise DataError(
                f"the distance {each.name!r} is declared twice: {earlier.one} to {earlier.other}, "
                f"and {each.one} to {each.other}"
            )
    return tuple(found.values())


def with_known(
    declared: Iterable[DeclaredDistance], keypoints: Sequence[str]
) -> tuple[DeclaredDistance, ...]:
    """Return the declared distances and those known by name, of which both keypoints are there."""
    own = tuple(declared)
    names = {each.name for each in own}
    return among((*own, *(each for each in KNOWN if each.name not in names)), keypoints)


def among(distances: Iterable[DeclaredDistance], keypoints: Sequence[str]) -> tuple[DeclaredDistance, ...]:
    """Return the distances both of whose keypoints are there."""
    return tuple(each for each in distances if each.one in keypoints and each.other in keypoints)


def followed(
    labelled: FloatArray,
    found: FloatArray,
    keypoints: Sequence[str],
    distances: Iterable[DeclaredDistance],
    clips: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Return how an engine follows distances.

    Parameters
    ----------
    labelled, found : ndarray, shape (N, K, 2), float32
        Camera pixels; NaN where there is no label, or nothing was found.
    keypoints : sequence of str
        Names, K of them.
    distances : iterable of DeclaredDistance
    clips : sequence of str
        The recording of each frame, N of them.

    Returns
    -------
    dict
        By the distance's name: ``points``; ``frames`` and ``clips``, those with both points labelled and found; then
        ``slope`` and ``correlation`` (None where what was found does not vary at all), and ``labelled_px``, mean and
        standard deviation of the labels' distance; or ``not_said``, why there is no slope.
    """
    report = {}
    for each in among(distances, keypoints):
        places = [keypoints.index(each.one), keypoints.index(each.other)]
        truth, ours = (_length(points[:, places]) for points in (labelled, found))
        both = ~np.isnan(truth) & ~np.isnan(ours)
        counts = {
            "points": [each.one, each.other],
            "frames": int(both.sum()),
            "clips": len({clip for clip, here in zip(clips, both, strict=True) if here}),
        }
        report[each.name] = counts | _regression(truth[both], ours[both])
    return report


def _length(points: FloatArray) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(points[:, 0].astype(np.float64) - points[:, 1], axis=1))


def _regression(truth: NDArray[np.float64], found: NDArray[np.float64]) -> dict[str, Any]:
    if truth.size < FEWEST_FRAMES:
        return {"not_said": f"{truth.size} frames have both points; {FEWEST_FRAMES} are needed"}
    mean, sd = float(truth.mean()), float(truth.std())
    if sd < max(LEAST_SD, LEAST_SHARE * mean):
        return {
            "not_said": f"the labelled distance hardly varies ({mean:.1f} px, standard deviation {sd:.1f})"
        }
    about, ours = truth - mean, found - found.mean()
    slope = float((about * ours).sum() / (about**2).sum())
    spread = float(np.sqrt((ours**2).sum() * (about**2).sum()))
    return {
        "slope": round(slope, 3),
        "correlation": round(float((about * ours).sum()) / spread, 3) if spread > 0 else None,
        "labelled_px": {"mean": round(mean, 2), "sd": round(sd, 2)},
    }


def _declared(name: str, points: object, where: str) -> DeclaredDistance:
    if not isinstance(points, list) or len(points) != 2 or not all(isinstance(each, str) for each in points):
        raise DataError(f"{where}: a distance has two keypoints, [ONE, ANOTHER], not {points!r}")
    if points[0] == points[1]:
        raise DataError(f"{where}: the distance of {points[0]} from itself is always 0")
    return DeclaredDistance(name, points[0], points[1])

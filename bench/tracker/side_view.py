"""The labelled frames of a face in side view that rtface's engines are trained on, with Facemap's names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.labels.reading import read_labels

NAMES = {"whisker 1": "whisker(II)", "whisker 2": "whisker(I)", "whisker 3": "whisker(III)"}
"""Keypoints of the side-view set that have other names than Facemap's, matched by position."""

_NOSE_AND_WHISKERS = (
    "nose(top)",
    "nose(tip)",
    "nose(bottom)",
    "whisker(I)",
    "whisker(II)",
    "whisker(III)",
)
WRONG_LABELS = {"cam1_G7c1_2_img0539.png": _NOSE_AND_WHISKERS}
"""Labels that are left out: in this frame those of the nose and of the whiskers are interchanged."""


def read_side_view(folder: Path) -> LabelSet:
    """Read the side-view set with Facemap's names, without the labels that are known to be wrong."""
    labels = read_labels(folder).renamed(NAMES).arranged(FACEMAP_KEYPOINTS)
    frames = []
    for frame in labels.frames:
        xy = frame.xy.copy()
        xy[[FACEMAP_KEYPOINTS.index(name) for name in WRONG_LABELS.get(frame.name, ())]] = np.nan
        frames.append(replace(frame, xy=xy))
    return LabelSet(labels.keypoints, tuple(frames))

"""DeepLabCut's labels as the csv that it writes, without pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def label_csv(
    scorer: str,
    images: Sequence[tuple[str, ...]],
    keypoints: Sequence[str],
    xy: NDArray[np.floating[Any]],
) -> str:
    """Return labels as the text of a ``CollectedData`` csv.

    Parameters
    ----------
    scorer : str
        Who labelled.
    images : sequence of tuple of str
        N images' paths, each in three parts: ``labeled-data``, the recording, the image.
    keypoints : sequence of str
        Names, K of them.
    xy : ndarray, shape (N, K, 2)
        Pixels of the images; NaN where there is no label.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    gap = [""] * (len(images[0]) - 1 if images else 2)
    table.writerow(["scorer", *gap, *[scorer] * (2 * len(keypoints))])
    table.writerow(["bodyparts", *gap, *[name for name in keypoints for _ in "xy"]])
    table.writerow(["coords", *gap, *["x", "y"] * len(keypoints)])
    for image, row in zip(images, xy.reshape(len(images), -1).astype(np.float64).tolist(), strict=True):
        table.writerow([*image, *("" if value != value else repr(value) for value in row)])
    return text.getvalue()

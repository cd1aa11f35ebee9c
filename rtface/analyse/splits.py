"""Which neural samples an encoder learns from and which it is judged by."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError

Indices = NDArray[np.int64]

SEGMENTS = 10
SHARE = 0.75
PUBLISHED_GAP = 3
FEWEST = 5
"""Samples of a segment below which it is not worth splitting."""


@dataclass(frozen=True, slots=True)
class Split:
    """Rising numbers of neural samples.

    Attributes
    ----------
    train, test : ndarray of int64
        Disjoint; what is in neither is a gap.
    """

    train: Indices
    test: Indices


def published(samples: int) -> Split:
    """Return the split of the Facemap paper: ten segments, three quarters of each to train on, three samples between.

    Nothing lies between the end of a test block and the next segment, so that kernels that reach into the past, and
    more so those that reach into the future, cover inputs that were trained on.

    Raises
    ------
    DataError
        There are too few samples.
    """
    return _split(samples, SEGMENTS, PUBLISHED_GAP, 0)


def strict(samples: int, gap: int) -> Split:
    """Return ten segments with a gap on both sides of every test block.

    Of a short recording there are fewer, so that test blocks are no shorter than the gaps beside them.

    Parameters
    ----------
    samples : int
    gap : int
        Samples; at least the encoder's window, so that no input frame serves both sides.

    Raises
    ------
    DataError
        Too few samples are left between the gaps.
    """
    gap = max(gap, PUBLISHED_GAP)
    segments = max(1, min(SEGMENTS, int(samples * (1 - SHARE) / (3 * gap))))
    return _split(samples, segments, gap, gap)


def hold_back(train: Indices, share: float, gap: int) -> Split:
    """Split what is trained on again, to find when to stop: the last part of each stretch is judged by.

    Parameters
    ----------
    train : ndarray of int64
    share : float
        Of each stretch.
    gap : int
        Samples left out between the two parts.

    Raises
    ------
    DataError
        The stretches are too short.
    """
    learnt, judged = [], []
    for stretch in stretches(train):
        first = round((1 - share) * len(stretch))
        if first - gap >= FEWEST and len(stretch) - first >= 1:
            learnt.append(stretch[: first - gap])
            judged.append(stretch[first:])
        else:
            learnt.append(stretch)
    if not judged:
        raise DataError(
            f"no stretch of the {len(train)} training samples is long enough to hold a part of it back "
            f"behind a gap of {gap} samples"
        )
    return Split(np.concatenate(learnt), np.concatenate(judged))


def stretches(samples: Indices) -> list[Indices]:
    """Return rising sample numbers cut where one is missing."""
    return np.split(samples, np.flatnonzero(np.diff(samples) != 1) + 1)


def _split(samples: int, segments: int, before: int, after: int) -> Split:
    edges = np.linspace(0, samples, segments + 1).round().astype(np.int64)
    train, test = [], []
    for index, (start, end) in enumerate(pairwise(edges)):
        cut = start + round(SHARE * (end - start))
        last = end if index == segments - 1 else end - after
        if cut - start < FEWEST or last - (cut + before) < 1:
            raise DataError(
                f"{samples} neural samples are too few for {segments} segments with gaps of {before} samples: "
                "a longer recording or a shorter window is needed"
            )
        train.append(np.arange(start, cut))
        test.append(np.arange(cut + before, last))
    return Split(np.concatenate(train), np.concatenate(test))

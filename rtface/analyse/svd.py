"""The singular value decomposition of a video or of its motion energy: the classical inputs of neural predictions.

A video is read twice in bounded memory. First stretches of it, evenly spaced, feed an incremental decomposition;
then each frame is projected. Frames are averaged over small squares before that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.decomposition import IncrementalPCA

from rtface.core.errors import DataError
from rtface.core.records import FloatArray, Image

Kind = Literal["motion", "movie"]

COMPONENTS = 500
MOST_PIXELS = 10_000
"""Of a frame after averaging."""

_STRETCH = 1000
_MOST_STRETCHES = 20


@dataclass(frozen=True, eq=False)
class VideoComponents:
    """What a video is made of.

    Attributes
    ----------
    traces : ndarray, shape (T, C), float32
        The components over time; by the standard deviation of the first, as Facemap scales them.
    masks : ndarray, shape (C, rows, cols), float32
        Orthonormal pictures.
    mean : ndarray, shape (rows, cols), float32
        Mean (motion) frame that was taken off.
    bin_px : int
        Side of the squares that were averaged.
    kind : str
        ``motion``: absolute differences of successive frames, the first of which counts as no motion; ``movie``:
        the frames.
    """

    traces: FloatArray
    masks: FloatArray
    mean: FloatArray
    bin_px: int
    kind: Kind


def decompose(
    read: Callable[[], Iterable[Image]],
    frames: int,
    components: int = COMPONENTS,
    kind: Kind = "motion",
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VideoComponents:
    """Decompose a video.

    Parameters
    ----------
    read : callable
        Gives the frames from the first on, each uint8 of shape (rows, cols); the memory may be the same each time.
        It is called twice.
    frames : int
        How many there are, or about.
    components : int
        At most.
    kind : str
    progress : callable
        Called with the frames read and how many are to be read in all.

    Raises
    ------
    DataError
        There are fewer than two frames, or the second reading has another number of them.
    """
    stretches = min(_MOST_STRETCHES, max(1, frames // _STRETCH))
    step = max(1, frames // stretches)
    model: IncrementalPCA | None = None
    gathered: list[FloatArray] = []
    count, bin_px, shape = 0, 1, (0, 0)
    for image, side in _prepared(read(), kind):
        count, bin_px, shape = count + 1, side, image.shape
        if (count - 1) % step < _STRETCH:
            gathered.append(image.ravel())
        if len(gathered) == _STRETCH:
            model = _learn(model, gathered, components)
        if count % _STRETCH == 0:
            progress(count, 2 * frames)
    if count < 2:
        raise DataError(f"a video of {count} frames has no components")
    if model is None or len(gathered) >= model.n_components_:
        model = _learn(model, gathered, components)
    masks = np.asarray(model.components_, np.float32)
    mean = np.asarray(model.mean_, np.float32)
    traces = np.empty((count, len(masks)), np.float32)
    row = 0
    for chunk in _chunks(image for image, _ in _prepared(read(), kind)):
        if row + len(chunk) > count:
            row += len(chunk)
            break
        traces[row : row + len(chunk)] = (chunk - mean) @ masks.T
        row += len(chunk)
        progress(frames + min(row, frames), 2 * frames)
    if row != count:
        raise DataError(f"the video had {count} frames when it was first read and another number then")
    spread = float(traces[:, 0].std(dtype=np.float64))
    return VideoComponents(
        traces / np.float32(spread or 1), masks.reshape(-1, *shape), mean.reshape(shape), bin_px, kind
    )


def _learn(model: IncrementalPCA | None, gathered: list[FloatArray], components: int) -> IncrementalPCA:
    rows = np.stack(gathered)
    gathered.clear()
    if model is None:
        model = IncrementalPCA(min(components, *rows.shape))
    with np.errstate(invalid="ignore", divide="ignore"):  # shares of a variance that is 0 where nothing moves
        model.partial_fit(rows)
    return model


def _prepared(images: Iterable[Image], kind: Kind) -> Iterator[tuple[FloatArray, int]]:
    """Yield averaged frames or their absolute differences, with the side of the squares."""
    before: FloatArray | None = None
    for image in images:
        rows, cols = image.shape
        side = max(1, int(np.ceil(np.sqrt(rows * cols / MOST_PIXELS))))
        cut = image[: rows // side * side, : cols // side * side]
        now = cut.reshape(rows // side, side, cols // side, side).mean(axis=(1, 3), dtype=np.float32)
        if kind == "movie":
            yield now, side
            continue
        yield np.abs(now - (now if before is None else before)), side
        before = now


def _chunks(images: Iterable[FloatArray]) -> Iterator[FloatArray]:
    gathered: list[FloatArray] = []
    for image in images:
        gathered.append(image.ravel())
        if len(gathered) == _STRETCH:
            yield np.stack(gathered)
            gathered.clear()
    if gathered:
        yield np.stack(gathered)

"""An engine of random weights, for how fast a network of its size is: the time does not hang on the weights."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rtface.core.extras import needing
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.track.store import Engine


@contextmanager
def random_facemap_engine(widths: Sequence[int]) -> Iterator[Engine]:
    """Make an engine of Facemap's architecture in a temporary folder, for as long as the block lasts.

    Parameters
    ----------
    widths : sequence of 5 int
        Of the encoder's blocks.

    Raises
    ------
    BackendError
        torch or onnx is missing.
    UsageError
        There are not 5 widths, or one is not positive.
    """
    with needing("train"):
        import torch

        from rtface.learn.engines.facemap_import import import_facemap
        from rtface.networks.facemap import FacemapNetwork
    with tempfile.TemporaryDirectory() as made, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = Path(made) / "random.pt"
        torch.save(FacemapNetwork(widths, len(FACEMAP_KEYPOINTS)).state_dict(), weights)
        yield import_facemap(weights, None, Path(made) / f"facemap-random-{'-'.join(map(str, widths))}")

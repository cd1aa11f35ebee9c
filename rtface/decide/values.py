"""What rules are evaluated on: all named values of a frame, and how the frame follows the one before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from rtface.core.clock import NS_PER_S
from rtface.core.decision import Input
from rtface.core.errors import UsageError
from rtface.core.features import NEVER_NS, Features
from rtface.decide.holding import Holding

_OUT_OF_ORDER = 1 << 62


class FramePosition(NamedTuple):
    """A frame among the others.

    Attributes
    ----------
    frame_id, exposure_ns : int
        As in `rtface.core.records.FrameMeta`.
    missing : int
        Frames that are missing just before it; beyond any limit where the order is broken.
    newer : bool
        Whether it is newer than the one before.
    camera : str
        As in `rtface.core.records.FrameMeta`.
    """

    frame_id: int
    exposure_ns: int
    missing: int
    newer: bool
    camera: str = ""


class FrameOrder:
    """How the frames of one camera follow each other.

    Parameters
    ----------
    camera : str
        As in `rtface.core.records.FrameMeta`.
    """

    def __init__(self, camera: str = "") -> None:
        self._camera = camera
        self._frame_id: int | None = None
        self._exposure_ns = NEVER_NS

    def position(self, frame_id: int, exposure_ns: int) -> FramePosition:
        """Place a frame after the one before; one much older, or with a lower number, begins a new count."""
        last_id, last_ns, camera = self._frame_id, self._exposure_ns, self._camera
        if last_ns - NS_PER_S < exposure_ns <= last_ns:
            return FramePosition(frame_id, exposure_ns, _OUT_OF_ORDER, newer=False, camera=camera)
        self._frame_id, self._exposure_ns = frame_id, exposure_ns
        if last_id is None:
            return FramePosition(frame_id, exposure_ns, 0, newer=True, camera=camera)
        in_order = exposure_ns > last_ns and frame_id > last_id
        missing = frame_id - last_id - 1 if in_order else _OUT_OF_ORDER
        return FramePosition(frame_id, exposure_ns, missing, newer=True, camera=camera)


class FrameValues:
    """All values on the newest frame.

    Parameters
    ----------
    features, extras, truths : sequence of str
        Names of the features, of further values, and of the rules' truths, in this order.

    Attributes
    ----------
    names : tuple of str
        All of them.
    values, scores, exposures : list
        In the order of `names`.
    position : callable
        As `FrameOrder.position`, of the only camera.
    """

    def __init__(self, features: Sequence[str], extras: Sequence[str], truths: Sequence[str]) -> None:
        self.names = (*features, *extras, *truths)
        self._widths = len(features), len(extras)
        self.values: list[float] = []
        self.scores: list[float] = []
        self.exposures: list[int] = []
        self.position = FrameOrder().position

    @property
    def truths(self) -> list[float]:
        """Those of the rules."""
        return self.values[sum(self._widths) :]

    def load(self, features: Features, extra: Features | None) -> None:
        """Take the values of a frame; truths are unknown until they are put in.

        Raises
        ------
        UsageError
            There are more or fewer values than names.
        """
        width, more = self._widths
        if len(features.values) != width or (extra is not None and len(extra.values) != more):
            raise UsageError(f"rules over {width} features and {more} further values were given others")
        values: list[float] = features.values.tolist()
        scores: list[float] = features.scores.tolist()
        exposures: list[int] = features.exposure_ns.tolist()
        if extra is not None:
            values += extra.values.tolist()
            scores += [each if each == each else 0.0 for each in extra.scores.tolist()]
            exposures += extra.exposure_ns.tolist()
        lacking = len(self.names) - len(values)
        self.values = values + [math.nan] * lacking
        self.scores = scores + [0.0] * lacking
        self.exposures = exposures + [NEVER_NS] * lacking

    def put_truth(self, place: int, holding: Holding, exposure_ns: int) -> None:
        """Put a rule's truth in its place, with the least score and the oldest exposure that it rests on."""
        self.values[place] = math.nan if holding.unknown else float(holding.holds)
        score = 1.0
        for index in holding.indices:
            if self.scores[index] < score:
                score = self.scores[index]
            if self.exposures[index] < exposure_ns:
                exposure_ns = self.exposures[index]
        self.scores[place], self.exposures[place] = score, exposure_ns

    def inputs(self, indices: Sequence[int], now_ns: int) -> tuple[Input, ...]:
        """Return what stands at some places, for the record."""
        return tuple(
            (self.names[index], self.values[index], self.scores[index], now_ns - self.exposures[index])
            for index in indices
        )

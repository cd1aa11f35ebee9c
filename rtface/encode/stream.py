"""An encoder on a live stream: keypoints of each frame in, the state of the brain out, at a fixed cost.

The same numbers as a recording of the same keypoints gives offline, with this policy for what a stream does:

* Frames become rows of the encoder's rate by `rtface.encode.grid`; frames between rows cost nothing.
* A row whose frame was lost is a row of NaN to the normaliser, which holds the last values: the window stays right.
* A point without coordinates or with a score below `min_score` is NaN too.
* After more than 1 s without a frame, or when time goes back by more, the stream begins anew: the window is
  empty, states are forgotten, and only the running mean and variance of the inputs go on.
* Until the window is full, predictions are marked as not `warm`, and states wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.core.clock import NS_PER_S
from rtface.core.errors import EngineError, UsageError
from rtface.core.records import FloatArray
from rtface.encode.bundle import EncoderBundle
from rtface.encode.grid import RowGrid
from rtface.encode.manifest import MANIFEST_FILE, STATES_FILE
from rtface.encode.network import matvec, row_network
from rtface.encode.states import StateFilter, StateModel, load_states

_JUDGED_S = 1.0


@dataclass(slots=True, eq=False)
class Prediction:
    """What is predicted of the brain from the face of one moment; its arrays are borrowed until the next.

    Attributes
    ----------
    model : str
        Hash of the encoder.
    row : int
        Number of the row that it is about, since the stream began or began anew.
    frame_id : int or None
        The frame that the row shows; None where that was lost.
    exposure_ns : int
        Its exposure, or when it should have been.
    look_ahead_ns : int
        How much newer the newest frame behind this prediction is; 0 for a causal encoder.
    outputs : ndarray, shape (C,), float32
        Components, or z-scored neurons.
    uncertainty : ndarray, shape (C,), float32
        Standard deviation of each output's error on samples that were not trained on.
    latents : ndarray, shape (L,), float32
    warm : bool
        Whether the window is full.
    ood : float
        Out of distribution: how far the inputs are from those trained on, over what one in a thousand of those
        exceeded; above 1 the encoder was not trained on such a face. Root mean square over the rows of the last
        second, and of the look-ahead.
    score : float
        In [0, 1]: the mean score of the inputs of the same rows, 0 where one was not seen or held back, divided by
        `ood` where that is above 1.
    state : int or None
        The most probable state; None without a state model, and before its first step.
    probability : ndarray, shape (S,), float64, or None
        Of each state.
    neural : bool
        Whether a neural sample falls due with this row: for who reads out neurons at the rate of the recording.
    """

    model: str
    row: int
    frame_id: int | None
    exposure_ns: int
    look_ahead_ns: int
    outputs: FloatArray
    uncertainty: FloatArray
    latents: FloatArray
    warm: bool = False
    ood: float = 0.0
    score: float = 0.0
    state: int | None = None
    probability: NDArray[np.float64] | None = None
    neural: bool = False

    @property
    def out_of_distribution(self) -> bool:
        """Whether the inputs are unlike those trained on."""
        return self.ood > 1

    def age_ns(self, now_ns: int) -> int:
        """Return how long ago the moment was that the prediction is about."""
        return now_ns - self.exposure_ns


class StreamingEncoder:
    """Takes the keypoints of frame after frame. Belongs to one thread.

    Parameters
    ----------
    bundle : EncoderBundle
    keypoints : sequence of str
        Names of the points that `step` will be given, in their order.
    camera_hz : float
        Frames a second.
    states : StateModel, optional
        Else the bundle's own, if it has one.
    min_score : float
        Points of a lower score count as not seen. 0 is what a training does, which has no scores.

    Attributes
    ----------
    rows : int
        Rows since the stream began or began anew.
    restarts : int
        How often it began anew.
    lost : int
        Rows that were not seen, in all.

    Raises
    ------
    EngineError
        The encoder needs a point that is not among them, another input than points, or more frames a second; or the
        states are of other latents. The message names file and field.
    """

    def __init__(
        self,
        bundle: EncoderBundle,
        keypoints: Sequence[str],
        camera_hz: float,
        *,
        states: StateModel | None = None,
        min_score: float = 0.0,
    ) -> None:
        manifest, path = bundle.manifest, bundle.folder / MANIFEST_FILE
        if missing := [name for name in manifest.keypoints if name not in keypoints]:
            raise EngineError(
                f"{path}: keypoints: the encoder needs {missing[0]!r}, which is not among those that are tracked: "
                + ", ".join(keypoints)
            )
        try:
            self._grid = RowGrid(manifest.frame_rate_hz, camera_hz)
        except UsageError as error:
            raise EngineError(f"{path}: frame_rate_hz: {error}") from error
        if states is None and STATES_FILE in manifest.files:
            states = load_states(bundle.folder / STATES_FILE)
        if states is not None and len(states.centre) != manifest.latents:
            raise EngineError(
                f"{path}: latents: the encoder has {manifest.latents}, the state model is of {len(states.centre)}"
            )
        self.bundle = bundle
        self._at = np.array([list(keypoints).index(name) for name in manifest.keypoints], np.intp)
        self._min_score = min_score
        self._normaliser = bundle.normaliser()
        self._network = row_network(manifest.architecture, bundle.weights)
        self._states = None if states is None else StateFilter(states)
        self._ahead = manifest.look_ahead_frames
        self._window = manifest.past_frames + 1 + self._ahead
        self._per_row = manifest.neural_rate_hz / manifest.frame_rate_hz
        self._points = 2 * len(self._at)
        self._raw = np.full(manifest.columns, np.nan)
        self._unseen = np.full(manifest.columns, np.nan)
        self._column_score = np.zeros(manifest.columns)
        self._lost_latents = np.full(manifest.latents, np.nan, np.float32)
        judged = max(1, round(_JUDGED_S * manifest.frame_rate_hz)) + self._ahead
        self._trust, self._distance = np.zeros(judged), np.zeros(judged)
        self._waiting: deque[tuple[int | None, int, bool]] = deque(maxlen=self._ahead + 1)
        self._told = -1  # newest row whose prediction was returned
        self.rows = self.restarts = self.lost = 0
        self._newest = Prediction(
            bundle.sha256,
            -1,
            None,
            0,
            round(manifest.look_ahead_s * NS_PER_S),
            self._network.outputs,
            bundle.readout.residual_sd,
            self._network.latents,
        )

    @property
    def states(self) -> int:
        """Number of states; 0 without a state model."""
        return 0 if self._states is None else self._states.model.states

    def step(
        self,
        xy: FloatArray,
        score: FloatArray,
        exposure_ns: int,
        frame_id: int | None = None,
        extras: Sequence[float] = (),
    ) -> Prediction | None:
        """Take a frame.

        Parameters
        ----------
        xy : ndarray, shape (K, 2), float32
            Pixels of the camera frame; NaN where a point is not known.
        score : ndarray, shape (K,), float32
        exposure_ns : int
        frame_id : int, optional
            Only handed on.
        extras : sequence of float
            The encoder's further inputs.

        Returns
        -------
        Prediction or None
            None where the frame shows no row of its own, and before the look-ahead has passed.

        Raises
        ------
        UsageError
            There are more or fewer further inputs than the encoder takes.
        """
        raw, points = self._raw, self._points
        if len(extras) != len(raw) - points:
            raise UsageError(f"{len(extras)} further inputs, but the encoder takes {len(raw) - points}")
        placed = self._grid.place(exposure_ns)
        if placed is None:
            return None
        if placed.restarted:
            self._restart()
        for back in range(placed.missing, 0, -1):
            self.lost += 1
            self._take(self._unseen, None, self._grid.row_time_ns(back))
        raw[:points] = xy[self._at].reshape(-1)
        self._column_score[:points] = np.repeat(score[self._at], 2)
        if self._min_score > 0:
            raw[:points][self._column_score[:points] < self._min_score] = np.nan
        raw[points:] = extras
        self._column_score[points:] = 1
        self._take(raw, frame_id, exposure_ns, seen=True)
        if self.rows <= self._ahead:
            return None
        newest = self._newest
        samples, before = (int((row + 1) * self._per_row) for row in (newest.row, self._told))
        newest.neural = self._told < 0 or samples > before
        self._told = newest.row
        return newest

    def neurons(self, prediction: Prediction, chosen: NDArray[np.intp] | None = None) -> FloatArray:
        """Return the activity of all neurons or some, in the recording's unit, shape (N,) or (len(chosen),)."""
        readout = self.bundle.readout
        some = slice(None) if chosen is None else chosen
        values: FloatArray = np.empty(readout.mean[some].shape, np.float32)
        if readout.basis is None:
            values[:] = prediction.outputs[some]
        else:
            matvec(readout.basis[some], prediction.outputs, values)
        values *= readout.sd[some]
        values += readout.mean[some]
        return values

    def _restart(self) -> None:
        self.restarts += self.rows > 0
        self.rows, self._told = 0, -1
        self._normaliser.interrupt()
        self._network.reset()
        if self._states is not None:
            self._states.reset()
        self._waiting.clear()

    def _take(
        self, raw: NDArray[np.float64], frame_id: int | None, exposure_ns: int, *, seen: bool = False
    ) -> None:
        """Take a row; `frame_id` and `exposure_ns` are the row's."""
        inputs = self._normaliser.step(raw)
        place = self.rows % len(self._trust)
        good = np.logical_not(self._normaliser.held)
        self._trust[place] = good @ self._column_score / len(raw) if seen else 0.0
        self._distance[place] = self.bundle.inputs.distance(inputs) ** 2
        self._network.step(inputs)
        self._waiting.append((frame_id, exposure_ns, seen))
        self.rows += 1
        if self.rows > self._ahead:
            self._predict()

    def _predict(self) -> None:
        newest, judged = self._newest, min(self.rows, len(self._trust))
        newest.frame_id, newest.exposure_ns, seen = self._waiting[0]
        newest.row = self.rows - 1 - self._ahead
        newest.warm = self.rows >= self._window
        newest.ood = float(np.sqrt(self._distance[:judged].mean())) / self.bundle.inputs.usual_limit
        newest.score = float(self._trust[:judged].mean()) / max(1.0, newest.ood)
        if self._states is None:
            return
        if not newest.warm:
            newest.state = newest.probability = None
            return
        self._states.step(newest.latents if seen else self._lost_latents)
        if self.rows - self._window + 1 >= self._states.model.every:
            newest.state, newest.probability = self._states.state, self._states.probability

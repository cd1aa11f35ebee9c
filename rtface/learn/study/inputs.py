"""What neurons are predicted from: a study's recording as a `Recording` for each kind of input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtface.analyse.traces import Traces
from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.learn.encoder.recording import EXCLUDED, Recording, evenly
from rtface.learn.study.contents import Float64Array
from rtface.learn.study.sessions import StudySession

KEYPOINTS, MOVIE, BEHAVIOUR = "keypoints", "movie", "behaviour"


@dataclass(frozen=True, eq=False)
class Inputs:
    """Recordings of the same neurons and frames, by the kind of their input.

    Attributes
    ----------
    recordings : dict of str to Recording
        ``keypoints`` (and what was asked for beside them), ``movie`` components, ``behaviour`` (running and pupil).
    remarks : tuple of str
    """

    recordings: dict[str, Recording]
    remarks: tuple[str, ...]


def inputs_of(
    session: StudySession, neurons: Traces, places: Float64Array | None, beside: Sequence[str] = ()
) -> Inputs:
    """Read a session's inputs, one recording for each kind that it has.

    Parameters
    ----------
    session : StudySession
    neurons : Traces
        Its good neurons.
    places : ndarray, shape (N, 2), or None
        Theirs.
    beside : sequence of str
        ``run``, ``pupil``: further inputs beside the keypoints.

    Raises
    ------
    DataError
        An array cannot be read, what was asked for is not there, or no keypoint was ever seen.
    """
    if lacking := [name for name in beside if name not in session.behaviour]:
        raise DataError(f"{session.name}: no file holds {lacking[0]}, which --input asks for")
    frames, remarks = len(session.tcam), list(session.remarks)
    by_frame = {name: _held(values, session) for name, values in session.behaviour.items()}
    kinds: dict[str, tuple[tuple[str, ...], tuple[str, ...], FloatArray]] = {}
    if session.points is not None:
        xy = session.points.read()[:frames]
        seen = [
            index
            for index, name in enumerate(session.points.names)
            if name not in EXCLUDED and np.isfinite(xy[:, index]).all(axis=1).any()
        ]
        blind = [
            name
            for index, name in enumerate(session.points.names)
            if index not in seen and name not in EXCLUDED
        ]
        if blind:
            remarks.append(f"{session.name}: never seen and not used: {', '.join(blind)}")
        if not seen:
            raise DataError(f"{session.name}: none of its keypoints was ever seen")
        columns = [xy[:, seen].reshape(frames, -1), *(by_frame[name][:, None] for name in beside)]
        names = tuple(session.points.names[index] for index in seen)
        kinds[KEYPOINTS] = (names, tuple(beside), np.concatenate(columns, axis=1).astype(np.float32))
    if session.film is not None:
        traces = session.film.read()[:frames]
        kinds[MOVIE] = ((), tuple(f"{session.film.kind} {n + 1}" for n in range(traces.shape[1])), traces)
    if by_frame:
        values = np.stack(list(by_frame.values()), axis=1).astype(np.float32)
        kinds[BEHAVIOUR] = ((), tuple(by_frame), values)
    recordings = {}
    for kind, (names, extras, raw) in kinds.items():
        said: list[str] = []
        whole, times = evenly(raw, session.tcam, session.name, said)
        remarks += [line for line in said if line not in remarks]
        recordings[kind] = Recording(
            keypoints=names,
            extras=extras,
            raw=whole,
            frame_times=times,
            neurons=neurons,
            neural_times=session.tneural,
            positions=places,
            sources={},
            simulated=session.simulated,
        )
    return Inputs(recordings, tuple(remarks))


def _held(values: Float64Array, session: StudySession) -> FloatArray:
    """Return one value a frame of what has one a frame, or one a neural sample that is held until the next."""
    frames, samples = len(session.tcam), len(session.tneural)
    if abs(len(values) - frames) <= abs(len(values) - samples):
        place = np.minimum(np.arange(frames), len(values) - 1)
        return values[place].astype(np.float32)
    cut = min(len(values), samples)
    place = np.searchsorted(session.tneural[:cut], session.tcam, side="right") - 1
    return np.where(place < 0, np.nan, values[np.maximum(place, 0)]).astype(np.float32)

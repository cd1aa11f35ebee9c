"""One recording of a study, checked: its parts cut to one length, with its clocks; read only when it is its turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtface.core.errors import DataError
from rtface.learn.study.contents import FilmTraces, Float64Array, Matrix, Points, Stated
from rtface.learn.study.gathering import Gathered, gather

BEHAVIOUR = ("run", "pupil")
_MOST_OFF = 1


@dataclass(frozen=True, eq=False)
class StudySession:
    """A recording of a study whose parts go together.

    Attributes
    ----------
    name : str
    files : tuple of Path
        What it is read from.
    neurons : Matrix
        Of which the first `samples` are used.
    tneural, tcam : ndarray, shape (S,) and (T,)
        Seconds on one clock.
    points : Points or None
    film : FilmTraces or None
        Of the movie, else of its motion.
    behaviour : dict of str to ndarray
        ``run`` and ``pupil``, where they are: one value a frame, or one a neural sample.
    places : ndarray, shape (N, 2), or None
    simulated : bool
    remarks : tuple of str
        What was cut, corrected or left aside.
    """

    name: str
    files: tuple[Path, ...]
    neurons: Matrix
    tneural: Float64Array
    tcam: Float64Array
    points: Points | None
    film: FilmTraces | None
    behaviour: dict[str, Float64Array]
    places: Float64Array | None
    simulated: bool
    remarks: tuple[str, ...]


def read_study(
    root: Path, stated: Stated, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[StudySession]:
    """Find the recordings of a folder; of large arrays only the sizes are read.

    Raises
    ------
    DataError
        With all that is wrong with the folder's files, each named.
    """
    faults: list[str] = []
    gathered = gather(root, stated, faults, progress)
    sessions = [_checked(each, stated, faults) for each in gathered]
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise DataError(f"{root}: {count}\n" + "\n".join(f"- {fault}" for fault in faults))
    return [session for session in sessions if session is not None]


def _checked(found: Gathered, stated: Stated, faults: list[str]) -> StudySession | None:
    remarks = [remark for content in found.contents for remark in content.remarks]
    before = len(faults)
    neurons, samples = found.matrix.shape
    path = found.neurons.path
    if min(neurons, samples) < 2:
        faults.append(f"{path}: spks has {neurons} neurons x {samples} samples: nothing to predict")
        return None
    points, film = _points(found, remarks), _film(found, remarks)
    if points is None and film is None and all(found.vector(name) is None for name in BEHAVIOUR):
        faults.append(f"{path}: no file holds its keypoints, its film's components, running or pupil")
        return None
    tneural = _clock(found, "tneural", samples, stated.neural_rate, faults)
    lengths = {} if points is None else {points[1]: points[0].frames}
    lengths |= {} if film is None else {film[1]: film[0].frames}
    frames = min(lengths.values(), default=0)
    per_frame = {name: each[0] for name in BEHAVIOUR if (each := found.vector(name)) is not None}
    if (
        not lengths
    ):  # running and pupil alone: one value a frame where there are frames, else one a neural sample
        longest = max(len(values) for values in per_frame.values())
        known = found.vector("tcam")
        frames = longest if known is None else len(known[0])
    if max(lengths.values(), default=frames) - frames > _MOST_OFF:
        told = " and ".join(f"{each.name} has {count} frames" for each, count in lengths.items())
        faults.append(f"{found.name}: {told}")
    if not lengths and found.vector("tcam") is None and stated.frame_rate is None and tneural is not None:
        tcam: Float64Array | None = tneural
        frames = samples
    else:
        tcam = _clock(found, "tcam", frames, stated.frame_rate, faults)
    behaviour: dict[str, Float64Array] = {}
    for name, values in per_frame.items():
        where = found.vector(name)
        assert where is not None
        if min(abs(len(values) - samples), abs(len(values) - frames)) > _MOST_OFF:
            faults.append(
                f"{where[1]}: {name} has {len(values)} values; there are {samples} neural samples and {frames} frames"
            )
        behaviour[name] = values
    places = _places(found, neurons, faults)
    if tneural is None or tcam is None or len(faults) > before:
        return None
    cut = min(len(tneural), samples)
    kept = min(len(tcam), frames)
    for what, count, parts in (
        ("neural samples", cut, {"spks": samples, "tneural": len(tneural)}),
        ("frames", kept, {"tcam": len(tcam)} | {each.name: number for each, number in lengths.items()}),
    ):
        longer = [f"{name} has {number}" for name, number in parts.items() if number != count]
        if longer:
            remarks.append(f"{found.name}: cut to {count} {what}, for {', '.join(longer)}")
    for name, values in behaviour.items():
        if len(values) not in (cut, kept):
            remarks.append(f"{found.name}: {name} has {len(values)} values and was cut or its last one held")
    tneural, tcam = tneural[:cut], tcam[:kept]
    if tcam[0] > tneural[-1] or tcam[-1] < tneural[0]:
        faults.append(
            f"{path}: frames from {tcam[0]:.1f} to {tcam[-1]:.1f} s and neural samples from {tneural[0]:.1f} to "
            f"{tneural[-1]:.1f} s share no time: their clocks differ"
        )
        return None
    return StudySession(
        name=found.name,
        files=tuple(dict.fromkeys(content.path for content in found.contents)),
        neurons=found.matrix,
        tneural=tneural,
        tcam=tcam,
        points=None if points is None else points[0],
        film=None if film is None else film[0],
        behaviour=behaviour,
        places=places,
        simulated=any(content.simulated for content in found.contents),
        remarks=tuple(remarks),
    )


def _points(found: Gathered, remarks: list[str]) -> tuple[Points, Path] | None:
    every = found.points()
    if len(every) > 1:
        left = ", ".join(path.name for _, path in every[1:])
        remarks.append(
            f"{found.name}: keypoints are those of {every[0][1].name}, not of {left} (--match chooses)"
        )
    return every[0] if every else None


def _film(found: Gathered, remarks: list[str]) -> tuple[FilmTraces, Path] | None:
    movie, motion = found.films("movie"), found.films("motion")
    every = movie or motion
    if every and not movie:
        remarks.append(
            f"{found.name}: {every[0][1].name} has no movie components: those of its motion are taken"
        )
    if len(every) > 1:
        left = ", ".join(path.name for _, path in every[1:])
        remarks.append(
            f"{found.name}: components are those of {every[0][1].name}, not of {left} (--match chooses)"
        )
    return every[0] if every else None


def _clock(
    found: Gathered, what: str, count: int, rate: float | None, faults: list[str]
) -> Float64Array | None:
    known = found.vector(what)
    option = "--neural-rate" if what == "tneural" else "--frame-rate"
    if known is None:
        if rate is not None:
            return np.arange(count) / rate
        faults.append(f"{found.neurons.path}: no {what}; state the clock with {option} HZ, if it is known")
        return None
    times, path = known
    if len(times) < 2 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        faults.append(f"{path}: {what} are not rising seconds")
        return None
    if abs(len(times) - count) > _MOST_OFF:
        turned = (
            " (is spks turned round?)" if what == "tneural" and len(times) == found.matrix.shape[0] else ""
        )
        of = "neural samples" if what == "tneural" else "frames"
        faults.append(f"{path}: {what} has {len(times)} times for {count} {of}{turned}")
        return None
    return times


def _places(found: Gathered, neurons: int, faults: list[str]) -> Float64Array | None:
    known = [found.vector(name) for name in ("xpos", "ypos")]
    if known[0] is None or known[1] is None:
        return None
    for name, each in zip(("xpos", "ypos"), known, strict=True):
        if each is not None and len(each[0]) != neurons:
            faults.append(f"{each[1]}: {name} has {len(each[0])} values for {neurons} neurons")
            return None
    return np.stack([known[0][0], known[1][0]], axis=1)


def described(sessions: Sequence[StudySession]) -> list[str]:
    """Return a line about each recording, and its remarks below it."""
    lines = []
    for each in sessions:
        neurons, _ = each.neurons.shape
        parts = [f"{neurons} neurons", f"{np.ptp(each.tneural) / 60:.1f} min", f"{len(each.tcam)} frames"]
        if each.points is not None:
            parts.append(f"{len(each.points.names)} keypoints")
        if each.film is not None:
            parts.append(f"{each.film.count} {each.film.kind} components")
        parts += list(each.behaviour)
        lines.append(f"{each.name}: {', '.join(parts)}" + (", SIMULATED" if each.simulated else ""))
        lines += [f"  {remark}" for remark in each.remarks]
    return lines

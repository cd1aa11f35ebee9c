"""The way from recordings to an engine of their rig, step by step; prints nothing, so that a terminal and a page share it.

All of one way lies in one folder, and what is there tells how far it is: nothing else is kept in mind.

| in the folder | what |
|---|---|
| ``start.json`` | what was asked for: recordings, engine, crop, name, changes of keypoints |
| ``to-label/`` | the frames to label, as of `rtface.learn.labels.suggestion`; ``to-label-2/`` and so on: others, chosen later |
| ``attempt-N/attempt.json`` | one training: the labels and options that it is of, its engine's name, what the check found |
| ``attempt-N/run/`` | the run's folder of `rtface.learn.tracker.adapt` |
| ``attempt-N/evaluation.json`` | errors of the engine before and after |

Check and training are in `rtface.learn.guided.adapting`, which needs torch; this does not. Labels are read and never written.
Other labels or other options are another attempt, with an engine of its own name.
"""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import chain, count, islice, takewhile
from pathlib import Path
from typing import Any

from rtface.acquire.recording import source_settings
from rtface.acquire.sampling import played
from rtface.config import BackendSettings
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import DataError, EngineError, RtfaceError, UsageError
from rtface.core.files import printable, read_fields, write_json
from rtface.core.records import Crop
from rtface.learn.guided.measuring import measured_on
from rtface.learn.guided.start import GuidedStart, kept_start, write_start
from rtface.learn.labels.how_many import ENOUGH_NEW, FRAMES_TO_LABEL
from rtface.learn.labels.keypoint_changes import KeypointChanges
from rtface.learn.labels.labelling_folder import CHOSEN_FILE, DEEPLABCUT_FOLDER, changed_tables, frames_chosen
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.labels.reading import read_labels
from rtface.learn.labels.suggestion import (
    CANDIDATES,
    GUESSES_ABOVE,
    Suggestion,
    SuggestRequest,
    SurveyProgress,
    suggest_frames,
)
from rtface.learn.run_folder import REPORT_FILE
from rtface.track.backends.factory import engine_for
from rtface.track.pictures import PictureTracker
from rtface.track.store import MANIFEST_FILE, Engine, check_new, load_engine, read_manifest, user_folder

LABELS_FOLDER = "to-label"
ATTEMPT_FILE = "attempt.json"
EVALUATION_FILE = "evaluation.json"

_TIMED_FRAMES = 12
_TRACKED_EACH = 3


class Step(StrEnum):
    """What is to be done next."""

    SUGGEST = "suggest"
    LABEL = "label"
    CHECK = "check"
    ADAPT = "adapt"
    EVALUATE = "evaluate"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One training of the way: on some labels, with some options.

    Attributes
    ----------
    folder : Path
    engine : str
        Name of the engine that it makes.
    id : str
        Told from all other attempts by it, wherever they lie; empty for one that an older rtface began.
    """

    folder: Path
    engine: str
    id: str = ""

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.folder / "run"

    @property
    def report(self) -> dict[str, Any] | None:
        """What the training reports; None before its end."""
        file = self.run / REPORT_FILE
        return read_fields(file) if file.exists() else None

    @property
    def own_engine_is_there(self) -> bool:
        """Whether the engine of its name is the one that it made, by what the engine's manifest says."""
        folder = user_folder() / self.engine
        if not folder.exists() or not self.id:
            return folder.exists()
        try:
            return read_manifest(folder / MANIFEST_FILE).training.get("attempt") == self.id
        except EngineError:
            return False

    @property
    def evaluation(self) -> dict[str, Any] | None:
        """Errors before and after; None before they are known."""
        file = self.folder / EVALUATION_FILE
        return read_fields(file) if file.exists() else None


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """How far the way has come.

    Attributes
    ----------
    step : Step
        What is to be done next.
    labels : LabelSet or None
        The labels, where there are any without a fault.
    attempt : Attempt or None
        The training on just these labels, where one was begun.
    fault : RtfaceError or None
        What is wrong with the labels; the next step is then to correct them.
    """

    step: Step
    labels: LabelSet | None = None
    attempt: Attempt | None = None
    fault: RtfaceError | None = None


class GuidedWay:
    """The steps from recordings to an engine, in one folder; made by `open_way`.

    Parameters
    ----------
    folder : Path
    start : GuidedStart
    settings : BackendSettings
        What runs engines.
    """

    def __init__(self, folder: Path, start: GuidedStart, settings: BackendSettings) -> None:
        self.folder, self.start, self.settings = folder, start, settings

    @property
    def to_label(self) -> Path:
        """The folder of the frames to label."""
        return self.folder / LABELS_FOLDER

    def label_folders(self) -> list[Path]:
        """Return the folders of frames to label that are there, the first first."""
        places = chain((self.to_label,), (self.folder / f"{LABELS_FOLDER}-{each}" for each in count(2)))
        return [each for each in takewhile(Path.exists, places) if (each / CHOSEN_FILE).exists()]

    @property
    def _candidates(self) -> int:
        return max(CANDIDATES, 2 * self.start.count)

    def engine(self) -> Engine:
        """Return the engine to begin with."""
        return engine_for(self.start.engine, self.settings)

    def where(self) -> Whereabouts:
        """Return how far the way has come, by what is in the folder."""
        try:
            sources = self.start.labels or self._filled_in()
            if sources is None:
                return Whereabouts(Step.SUGGEST)
            if not sources:
                return Whereabouts(Step.LABEL)
            labels = read_labels(*sources, tell_notes=False)  # the check tells them, once
            key = self._key(labels)
        except (DataError, UsageError) as fault:
            return Whereabouts(Step.LABEL, fault=fault)
        attempt = next(
            (each for each in self.attempts() if read_fields(each.folder / ATTEMPT_FILE)["of"] == key), None
        )
        if attempt is None:
            return Whereabouts(Step.CHECK, labels)
        if attempt.report is None or not attempt.own_engine_is_there:
            return Whereabouts(Step.ADAPT, labels, attempt)
        return Whereabouts(Step.DONE if attempt.evaluation else Step.EVALUATE, labels, attempt)

    def seconds_to_suggest(self, clock: Callable[[], int] = monotonic_ns) -> float | None:
        """Return how long suggesting takes, from a few frames of each recording; None where a length is not known."""
        total = 0.0
        with PictureTracker(self.engine(), self.settings, self.start.crop) as tracker:
            for video in self.start.videos:
                with played(source_settings(video)) as (info, frames):
                    if not info.frames:
                        return None
                    tracker.prepare((info.height, info.width))
                    begun, tracked, seen = clock(), 0, 0
                    for image, _ in islice(frames, _TIMED_FRAMES):
                        before = clock()
                        tracker.track(image)
                        tracked += clock() - before
                        seen += 1
                    read = clock() - begun - tracked
                    looked_at = min(info.frames, _TRACKED_EACH * self._candidates)
                    total += (info.frames * read + looked_at * tracked) / max(1, seen)
        return total / NS_PER_S

    def suggest(
        self,
        *,
        more: int | None = None,
        progress: SurveyProgress = lambda name: lambda frames, total: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Suggestion | None:
        """Write the folder to label, or, with `more`, one of so many others; None where `stop` ended it. As of `suggest_frames`.

        Raises
        ------
        UsageError
            More are asked for, and none were chosen here yet.
        """
        there = self.label_folders()
        if more is not None and not there:
            raise UsageError(f"no frames to label were chosen in {self.folder} yet: leave --more out")
        return suggest_frames(
            SuggestRequest(
                self.start.videos,
                self.to_label if more is None else self.folder / f"{LABELS_FOLDER}-{len(there) + 1}",
                self.engine(),
                self.settings,
                crop=self.start.crop,
                count=self.start.count if more is None else more,
                before=frozenset().union(*map(frames_chosen, there)),
                candidates=self._candidates,
                guesses_above=GUESSES_ABOVE if self.start.guesses else None,
                fill=True,
            ),
            progress=progress,
            stop=stop,
        )

    def undecided(self, labels: LabelSet) -> tuple[str, ...]:
        """Return the labels' keypoints that the engine has not, and of which no option says what becomes of them."""
        changes = self.start.changes
        if changes.only or changes.only_labels:
            return ()
        ours = changes.engine_names(self.engine().manifest.names, labels.keypoints)
        theirs = changes.label_set(labels).keypoints
        return tuple(name for name in theirs if name not in (*ours, *changes.add, *changes.drop))

    def decide(self, changes: KeypointChanges) -> None:
        """Keep what is to become of the keypoints."""
        self.start = replace(self.start, changes=changes)
        write_start(self.folder, self.start)

    def begin_attempt(self, labels: LabelSet, check: Mapping[str, Any]) -> Attempt:
        """Begin an attempt to learn labels, with what a look at them found, in JSON's types."""
        number = next(each for each in count(1) if not (self.folder / f"attempt-{each}").exists())
        attempt = Attempt(self.folder / f"attempt-{number}", self._free_name(number), secrets.token_hex(8))
        check_new(user_folder() / attempt.engine)
        attempt.folder.mkdir()
        what = {"of": self._key(labels), "engine": attempt.engine, "check": check, "id": attempt.id}
        write_json(attempt.folder / ATTEMPT_FILE, what)
        return attempt

    def with_free_name(self, attempt: Attempt) -> Attempt:
        """Return an attempt under another name where an engine has its name that it did not make, and keep that.

        Two ways from one recording may have been begun before either of them made an engine.
        """
        folder = user_folder() / attempt.engine
        if not folder.exists() or (attempt.id and attempt.own_engine_is_there):
            return attempt
        renamed = replace(attempt, engine=self._free_name(2), id=attempt.id or secrets.token_hex(8))
        file = attempt.folder / ATTEMPT_FILE
        write_json(file, read_fields(file) | {"engine": renamed.engine, "id": renamed.id})
        return renamed

    def _free_name(self, first: int) -> str:
        """Return the name of the way's engine with the first number, from that one on, with which there is no engine."""
        names = (f"{self.start.name}-{each}" if each > 1 else self.start.name for each in count(first))
        return next(each for each in names if not (user_folder() / each).exists())

    def evaluate(self, labels: LabelSet, attempt: Attempt) -> dict[str, Any]:
        """Measure the engine before and after on all labels, as both run live, and keep it."""
        named, parent = self.start.changes.label_set(labels), self.engine()
        after = engine_for(attempt.engine, self.settings)
        ours = self.start.changes.engine_names(parent.manifest.names, labels.keypoints)
        errors: dict[str, Any] = {}
        for when, engine, names in (("before", parent, ours), ("after", after, after.manifest.names)):
            found = measured_on(engine, names, named, self.start.crop, self.settings)
            errors[when] = None if found is None else found.as_dict()
        kept: dict[str, Any] = json.loads(printable(json.dumps(errors, ensure_ascii=False)))
        write_json(attempt.folder / EVALUATION_FILE, kept)
        return kept

    def advice(self, labels: LabelSet, attempt: Attempt) -> list[str]:
        """Return what to do next, the most useful first."""
        video = shlex.quote(str(self.start.videos[0])) if self.start.videos else "VIDEO"
        crop = f" --crop {self.start.crop.as_option}" if self.start.crop else ""
        engine = f"--engine {attempt.engine}{crop}"
        lines = [f"look at it: rtface track {video} {engine} --out {attempt.engine}.csv"]
        if len(labels.videos) < 2:
            lines.append(
                f"judge it on another day: label {FRAMES_TO_LABEL} frames of a recording that it never saw, then "
                f"rtface learn evaluate THEIR-LABELS {engine}"
            )
        if len(labels) < ENOUGH_NEW:
            lines.append(
                f"more frames make it better, of other days most of all: {len(labels)} are labelled; choose others with "
                f"rtface learn start --folder {shlex.quote(str(self.folder))} --more {FRAMES_TO_LABEL}, label them, and run this "
                "command again, which makes a new engine beside this one"
            )
        lines.append(
            f"make it faster, with proof: rtface engines export {attempt.engine} --precision int8 --frames {video}{crop}"
        )
        lines.append(f"use it: `engine: {attempt.engine}` in the rig's file, then rtface check RIG.yaml")
        return lines

    def _filled_in(self) -> tuple[Path, ...] | None:
        """Return where labels were filled in, nowhere yet, or None where there is no folder to label.

        Raises
        ------
        DataError
            They were filled in in both places.
        """
        folders = self.label_folders()
        if not folders:
            return None
        sources: list[Path] = []
        for folder in folders:
            changed = changed_tables(folder)
            own = [table for table in changed if table.parent == folder]
            if own and len(changed) > len(own):
                raise DataError(
                    f"labels were filled in both in {own[0]} and in {changed[-1]}: name the ones to use with --labels"
                )
            sources += own or ([folder / DEEPLABCUT_FOLDER] if changed else [])
        return tuple(sources)

    def attempts(self) -> list[Attempt]:
        """Return all attempts, the newest first."""
        found = sorted(
            self.folder.glob(f"attempt-*/{ATTEMPT_FILE}"), key=lambda file: file.stat().st_mtime_ns
        )
        kept = ((file.parent, read_fields(file)) for file in reversed(found))
        return [Attempt(folder, str(each["engine"]), str(each.get("id", ""))) for folder, each in kept]

    def _key(self, labels: LabelSet) -> dict[str, Any]:
        """Return all that tells an attempt from another, of JSON's types."""
        start = self.start
        whole = {
            "labels_sha256": labels.digest,
            "engine_sha256": self.engine().sha256,
            "changes": asdict(start.changes),
            "crop": None if start.crop is None else asdict(start.crop),
            "steps": start.steps,
            "seed": start.seed,
        }
        key: dict[str, Any] = json.loads(printable(json.dumps(whole, ensure_ascii=False)))
        return key


def open_way(folder: Path, asked: GuidedStart, settings: BackendSettings = BackendSettings()) -> GuidedWay:  # noqa: B008
    """Begin a way, or go on with one: what was asked for before is replaced where that changes nothing already made.

    Raises
    ------
    UsageError
        The frames to label are there already, and other recordings, another engine, crop or number are asked for.
    EngineError
        The engine is missing, or the name cannot be an engine's.
    DataError
        The folder holds something else, or cannot be written.
    """
    load_engine(asked.engine)
    kept = kept_start(folder)
    if kept is None and (user_folder() / asked.name).exists():
        raise EngineError(f"an engine {asked.name} exists already: choose another --name")
    check_new(user_folder() / asked.name, overwrite=True)
    if kept is not None and (folder / LABELS_FOLDER).exists():
        for field in ("videos", "engine", "crop", "count", "guesses"):
            before, now = getattr(kept, field), getattr(asked, field)
            if field == "videos":
                before, now = ([str(video.absolute()) for video in each] for each in (before, now))
            if before != now:
                raise UsageError(
                    f"{folder} was begun with {field} = {_plain(before)}, not {_plain(now)}: the frames to label are chosen "
                    "already; leave the option out to go on (--more chooses others), or name another --folder"
                )
    write_start(folder, asked)
    return GuidedWay(folder, asked, settings)


def _plain(value: object) -> str:
    if isinstance(value, Crop):
        return value.as_option
    return ", ".join(value) if isinstance(value, list) else str(value)

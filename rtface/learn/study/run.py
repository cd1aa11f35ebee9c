"""A study from its folder to its pages: recording by recording, part by part, each kept as soon as it is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rtface.analyse.hmm import FitOptions
from rtface.analyse.report import ReportOptions
from rtface.core.errors import DataError
from rtface.core.files import plain, write_json
from rtface.encode.normalise import NormaliseRules
from rtface.learn.encoder.optimise import RECIPES, EncoderRecipe
from rtface.learn.resumable import StartProgress, no_progress
from rtface.learn.run_folder import RunFolder, open_run
from rtface.learn.study.analysis import SessionAnalysis
from rtface.learn.study.contents import Stated
from rtface.learn.study.over_sessions import over_sessions
from rtface.learn.study.page import write_page
from rtface.learn.study.sessions import StudySession
from rtface.learn.study.stopping import StoppedError

PARTS = "parts"


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """What a study does.

    Attributes
    ----------
    root, out : Path
        The recordings' folder, the results' folder.
    stated : Stated
    architecture : mapping
        Of the network: its ``name`` and what differs from the defaults.
    split : str
        ``strict`` or ``published``.
    components : int
        At most.
    beside : tuple of str
        ``run``, ``pupil``: inputs beside the keypoints.
    recipe : EncoderRecipe, optional
        Else that of the network.
    report : ReportOptions
        Of clusters and states.
    curves : bool
        Whether to fit by number of neurons, by minutes and without groups of keypoints: most of the time goes there.
    """

    root: Path
    out: Path
    stated: Stated = field(default_factory=Stated)
    architecture: dict[str, Any] = field(default_factory=lambda: {"name": "facemap"})
    split: str = "strict"
    components: int = 128
    beside: tuple[str, ...] = ()
    recipe: EncoderRecipe | None = None
    report: ReportOptions = field(default_factory=lambda: ReportOptions(fit=FitOptions()))
    curves: bool = True

    @property
    def used_recipe(self) -> EncoderRecipe:
        """How the network is trained."""
        return self.recipe or RECIPES[self.architecture["name"]]


def run_study(
    request: StudyRequest,
    sessions: Sequence[StudySession],
    *,
    command: str = "",
    progress: StartProgress = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Analyse recordings and write the pages of each and of all.

    Each part is written as soon as it is known, and a network's training keeps a checkpoint: the same request goes on where
    an earlier one was stopped.

    Parameters
    ----------
    request : StudyRequest
    sessions : sequence of StudySession
        Of `read_study`.
    command : str
        What made it, for the reader.
    progress : callable
        See `StartProgress`.
    stop : callable
        Called between the parts and after each step of a training; True ends it early.

    Returns
    -------
    dict or None
        What ``report.json`` holds; None where `stop` ended it.

    Raises
    ------
    DataError
        A recording cannot be read or is too short, or the folder is of another study.
    """
    run = open_run(request.out, _configuration(request, sessions))
    found: dict[str, Any] = {}
    try:
        for number, session in enumerate(sessions):

            def begin(part: str, steps: int, number: int = number, name: str = session.name) -> Any:
                return progress(f"{number + 1}/{len(sessions)} {name}: {part}", steps)

            parts = Parts(run, session.name, stop)
            found[session.name] = parts.of("session", lambda: None) or _analysed(
                request, session, parts, command, begin, stop
            )
    except StoppedError:
        return None
    report: dict[str, Any] = {
        "simulated": any(each["simulated"] for each in found.values()),
        "split": request.split,
        "network": request.architecture["name"],
        "sessions": found,
        "over_sessions": over_sessions(found),
    }
    kept: dict[str, Any] = plain(report)
    write_page(request.out, kept, command)
    run.write_report(kept)
    return kept


class Parts:
    """The parts of one recording's analysis that are known, each a JSON file.

    Parameters
    ----------
    run : RunFolder
    session : str
    stop : callable
        Called before each part that is not known; True raises `StoppedError`.
    """

    def __init__(self, run: RunFolder, session: str, stop: Callable[[], bool]) -> None:
        self.folder, self._stop = run.folder / PARTS / session, stop

    def of(self, name: str, compute: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
        """Return a part: as it was kept, else computed and kept; `DataError` where its file is damaged.

        None that was computed is not kept.
        """
        path = self.folder / f"{name}.json"
        if path.exists():
            try:
                known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise DataError(f"{path} is damaged: {error}; remove it, and it is computed anew") from error
            return known
        if self._stop():
            raise StoppedError
        made = compute()
        if made is None:
            return None
        kept: dict[str, Any] = plain(made)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, kept)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
        return kept


def _analysed(
    request: StudyRequest,
    session: StudySession,
    parts: Parts,
    command: str,
    progress: StartProgress,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    analysis = SessionAnalysis(
        session,
        architecture=request.architecture,
        recipe=request.used_recipe,
        split=request.split,
        components=request.components,
        beside=request.beside,
        rules=NormaliseRules(),
        part=parts.of,
        parts_folder=parts.folder,
        folder=request.out / session.name,
        progress=progress,
        stop=stop,
    )
    try:
        found = analysis.models()
        if request.curves:
            found |= analysis.curves()
        found["report"] = analysis.report(replace(request.report, forecast=False), command)
    except DataError as error:
        raise DataError(f"{session.name}: {error}") from error
    kept = parts.of("session", lambda: found)
    assert kept is not None
    analysis.clean()
    return kept


def _configuration(request: StudyRequest, sessions: Sequence[StudySession]) -> dict[str, Any]:
    return {
        "verb": "study",
        "root": str(request.root.resolve()),
        "files": {
            each.name: {str(path.relative_to(request.root)): _size(path) for path in each.files}
            for each in sessions
        },
        "stated": asdict(request.stated),
        "architecture": dict(request.architecture),
        "split": request.split,
        "components": request.components,
        "beside": list(request.beside),
        "recipe": asdict(request.used_recipe),
        "report": plain(asdict(request.report)),
        "curves": request.curves,
    }


def _size(path: Path) -> int:
    files = [path] if path.is_file() else list(path.rglob("*.npy"))
    return int(np.sum([each.stat().st_size for each in files], dtype=np.int64))

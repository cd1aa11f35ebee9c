"""The jobs of teaching: what a page asks for, as commands of rtface that anybody could type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rtface.config import BackendSettings
from rtface.core.errors import DataError, UsageError
from rtface.core.manifest import NAME_PATTERN
from rtface.learn.guided.finish import ask_to_finish
from rtface.learn.guided.start import free_name, kept_start
from rtface.learn.guided.way import GuidedWay
from rtface.learn.labels.how_many import FRAMES_TO_LABEL
from rtface.screen.desk import Desk
from rtface.screen.jobs import Job
from rtface.screen.said import Said
from rtface.screen.teach.ways import way_at
from rtface.track.store import user_folder


def command_line(argv: Sequence[str]) -> str:
    """Return a command as it would be typed."""
    return shlex.join(["rtface", *argv])


def started(job: Job) -> dict[str, Any]:
    """Return a job that was begun as an answer."""
    return {"job": job.as_dict(), "command": command_line(job.argv)}


def begin(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Begin a way: choose frames of recordings to label, or, where labels are named, learn them.

    Fields: ``folder`` (new, in the workspace), ``videos`` or ``labels``, ``engine``, ``crop``, ``name``, ``count``, ``steps``,
    ``heed``.
    """
    folder, videos, labels = said.text("folder"), said.texts("videos"), said.texts("labels")
    if not videos and not labels:
        raise UsageError("name a recording, or labels that are there already")
    for each in (folder, *videos, *labels):
        _inside(desk, each)
    _require_free(desk, folder, said.text("name", ""))
    argv = ["learn", "start", *videos, "--folder", folder, "--yes", "--json"]
    for each in labels:
        argv += ["--labels", each]
    if said.text("engine", ""):
        argv += ["--engine", _engine(said)]
    for name in ("crop", "name"):
        if value := said.text(name, ""):
            argv += [f"--{name}", value]
    if not labels:
        argv += ["--count", str(said.whole("count", FRAMES_TO_LABEL, least=1, most=1_000))]
    if "steps" in said:
        argv += ["--steps", str(said.whole("steps", least=1))]
    argv += _heeding(said)
    title = f"Learn {labels[0]}" if labels else f"Choose frames of {', '.join(videos)}"
    return started(desk.jobs.start("teach", argv, title=title, about=_about(said, folder=folder)))


def go_on(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Go on with a way from where it is: check, adapt, evaluate.

    Fields: ``folder``, ``add`` and ``drop`` (keypoints that the engine has not), ``rename`` (of the labels' names to the
    engine's), ``steps``, ``heed`` (true: stop after a check that lets one doubt the labels, for a person to answer); or
    ``more``: so many other frames are chosen, and nothing else is done.
    """
    folder = said.text("folder")
    way = way_at(desk, folder)
    argv = ["learn", "start", "--folder", folder, "--yes", "--json"]
    if "more" in said:
        count = str(said.whole("more", least=1, most=1_000))
        title = f"Choose {count} more frames: {folder}"
        return started(
            desk.jobs.start("teach", [*argv, "--more", count], title=title, about=_about(said, folder=folder))
        )
    changes = way.start.changes
    renames = {**changes.renames, **said.texts_by_name("rename")}
    add, drop = (
        [*before, *said.texts(name)] for before, name in ((changes.add, "add"), (changes.drop, "drop"))
    )
    if add or drop or renames:
        if changes.only or changes.only_labels:
            raise UsageError(f"{folder} was begun with a list of keypoints: go on with it in the terminal")
        for name in dict.fromkeys(add):
            argv += ["--add", name]
        for name in dict.fromkeys(drop):
            argv += ["--drop", name]
        for old, new in renames.items():
            argv += ["--rename", f"{old}={new}"]
    if "steps" in said:
        argv += ["--steps", str(said.whole("steps", least=1))]
    argv += _heeding(said)
    return started(
        desk.jobs.start("teach", argv, title=f"Teach: {folder}", about=_about(said, folder=folder))
    )


def finish(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Ask the newest training of a way for the engine of the best so far; one that was stopped is gone on with for it."""
    folder = said.text("folder")
    ask_to_finish(way_at(desk, folder).folder)
    return {"job": None} if desk.working_on("teach", "folder", folder) else go_on(desk, said)


def export_int8(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Make the int8 engine of a float one, compared with it on frames of the rig."""
    engine = _engine(said)
    argv = ["engines", "export", engine, "--precision", "int8", *_frames(desk, said), "--json"]
    return started(
        desk.jobs.start("export", argv, title=f"int8 of {engine}", about=_about(said, engine=engine))
    )


def verify(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Hold an engine against its float reference on frames of a recording, or, where a ``rig`` is named, on that rig's."""
    engine = _engine(said, "default")
    if rig := said.text("rig", ""):
        _inside(desk, rig)
        argv = ["engines", "verify", "--rig", rig, "--json"]
    else:
        argv = ["engines", "verify", engine, *_frames(desk, said), "--json"]
    title = f"Verify {rig or engine}"
    return started(
        desk.jobs.start("verify-engine", argv, title=title, about=_about(said, engine=engine, rig=rig))
    )


def check_view(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Give an engine its view anew, from frames of its rig."""
    engine = _engine(said)
    argv = ["engines", "view", engine, *_frames(desk, said), "--overwrite", "--json"]
    return started(
        desk.jobs.start("view", argv, title=f"View of {engine}", about=_about(said, engine=engine))
    )


def engine_name(name: str) -> str:
    """Return a name that a command can be given as an engine's; `UsageError` where it is none."""
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise UsageError(f"{name!r} is no engine's name: rtface engines list")
    return name


def _engine(said: Said, default: str | None = None) -> str:
    return engine_name(said.text("engine", default))


def _require_free(desk: Desk, folder: str, name: str) -> None:
    """Refuse a folder or an engine's name that is taken: now, not when the job's turn comes."""
    path = desk.path(folder)
    if desk.working_on("teach", "folder", folder):
        raise UsageError(f"{folder} is being worked on already; {desk.free(folder)} is free")
    try:
        start = kept_start(path)
    except DataError as error:
        raise UsageError(f"{folder} holds something else already; {desk.free(folder)} is free") from error
    if start is not None:
        way = GuidedWay(path, start, BackendSettings())
        if way.to_label.exists() or way.attempts():
            raise UsageError(f"{folder} was begun already: go on with it above; {desk.free(folder)} is free")
    if name and (user_folder() / name).exists():
        stem = re.sub(r"-\d+$", "", name)
        raise UsageError(f"an engine {name} exists already: {free_name(stem)} is free")


def _frames(desk: Desk, said: Said) -> list[str]:
    frames = said.text("frames")
    _inside(desk, frames)
    crop = said.text("crop", "")
    return ["--frames", frames, *(["--crop", crop] if crop else [])]


def _heeding(said: Said) -> list[str]:
    return ["--stop-if-wrong"] if said.flag("heed") else []


def _inside(desk: Desk, name: str) -> None:
    """Refuse a name that leads out of the workspace, or that a command would take for an option."""
    if name.startswith("-"):
        raise UsageError(f"{name}: a path begins with no hyphen")
    desk.path(name)


def _about(said: Said, **what: str) -> dict[str, str]:
    """Return what a job is found again by: what it is of, and the rig that it was begun for."""
    about = {"step": "teach", **what, "for_rig": said.text("for_rig", "")}
    return {name: value for name, value in about.items() if value}

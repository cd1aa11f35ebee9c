"""``/api/label``: what the label page reads and asks for. The work is in the modules beside this one."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute

from rtface.core.errors import DataError, UsageError, nearest
from rtface.learn.labels.formats.checks import read_image
from rtface.learn.labels.how_many import FRAMES_TO_LABEL, HOW_MANY
from rtface.learn.labels.suggestion import CANDIDATES
from rtface.screen.desk import Desk
from rtface.screen.label.agreement import agreement
from rtface.screen.label.catching import catch
from rtface.screen.label.doubts import doubts
from rtface.screen.label.guesses import read_guesses
from rtface.screen.label.listing import look
from rtface.screen.label.opening import OpenSets, begin_labelling, face_in, new_set
from rtface.screen.label.project import JOURNAL, LabelProject
from rtface.screen.label.where import drawn_face
from rtface.screen.label.writing import (
    changed_outside,
    has_h5,
    labels_of,
    take_in,
    write_deeplabcut,
    write_own,
)
from rtface.screen.rigfiles import crop_drawn_for
from rtface.screen.said import Answer, Said, got, posted
from rtface.screen.teach.engines import engines_here
from rtface.track.store import MANIFEST_FILE, installed_engines

_ACT = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CROP = re.compile(r"auto|\d{1,5},\d{1,5},\d{1,5},\d{1,5}(,mirrored)?")
_MOST_SHOWN = 500

Json = dict[str, Any]


def routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes below ``/api/label``."""
    served = _LabelRoutes(desk, OpenSets())
    reads = {
        "sets": served.sets,
        "about": served.about,
        "where": served.where,
        "where.png": served.where_picture,
        "since": served.since,
        "image": served.image,
        "guesses": served.guesses,
        "doubts": served.doubts,
        "agreement": served.agreement,
    }
    writes = {
        "open": served.open,
        "copy": served.copy,
        "new": served.new,
        "suggest": served.suggest,
        "guess": served.guess,
        "act": served.act,
        "turn": served.turn,
        "catch": served.catch,
        "write": served.write,
        "deeplabcut": served.deeplabcut,
        "take": served.take,
    }
    return [
        *(got(f"/{name}", each) for name, each in reads.items()),
        *(posted(f"/{name}", each) for name, each in writes.items()),
    ]


class _LabelRoutes:
    def __init__(self, desk: Desk, sets: OpenSets) -> None:
        self._desk = desk
        self._sets = sets

    def sets(self, said: Said) -> Answer:
        found = look(self._desk.folder)
        name = self._desk.name
        return {
            "sets": [self._summary(path) for path in found.sets],
            "fresh": [name(path) for path in found.fresh],
            "projects": [name(path) for path in found.projects],
            "recordings": [name(path) for path in found.recordings],
            "whole": found.whole,
            "engines": engines_here(),
            "count": FRAMES_TO_LABEL,
            "how_many": HOW_MANY,
        }

    def about(self, said: Said) -> Answer:
        folder = self._project(said).folder
        return {
            "engines": engines_here(),
            "h5": has_h5(),
            "face": face_in(folder),
            "drawn": crop_drawn_for(self._desk, self._desk.name(folder)),
        }

    def where(self, said: Said) -> Answer:
        return drawn_face()[1]

    def where_picture(self, said: Said) -> Answer:
        return Response(drawn_face()[0], media_type="image/png")

    def since(self, said: Said) -> Answer:
        project = self._project(said)
        return self._news(project, said.text("who", ""), said.whole("n", 0)) | self._extras(project)

    def image(self, said: Said) -> Answer:
        project = self._project(said)
        path = project.image(said.text("frame"))
        if _shown_by_browsers(path):
            return FileResponse(path)
        done, data = cv2.imencode(".png", read_image(path, path.name))
        if not done:
            raise DataError(f"{path} cannot be shown")
        return Response(data.tobytes(), media_type="image/png")

    def guesses(self, said: Said) -> Answer:
        found = read_guesses(self._project(said).folder)
        return {"engine": "", "points": {}} if found is None else asdict(found)

    def doubts(self, said: Said) -> Answer:
        project = self._project(said)
        frames, points = project.frames(skipped=False), list(project.points())
        rows = {each.frame: place for place, each in enumerate(frames)}
        found = read_guesses(project.folder)
        guessed = {
            (rows[frame], points.index(point)): guess
            for frame, each in ({} if found is None else found.points).items()
            for point, guess in each.items()
            if frame in rows and point in points
        }
        doubtful = doubts(labels_of(project, frames), guessed)[:_MOST_SHOWN]
        return {
            "doubts": [
                {
                    "frame": frames[each.row].frame,
                    "point": points[each.column],
                    "why": each.why,
                    "px": each.px,
                }
                for each in doubtful
            ]
        }

    def agreement(self, said: Said) -> Answer:
        project = self._project(said)
        first, second = (
            {place: found.value for place, found in project.labels(each).items()}
            for each in ("first", "second")
        )
        table, pairs = agreement(first, second, list(project.points()))
        return {
            "points": [asdict(each) for each in table],
            "pairs": [asdict(each) for each in pairs[:_MOST_SHOWN]],
        }

    def open(self, said: Said) -> Json:
        folder = self._desk.path(said.text("set"))
        begin_labelling(folder, said.text("who"))
        return {"set": self._desk.name(folder)}

    def copy(self, said: Said) -> Json:
        source = self._argument(said.text("source"))
        if not self._desk.path(source).exists():
            raise UsageError(f"{source} is not there")
        name = self._new_folder(said.text("out"))
        argv = ["learn", "copy", source, "--out", self._argument(name), "--who", said.text("who"), "--json"]
        for each in said.texts("keypoints"):
            argv += ["--keypoint", each]
        title = f"Copy {source} to {name}"
        job = self._desk.jobs.start("copy", argv, title=title, about={"set": name}, waits=False)
        return {"job": job.as_dict()}

    def new(self, said: Said) -> Json:
        folder = self._desk.path(said.text("out"))
        new_set(folder, said.texts("keypoints"), said.text("who"))
        return {"set": self._desk.name(folder)}

    def suggest(self, said: Said) -> Json:
        videos = [self._argument(name) for name in said.texts("videos")]
        if not videos:
            raise UsageError("name a recording")
        out = self._argument(said.text("out"))
        count = said.whole("count", least=1, most=2_000)
        name = self._new_folder(said.text("out"))
        argv = ["learn", "suggest", *videos, "--out", out, "--count", str(count), "--fill"]
        argv += ["--candidates", str(max(CANDIDATES, 2 * count)), *self._engine(said), *_crop(said), "--json"]
        job = self._desk.jobs.start(
            "suggest",
            argv,
            title=f"{count} frames of {', '.join(videos)}",
            about={"set": name},
        )
        return {"job": job.as_dict()}

    def guess(self, said: Said) -> Json:
        project = self._project(said)
        name = self._desk.name(project.folder)
        argv = ["learn", "guess", self._argument(name), *self._engine(said), *_crop(said), "--json"]
        job = self._desk.jobs.start("guess", argv, title=f"guesses on {name}", about={"set": name})
        return {"job": job.as_dict()}

    def act(self, said: Said) -> Json:
        project, who = self._project(said), said.text("who")
        project.act(who, said.text("do"), said.items("changes"), act=_act(said))
        return self._news(project, who, said.whole("n", 0))

    def turn(self, said: Said) -> Json:
        project, who = self._project(said), said.text("who")
        keys = project.turn(who, said.text("do"), act=_act(said))
        return self._news(project, who, said.whole("n", 0)) | {"keys": keys}

    def catch(self, said: Said) -> Json:
        project, who = self._project(said), said.text("who")
        caught = catch(
            project,
            who,
            said.text("picture", most=1 << 20),
            rig=said.text("rig"),
            session=said.text("session", ""),
            frame_id=said.whole("frame_id"),
            size=(said.whole("width"), said.whole("height")),
        )
        return self._news(project, who, said.whole("n", 0)) | asdict(caught)

    def write(self, said: Said) -> Json:
        return asdict(write_own(self._project(said), said.text("who")))

    def deeplabcut(self, said: Said) -> Json:
        return asdict(write_deeplabcut(self._project(said), said.text("who"), said.text("scorer")))

    def take(self, said: Said) -> Json:
        return {"changed": take_in(self._project(said), said.text("who"))}

    def _project(self, said: Said) -> LabelProject:
        return self._sets.get(self._desk.path(said.text("set")))

    def _news(self, project: LabelProject, who: str, since: int) -> Json:
        """Return what has changed for a page that has read as far as the `since`-th entry."""
        n, values = project.read(since)
        undo, redo = project.turns(who)
        return {
            "n": n,
            "values": [[key, each.value, each.who] for key, each in values],
            "undo": undo,
            "redo": redo,
            "all": not 0 < since <= n,
        }

    def _extras(self, project: LabelProject) -> Json:
        return {
            "notes": project.notes,
            "changed_outside": changed_outside(project),
            "journal": str(JOURNAL),
        }

    def _summary(self, path: Path) -> Json:
        name = self._desk.name(path)
        try:
            project = self._sets.get(path)
            project.read()
            frames, points = project.frames(skipped=False), project.points()
            here = {each.frame for each in frames}
            labels = project.labels("first")
            seen = [frame for frame, point in labels if frame in here and point in points]
        except (DataError, UsageError) as error:
            return {"set": name, "error": str(error)}
        return {
            "set": name,
            "frames": len(frames),
            "points": len(points),
            "seen": len(seen),
            "begun": len(set(seen)),
        }

    def _argument(self, name: str) -> str:
        """Return a path as a command takes it: inside the folder, and never read as an option."""
        return f"./{self._desk.name(self._desk.path(name.removeprefix('./')))}"

    def _new_folder(self, out: str) -> str:
        """Return what the folder of a label set will be called; refused now where its job would fail when its turn comes."""
        path = self._desk.path(out)
        name = self._desk.name(path)
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
        if taken or any(self._desk.working_on(kind, "set", name) for kind in ("suggest", "copy")):
            raise UsageError(
                f"{name} {'exists' if taken else 'is being made'} already; labels are never overwritten: "
                f"{self._desk.free(name)} is free"
            )
        return name

    def _engine(self, said: Said) -> list[str]:
        engine = said.text("engine", "default")
        if engine == "default" or engine in installed_engines():
            return ["--engine", engine]
        if (self._desk.path(engine) / MANIFEST_FILE).is_file():
            return ["--engine", self._argument(engine)]
        raise UsageError(f"no engine is named {engine!r}{nearest(engine, installed_engines())}")


def _crop(said: Said) -> list[str]:
    crop = said.text("crop", "")
    if not crop:
        return []
    if not _CROP.fullmatch(crop):
        raise UsageError("a crop is auto, or X,Y,WIDTH,HEIGHT in pixels")
    return ["--crop", crop]


def _act(said: Said) -> str:
    """Return the sender's own name of an act, ``id``."""
    value = said.text("id")
    if not _ACT.fullmatch(value):
        raise UsageError("id: letters, digits, dots, dashes and underscores, 64 at most")
    return value


def _shown_by_browsers(path: Path) -> bool:
    """Return whether a browser shows an image's gray levels as rtface reads them."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        return True
    with path.open("rb") as file:
        head = file.read(26)
    return head.startswith(b"\x89PNG") and head[24:26] == b"\x08\x00"

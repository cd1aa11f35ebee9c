"""What the page for a new rig asks for: jobs that are commands of rtface, and lines in the rig's file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import yaml

from rtface.config import ImagesCameraSettings, VideoCameraSettings
from rtface.core.errors import DataError, RtfaceError, UsageError
from rtface.core.files import written_whole
from rtface.decide.templates import template_text
from rtface.learn.labels.how_many import FRAMES_TO_LABEL
from rtface.screen.desk import Desk
from rtface.screen.newrig.places import RECORD_S, RigPlaces, relative_to_rig
from rtface.screen.rigfiles import change_rig
from rtface.screen.said import Said
from rtface.screen.teach.commands import VERIFIES, engine_name, refuse_second_verification, started
from rtface.screen.teach.ways import frames_there


def set_lines(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Show how lines of a rig's file would change, or, given the ``token`` of what was shown, write them.

    ``settings`` maps a setting's name to the text of its value in YAML; an empty text takes it out. ``recording`` in place of it
    names a recording of the workspace that is to be the camera.
    """
    rig = said.text("rig")
    given = said.texts_by_name("settings")
    settings = {name: _value(name, written) for name, written in given.items()}
    if recording := said.text("recording", ""):
        path = relative_to_rig(desk, rig, recording)
        kind = "images" if desk.path(recording).is_dir() else "video"
        settings["camera"] = {"kind": kind, "path": path, "paced": True, "loop": True}
    if not settings:
        raise UsageError("no setting is named")
    return change_rig(desk, rig, settings, seen=said.text("token", ""))


def find_cameras(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Look for cameras."""
    return _quick(desk, said, "cameras", "cameras", ["cameras", "--names", "--json"], "Look for cameras")


def look(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Save a few pictures of what the camera shows."""
    places = _rig(desk, said)
    argv = [
        "cameras",
        "pictures",
        places.name,
        "--out",
        places.new_look(),
        "--count",
        "5",
        "--seconds",
        "2",
        "--json",
    ]
    return _quick(desk, said, "pictures", "camera", argv, f"Pictures of {places.name}")


def find_face(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Find the face: an automatic crop."""
    places = _rig(desk, said)
    return _quick(
        desk,
        said,
        "find-face",
        "crop",
        ["cameras", "crop", places.name, "--json"],
        f"The face in {places.name}",
    )


def try_engine(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Try the rig's engine on its camera."""
    places = _rig(desk, said)
    argv = ["engines", "try", "--rig", places.name, "--out", places.new_look(), "--count", "6", "--json"]
    return _quick(desk, said, "try", "engine", argv, f"Try the engine of {places.name}")


def record(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Record pictures of the camera, for frames to be chosen from."""
    places = _rig(desk, said)
    seconds = said.whole("seconds", RECORD_S, least=1, most=3_600)
    argv = [*places.record_command(seconds), "--json"]
    return _quick(desk, said, "record", "record", argv, f"Record {seconds} s of {places.name}")


def suggest(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Choose frames of the rig's recording to label."""
    places = _rig(desk, said)
    rig = places.load()
    count = str(said.whole("count", FRAMES_TO_LABEL, least=1, most=1_000))
    recording = places.recording(rig)
    if frames_there(desk.path(places.learning)):
        argv = ["learn", "start", "--folder", places.learning, "--more", count, "--json"]
        return _job(desk, said, "teach", "label", argv, f"Choose {count} more frames of {recording}")
    if recording is None:
        raise UsageError("record some pictures of this camera first: frames are chosen from a recording")
    argv = ["learn", "start", recording, "--folder", places.learning, "--yes", "--json"]
    argv += ["--engine", rig.engine, "--count", count]
    if rig.fixed_crop is not None:
        argv += ["--crop", rig.fixed_crop.as_option]
    return _job(desk, said, "teach", "label", argv, f"Choose frames of {recording}")


def verify(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Hold the rig's engine, as it runs here, against its float reference."""
    places = _rig(desk, said)
    engine = places.load().engine
    refuse_second_verification(desk, engine, places.name)
    argv = ["engines", "verify", "--rig", places.name, "--count", "60", "--json"]
    return _job(desk, said, VERIFIES, "verify", argv, f"Verify the engine of {places.name}", engine=engine)


def write_rules(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Write a template's rules beside the rig's file; one that is there already and differs is not overwritten."""
    places = _rig(desk, said)
    path, content = desk.path(places.rules), template_text(said.text("template"))
    if path.exists() and path.read_text(encoding="utf-8") != content:
        raise DataError(
            f"{places.rules} is there already and is not overwritten: change it, or move it away first"
        )
    try:
        with written_whole(path) as fresh:
            fresh.write_text(content, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{places.rules} cannot be written: {error.strerror or error}") from error
    return {"rules": places.rules, "text": content, "value": relative_to_rig(desk, places.name, places.rules)}


def check_rules(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Check the rig's rules against its engine."""
    places = _rig(desk, said)
    rig = places.load()
    if rig.rules is None:
        raise UsageError(f"{places.name} has no rules yet")
    argv = ["rules", "check", str(rig.rules), "--engine", engine_name(rig.engine), "--json"]
    return _quick(desk, said, "rules", "rules", argv, f"Check {rig.rules.name}")


def try_rules(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Try the rig's rules on a recording: what they would have done."""
    places = _rig(desk, said)
    rig = places.load()
    if rig.rules is None:
        raise UsageError(f"{places.name} has no rules yet")
    is_file = isinstance(rig.camera, VideoCameraSettings | ImagesCameraSettings)
    source = places.recording(rig) if is_file else "simulated"
    argv = [
        "rules",
        "dry-run",
        str(rig.rules),
        str(source),
        "--engine",
        engine_name(rig.engine),
        "--json",
    ]
    if rig.fixed_crop is not None and is_file:
        argv += ["--crop", rig.fixed_crop.as_option]
    return _job(desk, said, "dry-run", "dry-run", argv, f"Try {rig.rules.name}")


def check(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Check everything together."""
    places = _rig(desk, said)
    return _quick(desk, said, "check", "check", ["check", places.name, "--json"], f"Check {places.name}")


def run(desk: Desk, said: Said) -> Mapping[str, Any]:
    """Run the rig, until it is stopped."""
    places = _rig(desk, said)
    if desk.working_on("run", "for_rig", places.name):
        raise UsageError(f"{places.name} runs already: stop it first")
    begun = _quick(desk, said, "run", "run", ["run", places.name], f"Run {places.name}")
    desk.show(places.stem, places.load().publish.control)
    return begun


def show_running(desk: Desk) -> None:
    """Show the rigs that were started here and still run: a screen that was started anew finds them again."""
    for job in desk.jobs.list():
        if job.kind == "run" and not job.over:
            with suppress(RtfaceError):  # its file was changed since
                places = RigPlaces(desk, job.about["for_rig"])
                desk.show(places.stem, places.load().publish.control)


def _rig(desk: Desk, said: Said) -> RigPlaces:
    places = RigPlaces(desk, said.text("rig"))
    if places.name.startswith("-"):
        raise UsageError(f"{places.name}: a rig's name begins with no hyphen")
    if not places.path.exists():
        raise UsageError(f"{places.name} is not there yet: choose its camera first")
    return places


def _quick(desk: Desk, said: Said, kind: str, step: str, argv: list[str], title: str) -> Mapping[str, Any]:
    return _job(desk, said, kind, step, argv, title, waits=False)


def _job(
    desk: Desk,
    said: Said,
    kind: str,
    step: str,
    argv: list[str],
    title: str,
    *,
    waits: bool = True,
    **more: str,
) -> Mapping[str, Any]:
    rig = said.text("rig", "")
    places = RigPlaces(desk, rig)
    about = {"for_rig": rig, "step": step, "of": places.digest(step, places.load()) if rig else None, **more}
    return started(desk.jobs.start(kind, argv, title=title, about=about, waits=waits))


def _value(name: str, written: str) -> Any:
    try:
        return yaml.safe_load(written)
    except yaml.YAMLError as error:
        raise UsageError(f"{name}: {written!r} is no YAML: {getattr(error, 'problem', error)}") from error

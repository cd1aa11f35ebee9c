"""How far a new rig is: each step with what it wrote, what came of it, and the command that does the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from rtface.config import Rig
from rtface.core.errors import ConfigError, RtfaceError
from rtface.learn.guided.start import kept_start
from rtface.learn.guided.way import GuidedWay
from rtface.learn.labels.how_many import FRAMES_TO_LABEL
from rtface.learn.labels.labelling_folder import changed_tables
from rtface.screen.desk import Desk
from rtface.screen.jobs import Job, JobState
from rtface.screen.newrig.places import RECORD_S, RigPlaces
from rtface.screen.newrig.proof import is_of, stored_proof
from rtface.screen.rigs import id_of
from rtface.screen.teach.commands import command_line
from rtface.screen.teach.engines import exported_from
from rtface.screen.teach.ways import attempt_in_full, chosen_in_words, frames_there
from rtface.track.parity import ParityRecord

OPEN, DONE, WRONG, RUNS = "open", "done", "wrong", "runs"
"""What a step can be: to do; done; tried, and something is wrong; being done."""


@dataclass
class StepState:
    """One step of the first hour.

    Attributes
    ----------
    step : str
    state : str
        One of those above.
    says : str
        What came of it, in a sentence.
    wrote : list of str
        Files and lines that the step wrote.
    commands : list of str
        What does the same in a terminal.
    job : dict or None
        The last job of the step on the rig as it is.
    result : any
        What that job printed, of JSON's types.
    """

    step: str
    state: str = OPEN
    says: str = ""
    wrote: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    job: dict[str, Any] | None = None
    result: Any = None


def steps_of(desk: Desk, name: str) -> dict[str, Any]:
    """Return the steps of a rig of the workspace, whose file may not be there yet."""
    places = RigPlaces(desk, name)
    rig, fault = None, ""
    if places.path.exists():
        try:
            rig = places.load()
        except ConfigError as error:
            fault = str(error)
    camera = StepState("camera", says=fault or "No camera is chosen yet.", state=WRONG if fault else OPEN)
    steps = [camera]
    if rig is not None:
        jobs = [job for job in desk.jobs.list() if job.about.get("for_rig") == name]
        steps = [each(_WhatIsThere(places, rig, jobs), rig) for each in _STEPS]
    return {
        "rig": name,
        "exists": places.path.exists(),
        "text": places.path.read_text(encoding="utf-8", errors="replace") if places.path.exists() else "",
        "fault": fault,
        "engine": None if rig is None else rig.engine,
        "crop": None if rig is None or rig.fixed_crop is None else asdict(rig.fixed_crop),
        "learning": places.learning,
        "recording": None if rig is None else places.recording(rig),
        "steps": [asdict(each) for each in steps],
    }


class _WhatIsThere:
    """A rig's places, and its jobs by step."""

    def __init__(self, places: RigPlaces, rig: Rig, jobs: list[Job]) -> None:
        self.places, self._rig, self._jobs = places, rig, jobs

    def last(self, step: str, *, any_rig: bool = False) -> Job | None:
        """Return the last job of a step, on the rig as it is now or on whatever it was."""
        jobs = [job for job in self._jobs if job.about.get("step") == step]
        if not any_rig and jobs:
            now = self.places.digest(step, self._rig)
            jobs = [job for job in jobs if job.about.get("of") == now]
        return jobs[0] if jobs else None

    def follow(self, state: StepState, judge: Callable[[Any], tuple[str, str]]) -> StepState:
        """Fill in what the step's last job gave."""
        job = self.last(state.step)
        if job is None:
            return state
        state.job = job.as_dict()
        if not job.over:
            state.state, state.says = RUNS, "It runs."
            return state
        result = self.places.desk.jobs.result(job.id)
        if job.state is not JobState.DONE and result is None:
            state.state, state.says = WRONG, job.reason
            return state
        state.result = result
        try:
            state.state, state.says = judge(result)
        except (KeyError, TypeError, IndexError):
            state.state, state.says = WRONG, job.reason or "It said nothing that can be read."
        return state


def _camera(seen: _WhatIsThere, rig: Rig) -> StepState:
    camera = rig.camera
    what = {"simulated": "the simulated mouse"}.get(camera.kind, camera.kind)
    if path := getattr(camera, "path", None):
        what = f"{camera.kind}: {path.name}"
    state = StepState("camera", DONE, f"The camera is {what}.", [f"camera: in {seen.places.name}"])
    state.commands = [
        "rtface cameras",
        command_line(["cameras", "pictures", seen.places.name, "--out", "pictures"]),
    ]
    job = seen.last("camera")
    if job is not None:
        state.job = job.as_dict()
        state.result = seen.places.desk.jobs.result(job.id) if job.over else None
        if job.over and job.state is not JobState.DONE:
            state.state, state.says = WRONG, job.reason
    return state


def _crop(seen: _WhatIsThere, rig: Rig) -> StepState:
    state = StepState(
        "crop", commands=[command_line(["cameras", "crop", seen.places.name, "--picture", "crop.png"])]
    )
    if rig.crop is not None:
        box = rig.fixed_crop
        state.state, state.wrote = DONE, [f"crop: in {seen.places.name}"]
        state.says = (
            "The face is found when the rig starts (auto)."
            if box is None
            else f"The face is {box.width} x {box.height} pixels at {box.x}, {box.y}{', mirrored' if box.mirrored else ''}."
        )
    else:
        state.says = "No crop is chosen: the network sees the whole frame."
    job = seen.last("crop", any_rig=True)
    if job is not None:
        state.job = job.as_dict()
        state.result = seen.places.desk.jobs.result(job.id) if job.over else None  # a doubtful face, too
        if not job.over:
            state.state = RUNS
    return state


def _engine(seen: _WhatIsThere, rig: Rig) -> StepState:
    state = StepState(
        "engine",
        says=f"{rig.engine} was not tried on this camera and crop.",
        commands=[command_line(["engines", "try", "--rig", seen.places.name])],
    )
    return seen.follow(state, lambda found: (DONE if found["good_enough"] else WRONG, found["words"]))


def _label(seen: _WhatIsThere, rig: Rig) -> StepState:
    places = seen.places
    folder = places.desk.path(places.learning)
    recording = places.recording(rig)
    state = StepState("label")
    if recording is not None:
        crop = [] if rig.fixed_crop is None else ["--crop", rig.fixed_crop.as_option]
        state.commands = [
            command_line(
                ["learn", "start", recording, "--folder", places.learning, "--engine", rig.engine, *crop]
            )
        ]
    else:
        state.says = "Record some pictures of this camera first: frames to label are chosen from them."
        state.commands = [command_line(places.record_command(RECORD_S))]
    job = seen.last("label", any_rig=True)
    if job is not None:
        state.job = job.as_dict()
        if not job.over:
            state.state, state.says = RUNS, "Frames are being chosen."
        elif job.state is not JobState.DONE:
            state.state, state.says = WRONG, job.reason
    if there := frames_there(folder):
        state.wrote = [places.desk.name(each) for each in there]
        state.commands = [
            command_line(["learn", "start", "--folder", places.learning, "--more", str(FRAMES_TO_LABEL)])
        ]
        changed = any(map(changed_tables, there))
        if state.state != RUNS:
            state.state = DONE if changed else OPEN
            state.says = (
                "Labels were filled in; label more whenever you like." if changed else chosen_in_words(there)
            )
    return state


def _teach(seen: _WhatIsThere, rig: Rig) -> StepState:
    places = seen.places
    state = StepState(
        "teach",
        says="Label some frames first.",
        commands=[command_line(["learn", "start", "--folder", places.learning])],
    )
    folder = places.desk.path(places.learning)
    try:
        start = kept_start(folder) if folder.is_dir() else None
        if start is None:
            return state
        way = GuidedWay(folder, start, rig.backend)
        made = [attempt_in_full(each) for each in way.attempts()]
    except RtfaceError as error:
        state.state, state.says = WRONG, str(error)
        return state
    engines = [each["engine"] for each in made if each["made"]]
    used = rig.engine in engines or exported_from(rig.engine) in engines
    if way.start.labels or any(map(changed_tables, way.label_folders())):
        state.says = "Labels are there: learn them."
    if engines:
        state.state, state.wrote = DONE, [f"the engine {engine}" for engine in engines]
        state.says = f"{engines[0]} was made"
        if not used:
            state.says += f"; the rig still uses {rig.engine}."
        else:
            state.says += (
                ", and the rig uses it." if rig.engine == engines[0] else f"; the rig uses {rig.engine}."
            )
        state.result = {"engine": engines[0], "used": used}
        if not used:
            state.state = OPEN
    job = seen.last("teach", any_rig=True)
    if job is not None:
        state.job = job.as_dict()
        if not job.over:
            state.state, state.says = RUNS, "It is being trained."
        elif state.state != DONE and job.state in (JobState.FAILED, JobState.LOST):
            state.state, state.says = WRONG, job.reason
    return state


def _verify(seen: _WhatIsThere, rig: Rig) -> StepState:
    state = StepState(
        "verify",
        says="Whether the network runs here as it was made is not known; arming needs that.",
        commands=[command_line(["engines", "verify", "--rig", seen.places.name])],
    )

    open_words = state.says
    seen.follow(
        state, lambda found: (DONE if found["agrees"] else WRONG, "As the proof that it stored says.")
    )
    if state.state == RUNS:
        return state
    try:
        proof = stored_proof(rig)
    except RtfaceError as error:
        state.state, state.says = WRONG, str(error)
        return state
    if proof is None:
        if state.result is not None:  # the engine of that name was made anew since, or its proof was deleted
            state.state, state.says, state.result = OPEN, open_words, None
        return state
    if proof.agrees and not is_of(proof, seen.places, rig):
        frames = proof.frames
        state.state, state.result = OPEN, None
        state.says = (
            f"{proof.engine} agreed with its reference on {frames.count} frames of {frames.source}, and was not held "
            "against it on this rig's pictures and crop yet."
        )
        return state
    failed_later = (
        state.job is not None and state.result is None and _after(state.job["asked_at"], proof.date)
    )
    if not failed_later:
        state.state, state.says = _agreement(proof)
        state.result = proof.model_dump(mode="json")
    return state


def _agreement(record: ParityRecord) -> tuple[str, str]:
    ran, frames = f"{record.engine} on {record.ran.name} {record.ran.precision}", record.frames
    words = f"{ran}: keypoints shift by {record.shift_px.p50:.3f} px in the median on {frames.count} frames of {frames.source}"
    good = record.agrees
    return (
        DONE if good else WRONG
    ), f"{words}; {'it agrees with' if good else 'it does NOT agree with'} its reference."


def _after(one: str, other: str) -> bool:
    return datetime.fromisoformat(one) > datetime.fromisoformat(other)


def _output(seen: _WhatIsThere, rig: Rig) -> StepState:
    kind = rig.output.kind
    state = StepState(
        "output",
        commands=[command_line(["config", "set", seen.places.name, "output={kind: log, path: light.jsonl}"])],
    )
    if "output" in rig.model_fields_set:
        state.state, state.wrote = DONE, [f"output: in {seen.places.name}"]
        guarded = {
            "gate": "the gate keeps the limits, in its own firmware",
            "null": "no light can be made",
            "log": "no light can be made; what would be lit goes into a file",
        }.get(kind, "UNGUARDED: this computer alone keeps the limits, and they die with it")
        state.says = f"{kind}: {guarded}."
    else:
        state.says = "No output: the rig finds keypoints and makes no light."
    return state


def _rules(seen: _WhatIsThere, rig: Rig) -> StepState:
    path = seen.places.rules if rig.rules is None else str(rig.rules)
    state = StepState("rules", says="No rules: nothing is decided, and nothing can be lit.")
    state.commands = [
        f"{command_line(['rules', 'example', 'whisking'])} > {seen.places.rules}",
        command_line(["rules", "check", path, "--engine", rig.engine]),
    ]
    if rig.rules is None:
        return state
    state.wrote = [f"rules: in {seen.places.name}", rig.rules.name]
    state.says = f"{rig.rules.name} was not checked against {rig.engine} yet."
    return seen.follow(
        state,
        lambda found: (
            DONE,
            f"{', '.join(found['rules'])}: the file makes sense and fits {found['engine']}.",
        ),
    )


def _check(seen: _WhatIsThere, rig: Rig) -> StepState:
    state = StepState(
        "check",
        says="Everything together was not checked yet.",
        commands=[command_line(["check", seen.places.name])],
    )

    def judge(found: Any) -> tuple[str, str]:
        counts = {
            verdict: sum(each["verdict"] == verdict for each in found) for verdict in ("ok", "warn", "fail")
        }
        words = f"{counts['ok']} answers are good, {counts['warn']} are warnings, {counts['fail']} must be put right."
        return (WRONG if counts["fail"] else DONE), words

    return seen.follow(state, judge)


def _run(seen: _WhatIsThere, rig: Rig) -> StepState:
    state = StepState(
        "run",
        says="The rig does not run from here.",
        commands=[command_line(["run", seen.places.name, "--screen"])],
        result={"id": id_of(rig.publish.control), "pictures": rig.publish.pictures is not None},
    )
    job = seen.last("run", any_rig=True)
    if job is not None:
        state.job = job.as_dict()
        if not job.over:
            state.state, state.says = DONE, f"It runs, begun here; keypoints on {rig.publish.keypoints}."
        elif job.state is JobState.FAILED:
            state.state, state.says = WRONG, job.reason
    return state


_STEPS: tuple[Callable[[_WhatIsThere, Rig], StepState], ...] = (
    _camera,
    _crop,
    _engine,
    _label,
    _teach,
    _verify,
    _output,
    _rules,
    _check,
    _run,
)

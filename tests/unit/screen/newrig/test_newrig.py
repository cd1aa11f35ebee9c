"""The first hour of a rig, through the routes of its page: files written and commands run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient
from support.drawn_labels import begun_engine
from support.job_waits import all_ended, over

from rtface.config.rigfile import load_rig
from rtface.core.errors import UsageError
from rtface.learn.guided.start import GuidedStart, write_start
from rtface.learn.labels.labelling_folder import frames_chosen
from rtface.screen.desk import Desk
from rtface.screen.jobs import Jobs
from rtface.screen.newrig import commands
from rtface.screen.newrig.routes import routes
from rtface.screen.rigs import shown_rigs
from rtface.screen.said import Said
from rtface.simulate.face import MouseFace
from rtface.track.parity import (
    LIMITS,
    ParityBackend,
    ParityFrames,
    ParityRecord,
    ParityReference,
    ShiftSummary,
    store_parity,
)
from rtface.track.store import Engine, load_engine

Client = Callable[[Any], TestClient]
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def page(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The page of a user who has no engine and no proof yet."""
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    return client(routes)


def write(page: TestClient, **said: Any) -> dict[str, Any]:
    """Look at a difference and write it, as a person does."""
    shown = page.post("/api/page/set", json=said).json()
    assert not shown["written"]
    answer = page.post("/api/page/set", json={**said, "token": shown["token"]})
    assert answer.status_code == 200, answer.json()
    done: dict[str, Any] = answer.json()
    assert done["written"]
    return done


def step(page: TestClient, name: str, rig: str = "rig.yaml") -> dict[str, Any]:
    steps = page.get("/api/page/steps", params={"rig": rig}).json()["steps"]
    found: dict[str, Any] = next(each for each in steps if each["step"] == name)
    return found


def done(desk: Desk, page: TestClient, what: str, **said: Any) -> dict[str, Any]:
    """Run what a step does to its end, and return what the command printed."""
    answer = page.post(f"/api/page/{what}", json={"rig": "rig.yaml", **said})
    assert answer.status_code == 200, answer.json()
    job = answer.json()["job"]["id"]
    over(desk.jobs, job)
    assert desk.jobs.get(job).state == "done", desk.jobs.output(job)
    result: dict[str, Any] = desk.jobs.result(job)
    return result


def video(folder: Path, frames: int = 6) -> None:
    """Write a few frames of a mouse as a folder of images."""
    folder.mkdir()
    face = np.zeros((240, 320), np.uint8)
    for number in range(frames):
        MouseFace(320, 240, 100.0, seed=1).render(40 * number, face)
        cv2.imwrite(str(folder / f"{number}.png"), face)


def test_a_rig_begins_with_a_recording_of_the_workspace(desk: Desk, page: TestClient) -> None:
    video(desk.folder / "day1")
    listed = page.get("/api/page/rigs").json()
    assert listed["rigs"] == []
    assert [(each["path"], each["kind"]) for each in listed["recordings"]] == [("day1", "images")]
    assert {each["name"] for each in listed["templates"]} >= {"whisking", "blink"}
    assert any(each["default"] for each in listed["engines"])
    before = page.get("/api/page/steps", params={"rig": "rig.yaml"}).json()
    assert (before["exists"], [each["step"] for each in before["steps"]]) == (False, ["camera"])

    written = write(page, rig="rig.yaml", recording="day1")
    assert "+camera: {kind: images, path: day1" in written["difference"]
    assert load_rig(desk.folder / "rig.yaml").camera.kind == "images"
    steps = page.get("/api/page/steps", params={"rig": "rig.yaml"}).json()["steps"]
    assert [each["step"] for each in steps] == [
        "camera",
        "crop",
        "engine",
        "label",
        "teach",
        "verify",
        "output",
        "rules",
        "check",
        "run",
    ]
    assert [each["state"] for each in steps] == ["done"] + ["open"] * 9
    assert all(line.startswith("rtface ") for each in steps for line in each["commands"])


def test_a_rig_in_a_folder_names_its_recording_from_there(desk: Desk, page: TestClient) -> None:
    video(desk.folder / "day1")
    (desk.folder / "rigs").mkdir()
    write(page, rig="rigs/a.yaml", recording="day1")
    (listed,) = page.get("/api/page/rigs").json()["rigs"]
    assert listed == {"rig": "rigs/a.yaml", "fault": "", "engine": "default", "learning": "rigs/a-learn"}
    assert "path: ../day1" in (desk.folder / "rigs" / "a.yaml").read_text()
    assert load_rig(desk.folder / "rigs" / "a.yaml").camera.path.resolve() == desk.folder / "day1"  # type: ignore[union-attr]


def test_pictures_are_saved_and_served_and_the_engine_is_tried_on_the_crop(
    desk: Desk, page: TestClient
) -> None:
    video(desk.folder / "day1")
    write(page, rig="rig.yaml", recording="day1")
    pictures = done(desk, page, "look")["pictures"]
    assert step(page, "camera")["result"]["pictures"] == pictures
    answer = page.get("/api/page/picture", params={"file": pictures[0]["picture"]})
    assert answer.headers["content-type"] == "image/png"
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), 0).shape == (240, 320)

    write(page, rig="rig.yaml", settings={"crop": "{x: 40, y: 0, width: 240, height: 240}"})
    assert step(page, "crop")["state"] == "done"
    assert step(page, "camera")["result"]["pictures"] == pictures, "they do not hang on the crop"
    found = done(desk, page, "try")
    assert found["crop"]["x"] == 40
    tried = step(page, "engine")
    assert (tried["state"] == "done") == found["good_enough"]
    assert tried["says"] == found["words"]
    write(page, rig="rig.yaml", settings={"crop": "{x: 41, y: 0, width: 239, height: 239}"})
    assert step(page, "engine")["state"] == "open", "what was tried on another crop says nothing of this one"
    write(page, rig="rig.yaml", settings={"crop": ""})
    assert load_rig(desk.folder / "rig.yaml").crop is None


def test_only_pictures_to_look_at_are_served(desk: Desk, page: TestClient) -> None:
    (desk.folder / "secret.png").write_bytes(b"x")
    for name in ("secret.png", ".rtface/newrig/../../secret.png", "/etc/passwd", "../x.png", ""):
        assert page.get("/api/page/picture", params={"file": name}).status_code == 400


def test_rules_come_from_a_template_and_are_never_overwritten(desk: Desk, page: TestClient) -> None:
    write(page, rig="rig.yaml", settings={"camera": "{kind: simulated}"})
    given = page.post("/api/page/template", json={"rig": "rig.yaml", "template": "blink"}).json()
    assert given["rules"] == "rig-rules.yaml"
    write(page, rig="rig.yaml", settings={"rules": given["value"]})
    assert step(page, "rules")["state"] == "open"
    done(desk, page, "rules")
    checked = step(page, "rules")
    assert (checked["state"], list(checked["result"]["rules"])) == ("done", ["blink"])
    other = page.post("/api/page/template", json={"rig": "rig.yaml", "template": "whisking"})
    assert other.status_code == 400
    assert "not overwritten" in other.json()["error"]["text"]


def test_a_screen_of_the_rigs_address_is_known_to_show_it(desk: Desk, page: TestClient) -> None:
    (shown,) = shown_rigs(["tcp://127.0.0.1:5999"], None)
    write(page, rig="rig.yaml", settings={"camera": "{kind: simulated}"})
    assert step(page, "run")["result"] == {"id": shown_rigs([], None)[0].id, "pictures": False}
    write(page, rig="rig.yaml", settings={"publish.control": shown.control, "publish.pictures": "{}"})
    assert step(page, "run")["result"] == {"id": shown.id, "pictures": True}


def test_the_check_of_everything_is_read(desk: Desk, page: TestClient) -> None:
    write(
        page,
        rig="rig.yaml",
        settings={
            "camera": "{kind: simulated, width: 320, height: 240, rate_hz: 30}",
            "publish": "{keypoints: 'tcp://127.0.0.1:*', control: 'tcp://127.0.0.1:*'}",
        },
    )
    job = page.post("/api/page/check", json={"rig": "rig.yaml"}).json()["job"]["id"]
    over(desk.jobs, job)
    state = step(page, "check")
    assert state["state"] in ("done", "wrong")
    assert {each["verdict"] for each in state["result"]} <= {"ok", "warn", "fail"}
    assert "answers are good" in state["says"]


def test_frames_are_chosen_with_the_rigs_crop_and_engine(desk: Desk, page: TestClient) -> None:
    video(desk.folder / "day1", 8)
    write(page, rig="rig.yaml", recording="day1", settings={"crop": "{x: 40, y: 0, width: 240, height: 240}"})
    answer = page.post("/api/page/suggest", json={"rig": "rig.yaml", "count": 3}).json()
    assert answer["command"] == (
        "rtface learn start day1 --folder rig-learn --yes --json --engine default --count 3 --crop 40,0,240,240"
    )
    job = answer["job"]["id"]
    over(desk.jobs, job)
    assert (desk.jobs.get(job).state, desk.jobs.get(job).code) == ("done", 21)
    state = step(page, "label")
    assert (state["state"], state["wrote"]) == ("open", ["rig-learn/to-label"])
    assert state["says"] == "3 frames are chosen: 3 of 3 differ. Label all of them."

    answer = page.post("/api/page/suggest", json={"rig": "rig.yaml", "count": 4}).json()
    assert answer["command"] == "rtface learn start --folder rig-learn --more 4 --json"
    job = answer["job"]["id"]
    over(desk.jobs, job)
    assert (desk.jobs.get(job).state, desk.jobs.get(job).code) == ("done", 21), desk.jobs.output(job)
    state = step(page, "label")
    assert state["wrote"] == ["rig-learn/to-label", "rig-learn/to-label-2"]
    assert state["says"].startswith("7 frames are chosen: ")
    first, more = (frames_chosen(desk.folder / each) for each in state["wrote"])
    assert (len(first), len(more), len(first | more)) == (3, 4, 7)


@pytest.mark.parametrize(
    ("what", "said", "text"),
    [
        ("set", {"rig": "../rig.yaml", "settings": {"engine": "a"}}, "outside"),
        ("set", {"rig": "rig.txt", "settings": {"engine": "a"}}, "yaml"),
        ("set", {"rig": "rig.yaml", "settings": {}}, "no setting"),
        ("set", {"rig": "rig.yaml", "settings": {"engin": "a"}}, "did you mean engine"),
        ("set", {"rig": "rig.yaml", "settings": {"crop": "{x: 1"}}, "no YAML"),
        ("set", {"rig": "rig.yaml", "recording": "../day1"}, "outside"),
        ("look", {"rig": "none.yaml"}, "choose its camera first"),
        ("suggest", {"rig": "rig.yaml"}, "record some pictures"),
        ("template", {"rig": "rig.yaml", "template": "../x"}, "no rules template"),
        ("rules", {"rig": "rig.yaml"}, "no rules yet"),
        ("record", {"rig": "rig.yaml", "seconds": 0}, "seconds"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    desk: Desk, page: TestClient, what: str, said: dict[str, Any], text: str
) -> None:
    write(page, rig="rig.yaml", settings={"camera": "{kind: simulated}"})
    answer = page.post(f"/api/page/{what}", json=said)
    assert answer.status_code == 400
    assert text in answer.json()["error"]["text"]


def test_nothing_is_written_that_was_not_seen(desk: Desk, page: TestClient) -> None:
    write(page, rig="rig.yaml", settings={"camera": "{kind: simulated}"})
    shown = page.post("/api/page/set", json={"rig": "rig.yaml", "settings": {"engine": "face-2"}}).json()
    rig = desk.folder / "rig.yaml"
    rig.write_text(rig.read_text() + "# by somebody else\n")
    late = page.post(
        "/api/page/set", json={"rig": "rig.yaml", "settings": {"engine": "face-2"}, "token": shown["token"]}
    )
    assert late.status_code == 400
    assert "meanwhile" in late.json()["error"]["text"]
    assert "engine" not in rig.read_text()


def proof_of(engine: Engine, *, shift: float, date: str) -> ParityRecord:
    """Return what a verification of an engine would have stored."""
    ran = ParityBackend(name="openvino", version="1", device="CPU: any", precision="f32")
    summary = ShiftSummary(n=10, p50=shift, p99=shift, max=shift)
    return ParityRecord(
        engine=engine.manifest.name,
        engine_sha256=engine.sha256,
        preprocessing_sha256=engine.manifest.preprocessing_sha256,
        ran=ran,
        reference=ParityReference(engine=engine.manifest.name, engine_sha256=engine.sha256, ran=ran),
        frames=ParityFrames(source="mouse.mp4", sha256="0", width=8, height=8, count=60, crop=(0, 0, 8, 8)),
        shift_px=summary,
        shift_camera_px=summary,
        score_shift=ShiftSummary(n=10, p50=0, p99=0, max=0),
        sure=1.0,
        limits=LIMITS,
        agrees=shift < LIMITS.p50_px,
        date=date,
        rtface="0",
    )


@pytest.fixture
def own_engine(page: TestClient, tmp_path: Path) -> Engine:
    begun_engine(tmp_path / "engines" / "begun")
    return load_engine("begun")


def test_a_proof_made_elsewhere_counts_and_the_newest_decides(
    desk: Desk, page: TestClient, own_engine: Engine
) -> None:
    write(page, rig="rig.yaml", settings={"camera": "{kind: simulated}", "engine": "begun"})
    assert step(page, "verify")["state"] == "open"
    store_parity(proof_of(own_engine, shift=0.01, date="2026-01-01T10:00:00+00:00"))
    verified = step(page, "verify")
    assert (verified["state"], verified["result"]) == ("open", None), "the proof is of another rig's pictures"
    assert "60 frames of mouse.mp4, and was not held" in verified["says"]
    write(page, rig="rig.yaml", settings={"camera": "{kind: video, path: mouse.mp4}"})
    write(page, rig="rig.yaml", settings={"crop": "{x: 8, y: 8, width: 32, height: 32}"})
    assert step(page, "verify")["state"] == "open", "of another crop"
    write(page, rig="rig.yaml", settings={"crop": ""})
    verified = step(page, "verify")
    assert (verified["state"], "60 frames of mouse.mp4" in verified["says"]) == ("done", True)
    write(page, rig="rig.yaml", settings={"backend": "{name: torch}"})
    assert step(page, "verify")["state"] == "open", "of another back end than the rig asks for"
    write(page, rig="rig.yaml", settings={"backend": "{name: openvino}"})
    store_parity(proof_of(own_engine, shift=0.5, date="2026-01-02T10:00:00+00:00"))
    verified = step(page, "verify")
    assert verified["state"] == "wrong"
    assert "does NOT agree" in verified["says"]


@pytest.mark.parametrize(("source", "state"), [("begun", "done"), ("another", "open")])
def test_the_int8_form_of_an_engine_made_here_is_used(
    desk: Desk, page: TestClient, own_engine: Engine, source: str, state: str
) -> None:
    write(page, rig="rig.yaml", settings={"camera": "{kind: simulated}", "engine": "begun-int8"})
    learning = desk.folder / "rig-learn"
    write_start(learning, GuidedStart((desk.folder / "mouse.mp4",), name="begun"))
    (learning / "attempt-1" / "run").mkdir(parents=True)
    (learning / "attempt-1" / "attempt.json").write_text('{"of": {}, "engine": "begun"}')
    (learning / "attempt-1" / "run" / "report.json").write_text("{}")
    exported = own_engine.folder.with_name("begun-int8")
    shutil.copytree(own_engine.folder, exported)
    manifest = json.loads((exported / "manifest.json").read_text())
    manifest |= {"name": "begun-int8", "training": {"exported_from": source}}
    (exported / "manifest.json").write_text(json.dumps(manifest))
    taught = step(page, "teach")
    assert (taught["state"], taught["result"]["used"]) == (state, state == "done"), taught["says"]


def test_a_face_that_is_doubtful_is_offered_and_not_written(desk: Desk, page: TestClient) -> None:
    write(page, rig="rig.yaml", settings={"camera": "{kind: simulated}"})
    found = {"crop": {"x": 1, "y": 2, "width": 30, "height": 40, "mirrored": False}, "confidence": 0.37}
    said = json.dumps(found | {"doubtful": "no face found that is sure"})
    jobs = Jobs(
        desk.folder, program=("/bin/sh", "-c", f"echo '{said}'; echo error: unsure >&2; exit 8", "sh")
    )
    begun = commands.find_face(Desk(desk.folder, jobs), Said({"rig": "rig.yaml"}))
    over(jobs, begun["job"]["id"])
    crop = step(page, "crop")
    assert (crop["state"], crop["job"]["state"], crop["result"]["doubtful"]) == (
        "open",
        "failed",
        "no face found that is sure",
    )
    assert "crop" not in (desk.folder / "rig.yaml").read_text()


def test_a_rig_that_is_run_is_shown_by_the_screen_and_by_one_that_is_started_later(desk: Desk) -> None:
    jobs = Jobs(desk.folder, program=("/bin/sh", "-c", "exec sleep 60", "sh"), stop_after_s=0.0)
    shown: list[tuple[str, str]] = []
    showing = Desk(desk.folder, jobs, lambda name, control: shown.append((name, control)))
    (desk.folder / "mouse.yaml").write_text(
        "camera: {kind: simulated}\npublish: {control: 'tcp://127.0.0.1:5999'}\n", encoding="utf-8"
    )
    commands.run(showing, Said({"rig": "mouse.yaml"}))
    assert shown == [("mouse", "tcp://127.0.0.1:5999")]
    with pytest.raises(UsageError, match="runs already"):
        commands.run(showing, Said({"rig": "mouse.yaml"}))
    shown.clear()
    commands.show_running(showing)
    assert shown == [("mouse", "tcp://127.0.0.1:5999")]
    all_ended(jobs)
    shown.clear()
    commands.show_running(showing)
    assert shown == []

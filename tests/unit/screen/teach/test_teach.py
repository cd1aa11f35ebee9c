"""From labels to an engine through the routes of the page, with real jobs."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from starlette.testclient import TestClient
from support.drawn_labels import NAMES, begun_engine, drawn
from support.job_waits import over

from rtface.screen.desk import Desk
from rtface.screen.teach.routes import routes

FRAMES = drawn(30)
Client = Callable[[Any], TestClient]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of a recording and of an engine that was not trained at all."""
    lab = tmp_path_factory.mktemp("lab")
    begun_engine(lab / "engines" / "begun")
    (lab / "mouse").mkdir()
    for number, frame in enumerate(FRAMES.frames):
        cv2.imwrite(str(lab / "mouse" / f"{number:03}.png"), frame.image)
    return lab


@pytest.fixture
def page(
    client: Client, desk: Desk, lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TestClient:
    """A workspace with the recording, and the engine."""
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    shutil.copytree(lab / "engines", tmp_path / "engines")
    shutil.copytree(lab / "mouse", desk.folder / "mouse")
    return client(routes)


def begin(desk: Desk, page: TestClient, lab: Path) -> None:
    """Begin a way from the recording; its frames are chosen once for all tests."""
    kept = lab / "mouse-learn"
    if kept.exists():
        shutil.copytree(kept, desk.folder / "mouse-learn")
        return
    state = ended(
        desk, page, "begin", folder="mouse-learn", videos=["mouse"], engine="begun", count=9, steps=25
    )
    assert state == "done", desk.jobs.output(desk.jobs.list()[0].id)
    shutil.copytree(desk.folder / "mouse-learn", kept)


def post(page: TestClient, what: str, **said: Any) -> dict[str, Any]:
    answer = page.post(f"/api/page/{what}", json=said)
    assert answer.status_code == 200, answer.json()
    found: dict[str, Any] = answer.json()
    return found


def ended(desk: Desk, page: TestClient, what: str, **said: Any) -> str:
    """Run a job to its end and return how it ended."""
    job = post(page, what, **said)["job"]["id"]
    return str(over(desk.jobs, job).state)


def label(folder: Path, *, still: bool = False) -> None:
    """Fill in the table as a person would, but for the last point, and for one that the engine has not; or all alike."""
    table = folder / "mouse-learn" / "to-label" / "labels.csv"
    with table.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        frame = FRAMES.frames[0 if still else int(line["name"][5:11])]
        for name in NAMES[:2]:
            x, y = frame.xy[NAMES.index(name)]
            line[f"{name}_x"], line[f"{name}_y"] = str(x), str(y)
        line["extra_x"], line["extra_y"] = line[f"{NAMES[0]}_x"], line[f"{NAMES[0]}_y"]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for line in lines for key in line)))
        writer.writeheader()
        writer.writerows(lines)


@pytest.mark.timeout(900)
def test_labels_become_an_engine_that_a_rig_uses(desk: Desk, page: TestClient, lab: Path) -> None:
    assert page.get("/api/page/ways").json()["ways"] == []
    begin(desk, page, lab)
    way = page.get("/api/page/way", params={"folder": "mouse-learn"}).json()
    assert (way["next"], way["labels"], way["attempts"]) == ("label", "mouse-learn/to-label", [])

    label(desk.folder)
    way = page.get("/api/page/way", params={"folder": "mouse-learn"}).json()
    assert (way["next"], way["frames"], way["undecided"]) == ("check", 9, ["extra"])
    assert way["counts"]["extra"] == 9

    assert ended(desk, page, "go", folder="mouse-learn") == "failed", (
        "nobody said what becomes of the extra point"
    )
    assert "extra" in desk.jobs.list()[0].reason
    refused = page.post("/api/page/finish", json={"folder": "mouse-learn"})
    assert "neither a run" in refused.json()["error"]["text"], "nothing was begun to be trained"
    assert ended(desk, page, "go", folder="mouse-learn", drop=["extra"]) == "done", desk.jobs.output(
        desk.jobs.list()[0].id
    )
    job = desk.jobs.list()[0]
    lines, _ = desk.jobs.progress(job.id)
    assert {line["what"] for line in lines} >= {"search", "final"}
    assert [line["what"] for line in lines][-2:] == [
        "writing the engine and its view",
        "evaluating it on the labelled frames",
    ]
    assert all(
        isinstance(line["loss"], float) for line in lines if line["what"] == "final" and "loss" in line
    )

    way = page.get("/api/page/way", params={"folder": "mouse-learn"}).json()
    attempt = way["attempts"][0]
    assert (way["next"], attempt["engine"], attempt["made"]) == ("done", "mouse-1", True)
    frames = attempt["evaluation"]["after"]["worst_frames"]
    assert len(frames) == 9
    assert frames == sorted(frames, key=lambda each: -each["mean_px"])
    curves = page.get(
        "/api/page/curves", params={"folder": "mouse-learn", "attempt": attempt["attempt"]}
    ).json()
    assert curves["losses"]["search"][0][0] == 1
    assert curves["trials"][0][0] == 0
    assert (curves["minutes"] > 0, curves["finishing"]) == (True, False)
    refused = page.post("/api/page/finish", json={"folder": "mouse-learn"})
    assert "finished already" in refused.json()["error"]["text"]
    least = min(error for _, error in curves["trials"])
    assert least == min(look["error_px"] for look in attempt["report"]["looks"])

    listed = page.get("/api/page/ways").json()
    assert listed["ways"][0]["made"] == ["mouse-1"]
    assert {each["engine"]: each["own"] for each in listed["engines"]}["mouse-1"]
    known = page.get("/api/page/engine", params={"name": "mouse-1"}).json()
    assert known["parity"] == []

    (desk.folder / "rig.yaml").write_text("# ours\ncamera: {kind: simulated}\nengine: begun  # the old one\n")
    shown = post(page, "use", rig="rig.yaml", engine="mouse-1")
    assert "+engine: mouse-1  # the old one" in shown["difference"]
    assert "mouse-1" not in (desk.folder / "rig.yaml").read_text()
    done = post(page, "use", rig="rig.yaml", engine="mouse-1", token=shown["token"])
    assert (desk.folder / done["kept"]).read_text().endswith("engine: begun  # the old one\n")
    assert "engine: mouse-1  # the old one" in (desk.folder / "rig.yaml").read_text()

    assert ended(desk, page, "verify", engine="mouse-1", frames="mouse") in ("done", "failed")
    known = page.get("/api/page/engine", params={"name": "mouse-1"}).json()
    assert len(known["parity"]) == 1
    assert json.dumps(known)


@pytest.mark.timeout(900)
def test_doubtful_labels_are_asked_about_before_time_is_spent(
    desk: Desk, page: TestClient, lab: Path
) -> None:
    begin(desk, page, lab)
    label(desk.folder, still=True)
    assert ended(desk, page, "go", folder="mouse-learn", drop=["extra"], heed=True) == "done"
    assert desk.jobs.list()[0].code == 23
    way = page.get("/api/page/way", params={"folder": "mouse-learn"}).json()
    attempt = way["attempts"][0]
    assert (way["next"], attempt["begun"], attempt["report"]) == ("adapt", False, None)
    (alike,) = [line for line in attempt["check"]["serious"] if "in all its 9 labels" in line]
    assert all(name in alike for name in NAMES[:2]), "one line for all of them"
    assert "in all its" not in desk.jobs.output(desk.jobs.list()[0].id), "the page shows it"

    ended(desk, page, "go", folder="mouse-learn")
    way = page.get("/api/page/way", params={"folder": "mouse-learn"}).json()
    assert way["attempts"][0]["begun"], "asked again it is not stopped again"


@pytest.mark.parametrize(
    ("what", "said", "text"),
    [
        ("begin", {"folder": "x"}, "name a recording"),
        ("begin", {"folder": "../x", "videos": ["mouse"]}, "outside"),
        ("begin", {"folder": "x", "videos": ["/etc"]}, "outside"),
        ("begin", {"folder": "--yes", "videos": ["mouse"]}, "hyphen"),
        ("begin", {"folder": "x", "videos": ["mouse"], "engine": "--overwrite"}, "no engine's name"),
        ("begin", {"folder": "x", "videos": ["mouse"], "count": 0}, "count"),
        ("begin", {"folder": "x", "videos": "mouse"}, "list"),
        ("begin", {"folder": "mouse", "videos": ["mouse"]}, "mouse-2 is free"),
        ("begin", {"folder": "x", "videos": ["mouse"], "name": "begun"}, "begun-1 is free"),
        ("go", {"folder": "mouse"}, "begun"),
        ("export", {"engine": "begun"}, "frames is missing"),
        ("export", {"engine": "-x", "frames": "mouse"}, "no engine's name"),
        ("verify", {"engine": "begun", "frames": "../../etc"}, "outside"),
        ("use", {"rig": "rig.yaml", "engine": "x", "token": 3}, "token"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    desk: Desk, page: TestClient, what: str, said: dict[str, Any], text: str
) -> None:
    answer = page.post(f"/api/page/{what}", json=said)
    assert answer.status_code == 400
    assert text in answer.json()["error"]["text"]
    assert desk.jobs.list() == []


def test_a_file_of_another_program_is_no_way(desk: Desk, page: TestClient) -> None:
    (desk.folder / "other").mkdir()
    (desk.folder / "other" / "start.json").write_text('{"a": 1}')
    (desk.folder / "torn").mkdir()
    (desk.folder / "torn" / "start.json").write_text('{"videos": []')
    (found,) = page.get("/api/page/ways").json()["ways"]
    assert found["folder"] == "torn"
    assert "cannot be read" in found["fault"]

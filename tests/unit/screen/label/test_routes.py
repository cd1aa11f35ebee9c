"""``/api/label`` as a browser uses it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from rtface.core.errors import RtfaceError
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelling_folder import CHOSEN_FILE
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.labels.reading import read_labels
from rtface.screen.app import _refused
from rtface.screen.desk import Desk
from rtface.screen.jobs import Jobs
from rtface.screen.label.guesses import GUESSES
from rtface.screen.label.opening import copy_to_label
from rtface.screen.label.project import JOURNAL
from rtface.screen.label.routes import routes
from rtface.track.store import MANIFEST_FILE

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)


class Page:
    """A page: requests, and what it knows."""

    def __init__(self, client: TestClient, who: str) -> None:
        self._client, self.who, self._acts = client, who, 0
        self.n = 0
        self.values: dict[tuple[str, ...], Any] = {}
        self.undo = self.redo = False

    def take(self, news: dict[str, Any]) -> dict[str, Any]:
        self.n, self.undo, self.redo = news["n"], news["undo"], news["redo"]
        for key, value, _ in news["values"]:
            self.values[tuple(key)] = value
        return news

    def look(self) -> dict[str, Any]:
        return self.take(self.get("since", set="set", n=self.n, who=self.who))

    def get(self, path: str, **fields: Any) -> dict[str, Any]:
        answer = self._client.get(f"/api/label/{path}", params=fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def post(self, path: str, **fields: Any) -> dict[str, Any]:
        answer = self._client.post(f"/api/label/{path}", json=fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def refused(self, path: str, **fields: Any) -> str:
        answer = self._client.post(f"/api/label/{path}", json=fields)
        assert answer.status_code == 400, answer.text
        return str(answer.json()["error"]["text"])

    def do(self, path: str, **fields: Any) -> dict[str, Any]:
        self._acts += 1
        return self.take(
            self.post(path, set="set", who=self.who, n=self.n, id=f"{self.who}-{self._acts}", **fields)
        )

    def place(self, frame: str, point: str, x: float) -> None:
        value = {"x": x, "y": 5, "from": "hand"}
        self.do("act", do="place", changes=[[["label", "first", frame, point], value]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    empty = np.full((2, 2), np.nan, np.float32)
    frames = tuple(LabelledFrame(f"{name}.png", "day1", PICTURE, empty) for name in "abc")
    write_table(LabelSet(("nose", "paw"), frames), tmp_path / "old")
    return tmp_path


@contextmanager
def served(folder: Path) -> Iterator[TestClient]:
    app = Starlette(
        routes=[Mount("/api/label", routes=routes(Desk(folder, Jobs(folder))))],
        exception_handlers={RtfaceError: _refused},
    )
    with TestClient(app) as client:
        yield client


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with served(folder) as client:
        yield client


@pytest.fixture
def pages(client: TestClient, folder: Path) -> tuple[Page, Page]:
    anna, bert = Page(client, "anna"), Page(client, "bert")
    copy_to_label(folder / "old", folder / "set", "anna")
    for each in (anna, bert):
        each.look()
    return anna, bert


def test_two_browsers_see_each_others_labels_and_the_later_wins(pages: tuple[Page, Page]) -> None:
    anna, bert = pages
    anna.place("f1", "p1", 3)
    bert.place("f2", "p1", 4)  # the answer brings what others did meanwhile
    assert bert.values["label", "first", "f1", "p1"]["x"] == 3
    bert.place("f1", "p1", 9)
    anna.look()
    assert anna.values["label", "first", "f1", "p1"]["x"] == 9
    assert (anna.undo, anna.redo) == (True, False)
    keys = anna.do("turn", do="undo")["keys"]
    assert keys == [["label", "first", "f1", "p1"]]
    assert anna.values["label", "first", "f1", "p1"]["x"] == 9
    assert (anna.undo, anna.redo) == (False, True)
    assert anna.values == {**bert.values, **anna.values}


def test_an_act_is_on_the_disk_before_the_answer(pages: tuple[Page, Page], folder: Path) -> None:
    pages[0].place("f1", "p1", 3)
    line = json.loads((folder / "set" / JOURNAL).read_text().splitlines()[-1])
    assert (line["who"], line["do"], line["id"]) == ("anna", "place", "anna-1")


def test_an_act_that_is_sent_again_after_a_lost_answer_counts_once(pages: tuple[Page, Page]) -> None:
    anna, _ = pages
    act = {
        "set": "set",
        "who": "anna",
        "n": 0,
        "id": "x-1",
        "do": "skip",
        "changes": [[["skip", "f1"], True]],
    }
    first = anna.post("act", **act)
    assert anna.post("act", **act)["n"] == first["n"]


def test_images_come_as_they_are(pages: tuple[Page, Page], client: TestClient) -> None:
    answer = client.get("/api/label/image", params={"set": "set", "frame": "f2"})
    assert answer.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(
        cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED), PICTURE
    )
    assert client.get("/api/label/image", params={"set": "set", "frame": "f9"}).status_code == 400


def test_labels_come_out_and_what_somebody_changed_is_said(pages: tuple[Page, Page], folder: Path) -> None:
    anna, _ = pages
    anna.place("f1", "p1", 3)
    assert anna.post("write", set="set", who="anna")["labels"] == 1
    assert read_labels(folder / "set").labels == 1
    assert anna.post("deeplabcut", set="set", who="anna", scorer="lab")["frames"] == 1
    table = folder / "set" / "labels.csv"
    table.write_text(table.read_text().replace("3.0", "4.0"))
    assert anna.look()["changed_outside"]
    anna.place("f2", "p1", 3)
    assert "changed outside" in anna.refused("write", set="set", who="anna")
    assert anna.post("take", set="set", who="anna") == {"changed": 1}
    assert not anna.look()["changed_outside"]
    assert anna.values["label", "first", "f1", "p1"]["x"] == 4


def test_what_there_is_to_label_is_listed(pages: tuple[Page, Page], folder: Path) -> None:
    (folder / "day1.mp4").write_bytes(b"")
    (folder / "dlc" / "labeled-data").mkdir(parents=True)
    (folder / "dlc" / "config.yaml").write_text("bodyparts: [nose]\n")
    pages[0].place("f1", "p1", 3)
    found = pages[0].get("sets")
    assert found["sets"] == [{"set": "set", "frames": 3, "points": 2, "seen": 1, "begun": 1}]
    assert found["projects"] == ["dlc", "old"]
    assert found["recordings"] == ["day1.mp4"]
    assert any("nose(tip)" in each["points"] for each in found["engines"])


def test_a_set_that_is_damaged_is_listed_with_its_error(pages: tuple[Page, Page], folder: Path) -> None:
    pages[0].place("f1", "p1", 3)
    journal = folder / "set" / JOURNAL
    journal.write_bytes(journal.read_bytes().replace(b'"do": "start"', b'"do": "smart"', 1))
    with served(folder) as client:
        found = Page(client, "anna").get("sets")["sets"]
    assert found[0]["set"] == "set"
    assert "line 1 is damaged" in found[0]["error"]


def test_doubts_agreement_and_guesses(pages: tuple[Page, Page], folder: Path) -> None:
    anna, bert = pages
    anna.place("f1", "p1", 3)
    anna.place("f1", "p2", 3)
    assert [each["why"] for each in anna.get("doubts", set="set")["doubts"]] == ["same"]
    bert.do("act", do="place", changes=[[["label", "second", "f1", "p1"], {"x": 6, "y": 9, "from": "hand"}]])
    found = anna.get("agreement", set="set")
    assert found["pairs"] == [{"frame": "f1", "point": "p1", "px": 5.0}]
    assert anna.get("guesses", set="set")["points"] == {}
    kept = {"engine": "e", "engine_sha256": "", "crop": None, "points": {"f1": {"p1": [1, 2, 0.9]}}}
    (folder / "set" / GUESSES).write_text(json.dumps(kept))
    assert anna.get("guesses", set="set")["points"] == {"f1": {"p1": [1.0, 2.0, 0.9]}}
    assert anna.post("write", set="set", who="anna")["labels"] == 2  # a guess is no label


def test_a_live_frame_is_caught_once_and_whole(pages: tuple[Page, Page], folder: Path) -> None:
    anna, _ = pages
    jpeg = cv2.imencode(".jpg", PICTURE)[1].tobytes()
    said = {"rig": "rig 1", "session": "ab/../c", "frame_id": 7, "width": 30, "height": 20}
    found = anna.do("catch", picture=base64.b64encode(jpeg).decode(), **said)
    assert (found["frame"], "JPEG" in found["stored"]) == ("f4", True)
    value = anna.values["frame", "f4"]
    assert value["from"] == {"live": "rig 1", "session": "ab/../c", "frame": 7, "lossy": True}
    stored = (folder / "set" / value["file"]).resolve()
    assert stored.is_relative_to(folder / "set" / "frames")
    np.testing.assert_array_equal(
        cv2.imread(str(stored), cv2.IMREAD_UNCHANGED), cv2.imdecode(np.frombuffer(jpeg, np.uint8), 0)
    )
    common = {"set": "set", "who": "anna", "n": 0, "id": "q"}
    assert "already" in anna.refused("catch", **common, picture=base64.b64encode(jpeg).decode(), **said)
    scaled = {**said, "frame_id": 8, "width": 60, "height": 40}
    assert "at full size" in anna.refused(
        "catch", **common, picture=base64.b64encode(jpeg).decode(), **scaled
    )
    for wrong in ("", "###", base64.b64encode(b"GIF89a").decode(), base64.b64encode(jpeg[:60]).decode()):
        anna.refused("catch", **common, picture=wrong, **{**said, "frame_id": 9})


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("act", {"set": "../x", "who": "a", "id": "1", "do": "place", "changes": []}, "outside"),
        ("act", {"set": "old", "who": "a", "id": "1", "do": "place", "changes": []}, "open it first"),
        ("act", {"set": "set", "who": "a", "id": "1", "do": "place", "changes": {}}, "changes is a list"),
        ("act", {"set": "set", "who": "a", "id": "1 2", "do": "place", "changes": []}, "id:"),
        ("act", {"set": "set", "who": 3, "id": "1", "do": "place", "changes": []}, "who is a text"),
        ("turn", {"set": "set", "who": "a", "id": "1", "do": "place"}, "neither undo nor redo"),
        ("copy", {"source": "old", "out": "/tmp/x", "who": "a"}, "outside"),
        ("copy", {"source": "gone", "out": "x", "who": "a"}, "is not there"),
        ("copy", {"source": "old", "out": "old", "who": "a"}, "old-2 is free"),
        ("suggest", {"videos": [], "out": "x", "count": 3}, "name a recording"),
        ("suggest", {"videos": ["v.mp4"], "out": "x", "count": 0}, "count"),
        ("suggest", {"videos": ["v.mp4"], "out": "x", "count": 3, "crop": "--out"}, "a crop is"),
        ("suggest", {"videos": ["v.mp4"], "out": "set", "count": 3}, "set-2 is free"),
        ("guess", {"set": "set", "engine": "no-such"}, "no engine"),
    ],
)
def test_what_is_wrong_is_named(
    pages: tuple[Page, Page], path: str, fields: dict[str, Any], message: str
) -> None:
    assert message in pages[0].refused(path, **fields)


def test_one_damaged_engine_hides_nothing_else(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    (tmp_path / "engines" / "broken").mkdir(parents=True)
    (tmp_path / "engines" / "broken" / MANIFEST_FILE).write_text("{", encoding="utf-8")
    answer = client.get("/api/label/sets")
    assert answer.status_code == 200, answer.text
    names = [each["engine"] for each in answer.json()["engines"]]
    assert names
    assert "broken" not in names


def test_the_face_that_frames_were_chosen_with_is_known_and_a_drawn_face_has_the_keypoints(
    pages: tuple[Page, Page], client: TestClient, folder: Path
) -> None:
    anna, _ = pages
    assert anna.get("about", set="set")["face"] is None
    chosen = json.loads((folder / "set" / CHOSEN_FILE).read_text())
    crop = {"x": 1, "y": 2, "width": 20, "height": 15, "mirrored": False}
    (folder / "set" / CHOSEN_FILE).write_text(json.dumps(chosen | {"crop": crop}))
    assert anna.get("about", set="set")["face"] == crop
    drawn = anna.get("where")
    assert set(drawn["points"]) == set(FACEMAP_KEYPOINTS)
    assert all(0 <= x < drawn["width"] and 0 <= y < drawn["height"] for x, y in drawn["points"].values())
    png = np.frombuffer(client.get("/api/label/where.png").content, np.uint8)
    assert cv2.imdecode(png, cv2.IMREAD_GRAYSCALE).shape == (drawn["height"], drawn["width"])

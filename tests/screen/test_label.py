"""The label page in a browser: ten frames by keys and mouse, a browser that is killed, two on one set, undo after a reload."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from selenium import webdriver
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from support.job_waits import long_until
from support.screens import BROWSER_PROCESSES, Visit, served
from support.waits import wait_until

from bench.screen.browser import new_browser
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.labels.reading import read_labels
from rtface.live.service import Service
from rtface.screen.label.guesses import GUESSES
from rtface.screen.label.opening import copy_to_label
from rtface.screen.label.project import JOURNAL, LabelProject

POINTS = ("nose", "eye", "paw")
SIZE = (320, 240)


def face(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray[Any, Any]:
    noise = (
        np.random.default_rng(seed).normal(90, 25, (size[1] // 8, size[0] // 8)).clip(0, 255).astype(np.uint8)
    )
    return cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)


def make_set(folder: Path, frames: int = 10, size: tuple[int, int] = SIZE) -> LabelProject:
    empty = np.full((len(POINTS), 2), np.nan, np.float32)
    made = tuple(LabelledFrame(f"frame{at:06d}.png", "day1", face(at, size), empty) for at in range(frames))
    write_table(LabelSet(POINTS, made), folder / "old")
    copy_to_label(folder / "old", folder / "set", "anna")
    return LabelProject(folder / "set")


class Bench:
    """The workbench of the set in one browser."""

    def __init__(self, visit: Visit, who: str = "anna", size: tuple[int, int] = SIZE) -> None:
        self.visit, self._size = visit, size
        visit.enter("label")
        visit.run("localStorage.setItem('who', arguments[0])", who)
        visit.errors()  # those of the page that was open before, whose screen has ended
        self.open()

    def open(self) -> None:
        self.visit.go("label", set="set")
        self.frame("f1")

    def frame(self, name: str) -> None:
        self.visit.wait(
            lambda: self.visit.run("return document.querySelector('.stage')?.dataset.frame") == name, name
        )

    def place(self, x: float, y: float) -> None:
        self.mouse((x, y))

    def drag(self, one: tuple[float, float], other: tuple[float, float], *, release: bool = True) -> None:
        self.mouse(one, other, release=release)

    def mouse(self, *places: tuple[float, float], release: bool = True) -> None:
        """Press at the first place, in pixels of the frame, move over the others, and let go."""
        actions = ActionBuilder(self.visit.browser, duration=0)
        pointer = actions.pointer_action
        pointer.move_to_location(*self.shown_at(*places[0])).pointer_down()
        for place in places[1:]:
            pointer.move_to_location(*self.shown_at(*place))
        if release:
            pointer.pointer_up()
        actions.perform()

    def shown_at(self, x: float, y: float) -> tuple[int, int]:
        """Return where a pixel of the frame is in the window, to a whole pixel, while all of the frame is shown."""
        left, top, width, height = self.box()
        scale = min(width / self._size[0], height / self._size[1])
        return (
            round(left + width / 2 + (x + 0.5 - self._size[0] / 2) * scale),
            round(top + height / 2 + (y + 0.5 - self._size[1] / 2) * scale),
        )

    def box(self) -> list[float]:
        """Return the canvas' left, top, width and height."""
        return list(
            self.visit.run(
                "const b = document.querySelector('.stage').getBoundingClientRect(); return [b.left, b.top, b.width, b.height]"
            )
        )

    def saved(self) -> None:
        self.visit.wait(lambda: self.visit.text(".bench .badge") == "all saved", "all is saved")

    def keys(self, *keys: str) -> None:
        self.visit.press(*keys)

    def chosen(self) -> str:
        return self.visit.text(".point.chosen .name")


@pytest.fixture
def visit(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Visit]:
    """A browser on a screen whose rig does not run: labelling needs none, and the browser has the processor."""
    with served(tmp_path) as screen:
        yield Visit(browser, screen)


@pytest.fixture
def project(tmp_path: Path) -> LabelProject:
    return make_set(tmp_path)


@pytest.fixture
def bench(visit: Visit, project: LabelProject) -> Bench:
    return Bench(visit)


def labels(project: LabelProject, labels_of: str = "first") -> dict[tuple[str, str], Any]:
    again = LabelProject(project.folder)
    return {place: found.value for place, found in again.labels(labels_of).items()}


def test_ten_frames_are_labelled_with_keys_and_mouse(bench: Bench, project: LabelProject) -> None:
    visit = bench.visit
    for at in range(10):
        bench.frame(f"f{at + 1}")
        assert bench.chosen() == "nose"
        for place in ((40 + at, 50), (200, 60 + at), (150, 180)):
            bench.place(*place)
        if at < 9:
            bench.keys("d")
    bench.saved()
    found = labels(project)
    assert len(found) == 30
    for at in range(10):
        for point, (x, y) in zip(
            ("p1", "p2", "p3"), ((40 + at, 50), (200, 60 + at), (150, 180)), strict=True
        ):
            label = found[f"f{at + 1}", point]
            assert (label["x"], label["y"]) == pytest.approx((x, y), abs=0.6)  # half a pixel of the page
    assert "10 of 10 frames, 30 of 30 points" in visit.text(".tools")
    visit.wait(lambda: read_labels(project.folder, unlabelled=True).labels == 30, "the csv is whole")
    assert visit.errors() == []


def test_every_key_does_what_it_says(bench: Bench, project: LabelProject) -> None:
    bench.place(40, 50)
    assert bench.chosen() == "eye"
    bench.keys("q")  # hidden
    assert bench.chosen() == "paw"
    bench.keys("w", "w")
    assert bench.chosen() == "nose"
    bench.keys("arrow_right", "arrow_down")
    bench.keys("d", "c")  # the next frame: a copy of the nose
    bench.frame("f2")
    bench.keys("3")
    bench.place(100, 100)
    bench.drag((100, 100), (120, 110))
    bench.keys("t", "d", "t", "t")
    bench.saved()
    found = labels(project)
    assert (found["f1", "p1"]["x"], found["f1", "p1"]["y"]) == pytest.approx((40.5, 50.5), abs=0.6)
    assert found["f1", "p2"] == {"hidden": True}
    assert found["f2", "p1"] == {**found["f1", "p1"], "from": "copy"}
    assert (found["f2", "p3"]["x"], found["f2", "p3"]["y"]) == pytest.approx((120, 110), abs=1.2)
    assert [each.frame for each in LabelProject(project.folder).frames(skipped=False)] == [
        "f1",
        *(f"f{at}" for at in range(3, 11)),
    ]
    bench.keys("a", "3", "x")
    bench.saved()
    assert ("f2", "p3") not in labels(project)
    bench.keys("d", "1", "p", "arrow_left", "arrow_up")  # without a mouse
    bench.saved()
    assert labels(project)["f3", "p1"] == {
        "x": found["f2", "p1"]["x"] - 0.5,
        "y": found["f2", "p1"]["y"] - 0.5,
        "from": "hand",
    }
    bench.keys("e")
    assert bench.visit.errors() == []


def test_one_key_copies_all_points_of_the_frame_before_the_hidden_ones_too(
    bench: Bench, project: LabelProject
) -> None:
    bench.place(40, 50)
    bench.keys("q")
    bench.keys("d", "3")
    bench.frame("f2")
    bench.place(100, 100)
    bench.keys("a")
    bench.frame("f1")
    bench.keys("3", "q", "d", "j")
    bench.frame("f2")
    bench.saved()
    found = labels(project)
    assert found["f2", "p1"] == {**found["f1", "p1"], "from": "copy"}
    assert (found["f1", "p2"], found["f2", "p2"]) == ({"hidden": True},) * 2
    assert found["f2", "p3"]["from"] == "hand", "what was placed here stays"
    bench.keys("z")
    bench.saved()
    assert [point for frame, point in labels(project) if frame == "f2"] == ["p3"], "one act, one undo"
    bench.keys("a")
    bench.frame("f1")
    bench.keys("j")
    bench.visit.wait(lambda: "none before it" in bench.visit.text(".bench"), "words")


HOLD_BACK = """
const real = window.fetch;
window.fetch = (to, ...more) => String(to).includes("/label/turn")
  ? new Promise((done) => { window.letGo = () => done(real(to, ...more)); })
  : real(to, ...more);
"""


def test_an_undo_that_is_answered_late_does_not_lead_back_to_a_frame_that_was_left(
    bench: Bench, project: LabelProject
) -> None:
    bench.place(40, 50)
    bench.keys("d")
    bench.frame("f2")
    bench.place(100, 100)
    bench.saved()
    bench.visit.run(HOLD_BACK)
    bench.keys("z")
    bench.visit.wait(lambda: bench.visit.run("return !!window.letGo"), "the undo is on its way")
    bench.keys("a")
    bench.frame("f1")
    bench.visit.run("window.letGo()")
    bench.saved()
    assert {frame for frame, _ in labels(project)} == {"f1"}
    bench.frame("f1")


def test_guesses_take_the_crop_that_was_drawn(visit: Visit, tmp_path: Path) -> None:
    """The rig's crop comes before all others; then that of the last guesses, then that with which the frames were chosen."""
    learning = make_set(tmp_path / "rig-learn").folder
    chosen = {"x": 2, "y": 4, "width": 100, "height": 80, "mirrored": False}
    kept = json.loads((learning / "chosen.json").read_text())
    (learning / "chosen.json").write_text(json.dumps({**kept, "crop": chosen}))
    name = str(learning.relative_to(tmp_path))

    def offered() -> str:
        visit.browser.refresh()
        visit.go("label", set=name)
        visit.click("Guess …")
        visit.wait(lambda: visit.find("dialog[open] input"), "the question")
        return str(visit.run("return document.querySelector('dialog[open] input').value"))

    visit.enter()
    visit.run("localStorage.setItem('who', 'anna')")
    assert offered() == "2,4,100,80"
    (tmp_path / "rig.yaml").write_text(
        "camera: {kind: simulated}\ncrop: {x: 10, y: 20, width: 120, height: 90, mirrored: true}\n"
    )
    assert offered() == "10,20,120,90,mirrored"
    assert "that of rig.yaml" in visit.text("dialog[open]")


def test_zoom_keeps_the_place_to_a_part_of_a_pixel(bench: Bench, project: LabelProject) -> None:
    bench.place(160, 120)
    bench.keys("1", "g")  # zoomed to it: it is in the middle of the canvas
    left, top, width, height = bench.box()
    actions = ActionBuilder(bench.visit.browser, duration=0)
    actions.pointer_action.move_to_location(round(left + width / 2) + 40, round(top + height / 2)).click()
    actions.perform()
    bench.saved()
    moved = labels(project)["f1", "p1"]
    scale = 4 * min(width / SIZE[0], height / SIZE[1])
    assert (moved["x"], moved["y"]) == pytest.approx((160 + 40 / scale, 120), abs=0.7)


def test_undo_and_redo_cross_a_reload(bench: Bench, project: LabelProject) -> None:
    for place in ((40, 50), (60, 70), (80, 90)):
        bench.place(*place)
    bench.keys("d")
    bench.frame("f2")
    bench.place(30, 30)
    bench.saved()
    bench.visit.browser.refresh()
    bench.frame("f2")
    for left in (3, 2, 1, 0):
        bench.keys("z")
        bench.visit.wait(lambda left=left: len(labels(project)) == left, f"{left} left")
    bench.frame("f1")
    for there in (1, 2, 3, 4):
        bench.keys("y")
        bench.visit.wait(lambda there=there: len(labels(project)) == there, f"{there} there")
    journal = (project.folder / JOURNAL).read_text().splitlines()
    assert [json.loads(line)["do"] for line in journal if '"undo"' in line or '"redo"' in line] == [
        "undo"
    ] * 4 + ["redo"] * 4


def test_guesses_are_no_labels_until_they_are_confirmed(visit: Visit, project: LabelProject) -> None:
    points = {"f1": {"p1": [50, 60, 0.9], "p2": [200, 100, 0.8]}, "f2": {"p1": [51, 61, 0.9]}}
    (project.folder / GUESSES).write_text(
        json.dumps({"engine": "net", "engine_sha256": "", "crop": None, "points": points})
    )
    bench = Bench(visit)
    visit.wait(lambda: "90 %" in visit.text(".point.chosen"), "the guess is shown")
    bench.keys("d", "a")
    bench.frame("f1")
    assert labels(project) == {}
    bench.keys("1", "f")
    bench.saved()
    assert labels(project) == {("f1", "p1"): {"x": 50.0, "y": 60.0, "from": "guess", "engine": "net"}}
    assert bench.chosen() == "eye"
    bench.drag((200, 100), (190, 110))  # one that is dragged is placed by hand
    bench.saved()
    found = labels(project)["f1", "p2"]
    assert (found["x"], found["y"], found["from"]) == (
        pytest.approx(190, abs=1.2),
        pytest.approx(110, abs=1.2),
        "hand",
    )
    visit.wait(
        lambda: read_labels(project.folder, unlabelled=True).labels == 2,
        "the csv has what was confirmed alone",
    )


def test_f_goes_on_to_the_next_guess_and_the_next_frame(visit: Visit, project: LabelProject) -> None:
    points = {"f1": {"p1": [50, 60, 0.9], "p3": [150, 180, 0.8]}, "f2": {"p1": [51, 61, 0.9]}}
    (project.folder / GUESSES).write_text(
        json.dumps({"engine": "net", "engine_sha256": "", "crop": None, "points": points})
    )
    bench = Bench(visit)
    visit.wait(lambda: "90 %" in visit.text(".point.chosen"), "the guess is shown")
    bench.keys("f")
    assert bench.chosen() == "eye", "of which nothing is offered"
    bench.keys("f")
    assert bench.chosen() == "paw"
    bench.saved()
    assert list(labels(project)) == [("f1", "p1")], "what comes into hand was not looked at yet"
    bench.keys("f", "f")
    assert "Nothing more is offered" in visit.text(".bench .said")
    bench.keys("2", "q", "f")
    bench.frame("f2")
    assert bench.chosen() == "nose"
    bench.saved()
    assert set(labels(project)) == {("f1", "p1"), ("f1", "p2"), ("f1", "p3")}


def test_a_set_opens_at_the_face_where_its_crop_is_known(visit: Visit, project: LabelProject) -> None:
    crop = {"x": 100, "y": 60, "width": 101, "height": 101, "mirrored": False}
    (project.folder / GUESSES).write_text(
        json.dumps({"engine": "net", "engine_sha256": "", "crop": crop, "points": {}})
    )
    bench = Bench(visit)
    left, top, width, height = bench.box()
    middle = [round(left + width / 2), round(top + height / 2)]

    def click(x: int, y: int) -> None:
        actions = ActionBuilder(visit.browser, duration=0)
        actions.pointer_action.move_to_location(x, y).click()
        actions.perform()

    click(middle[0], middle[1])
    click(middle[0] + 60, middle[1])
    bench.keys("h")  # all of the frame
    bench.place(300, 200)
    bench.saved()
    found = labels(project)
    assert (found["f1", "p1"]["x"], found["f1", "p1"]["y"]) == (
        pytest.approx(150, abs=0.7),
        pytest.approx(110, abs=0.7),
    )
    scale = min(width, height) / (1.2 * 101)
    assert found["f1", "p2"]["x"] - found["f1", "p1"]["x"] == pytest.approx(60 / scale, abs=0.7)
    assert found["f1", "p3"]["x"] == pytest.approx(300, abs=0.6)


def test_where_the_keypoint_in_hand_is_is_shown_on_a_drawn_face(visit: Visit, tmp_path: Path) -> None:
    empty = np.full((2, 2), np.nan, np.float32)
    frame = LabelledFrame("a.png", "day1", face(0), empty)
    write_table(LabelSet(("nose(tip)", "tail"), (frame,)), tmp_path / "old")
    copy_to_label(tmp_path / "old", tmp_path / "set", "anna")
    bench = Bench(visit)
    where = "return document.querySelector('canvas.where').getAttribute('aria-label') ?? ''"
    visit.wait(lambda: visit.run(where) == "nose(tip), on a drawn face.", "the face")
    bench.keys("2")
    assert "tail is not one" in visit.run(where)


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Any]:
    """Another browser, with a profile of its own."""
    browser = new_browser(tmp_path / "second-profile")
    yield browser
    browser.quit()


def test_two_browsers_label_one_set(bench: Bench, project: LabelProject, second: Any) -> None:
    other = Bench(Visit(second, bench.visit.screen), "bert")
    bench.place(40, 50)
    other.visit.wait(lambda: other.visit.text(".point .state") == "●", "the other sees it")
    other.keys("2")
    other.place(200, 60)
    bench.visit.wait(lambda: "2 of 30 points" in bench.visit.text(".tools"), "and the first sees the other's")
    other.keys("1")
    other.place(90, 95)  # the later wins
    other.saved()
    bench.visit.wait(
        lambda: "here placed by bert" in bench.visit.run("return document.querySelector('.point').title"),
        "who",
    )
    bench.keys("z")  # takes nothing of the other's
    bench.saved()
    assert labels(project)["f1", "p1"]["x"] == pytest.approx(90, abs=0.6)


def test_an_answer_that_was_overtaken_by_a_newer_one_changes_nothing(visit: Visit) -> None:
    visit.enter("label")
    found = visit.browser.execute_async_script(
        """
        const done = arguments[0];
        import("/static/pages/label/store.js").then(({ LabelStore }) => {
          const store = new LabelStore({ who: "ann", say: () => {} }, "set");
          const news = (n, x) => ({
            n, all: false, undo: n > 6, redo: false,
            values: [[["label", "first", "f1", "p1"], { x, y: 1, from: "hand" }, "bert"]],
          });
          store.take(news(7, 2), []);
          store.take(news(6, 1), []);
          done([store.label("first", "f1", "p1").x, store.n, store.undo]);
        });
        """
    )
    assert found == [2, 7, True]


def test_what_is_placed_right_before_the_page_is_left_is_in_the_journal_and_in_the_table(
    bench: Bench, project: LabelProject
) -> None:
    visit = bench.visit
    visit.run(
        """
        const real = window.fetch;
        window.fetch = async (path, options) => {
          if (String(path).includes("/act")) await new Promise((resolve) => setTimeout(resolve, 300));
          return real(path, options);
        };
        """
    )
    for place in ((40, 50), (60, 70), (80, 90)):
        bench.place(*place)
    visit.go("sessions")
    visit.wait(lambda: len(labels(project)) == 3, "all of them came")
    visit.wait(lambda: read_labels(project.folder, unlabelled=True).labels == 3, "the table has them too")


def has_ended(process: psutil.Process) -> bool:
    """Whether a process runs no more, though nobody may have asked how it ended."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_a_browser_that_is_killed_in_mid_label_loses_nothing(
    visit: Visit, project: LabelProject, tmp_path: Path
) -> None:
    browser = new_browser(tmp_path / "doomed")
    process = psutil.Process(browser.service.process.pid)
    try:
        bench = Bench(Visit(browser, visit.screen))
        for place in ((40, 50), (60, 70)):
            bench.place(*place)
        bench.saved()
        bench.drag((60, 70), (100, 100), release=False)
    finally:
        family = [each for each in process.children(recursive=True) if each.name() in BROWSER_PROCESSES]
        for each in family:
            each.send_signal(signal.SIGKILL)
        wait_until(lambda: all(map(has_ended, family)))
        browser.service.stop()
    found = labels(project)
    assert found["f1", "p1"]["x"] == pytest.approx(40, abs=0.6)
    assert found["f1", "p2"]["x"] == pytest.approx(60, abs=0.6)
    again = Bench(visit)
    assert again.chosen() == "paw"
    assert "2 of 30 points" in visit.text(".tools")


def test_what_could_not_be_sent_waits_and_is_sent_by_the_page_that_comes_after(
    bench: Bench, project: LabelProject
) -> None:
    browser = bench.visit.browser
    browser.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    bench.place(40, 50)
    bench.place(60, 70)
    bench.visit.wait(lambda: "2 not saved yet" in bench.visit.text(".bench .badge"), "it says so")
    assert labels(project) == {}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", {**offline, "offline": False})
    browser.refresh()
    bench.frame("f1")
    bench.saved()
    bench.visit.wait(lambda: len(labels(project)) == 2, "both came")
    bench.visit.errors()


def test_a_second_pass_is_blind_and_is_compared(bench: Bench, project: LabelProject) -> None:
    visit = bench.visit
    bench.place(40, 50)
    visit.run(
        "const s = document.querySelector('.tools select'); s.value = 'second'; s.dispatchEvent(new Event('change'))"
    )
    visit.wait(lambda: visit.text(".point .state") == "", "the first pass's label is not shown")
    bench.keys("1")
    bench.place(43, 54)
    bench.saved()
    assert labels(project, "second")["f1", "p1"]["x"] == pytest.approx(43, abs=0.6)
    assert labels(project)["f1", "p1"]["x"] == pytest.approx(40, abs=0.6)
    visit.click("Agreement")
    visit.wait(lambda: "nose" in visit.text("dialog") and "px: nose" in visit.text("dialog"), "the agreement")
    assert visit.errors() == []


def test_keypoints_are_added_and_renamed(bench: Bench, project: LabelProject) -> None:
    visit = bench.visit
    bench.place(40, 50)
    visit.click("Add a keypoint")
    visit.press(*"tongue", "enter")
    visit.wait(lambda: "tongue" in visit.text(".point-list"), "it is there")
    visit.run("document.querySelector('[aria-label=\"Rename nose\"]').click()")
    visit.press(*"snout", "enter")
    visit.wait(lambda: "snout" in visit.text(".point-list"), "it has the name")
    bench.saved()
    assert list(LabelProject(project.folder).points().values()) == ["snout", "eye", "paw", "tongue"]
    assert ("f1", "p1") in labels(project)


def test_frames_of_five_megapixels(visit: Visit, tmp_path: Path) -> None:
    size = (2592, 1944)
    project = make_set(tmp_path, frames=3, size=size)
    bench = Bench(visit, size=size)
    bench.place(2000, 1500)
    bench.keys("d")
    bench.frame("f2")
    bench.saved()
    assert labels(project)["f1", "p1"]["x"] == pytest.approx(2000, abs=0.5 * size[1] / bench.box()[3] + 0.1)
    assert visit.errors() == []


def test_an_old_project_is_carried_on_from_the_start_page(visit: Visit, tmp_path: Path) -> None:
    make_set(tmp_path)
    shutil.rmtree(tmp_path / "set")
    visit.enter("label")
    visit.run("localStorage.setItem('who', 'anna')")
    visit.wait(lambda: visit.find("input[list=old-projects]"), "the form")
    visit.run(
        "const i = document.querySelector('input[list=old-projects]'); i.value = 'old'; i.dispatchEvent(new Event('change'));"
    )
    visit.click("Carry on in a copy")
    long_until(lambda: visit.find(".stage[data-frame=f1]"))
    assert LabelProject(tmp_path / "old-labels").points() == {"p1": "nose", "p2": "eye", "p3": "paw"}


def test_live_frames_are_caught_by_key(
    browser: webdriver.Chrome, service: Service, project: LabelProject, tmp_path: Path
) -> None:
    with served(tmp_path, service) as screen:
        visit = Visit(browser, screen)
        bench = Bench(visit)
        bench.keys("l")
        visit.wait(lambda: "of 320×240" in visit.text(".live-catch"), "a live picture")
        bench.keys("k")
        bench.frame("f11")
        frame = LabelProject(project.folder).frame("f11")
        assert (frame.width, frame.height) == (320, 240)
        assert (project.folder / frame.file).is_file()
        assert visit.errors() == []


def test_a_guest_looks_and_changes_nothing(
    browser: webdriver.Chrome, project: LabelProject, tmp_path: Path
) -> None:
    with served(tmp_path) as screen:
        visit = Visit(browser, screen)
        browser.get(screen.new_link(read_only=True))
        visit.go("label", set="set")
        bench = Bench.__new__(Bench)
        bench.visit, bench._size = visit, SIZE
        bench.frame("f1")
        before = (project.folder / JOURNAL).read_bytes()
        bench.place(40, 50)
        bench.keys("q", "t", "x", "z")
        assert visit.text(".bench .badge") == "looking only"
        visit.wait(lambda: visit.find(".stage[data-frame]"))
        assert (project.folder / JOURNAL).read_bytes() == before


def test_another_page_leads_to_a_frame_and_a_keypoint_of_a_set_that_nobody_labelled_here(
    visit: Visit, tmp_path: Path
) -> None:
    make_set(tmp_path)
    shutil.rmtree(tmp_path / "set" / "labelling")
    visit.enter("label")
    visit.run("localStorage.setItem('who', 'anna')")
    visit.go("label", set="set", video="day1", name="frame000004.png", point="paw")
    visit.wait(lambda: visit.find(".stage[data-frame=f5]"), "the frame")
    assert visit.text(".point.chosen .name") == "paw"


def test_a_finger_places_and_two_fingers_zoom(bench: Bench, project: LabelProject) -> None:
    browser = bench.visit.browser

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(places)]
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    one, other = bench.shown_at(100, 100), bench.shown_at(180, 140)
    touch("touchStart", one)
    touch("touchStart", one, other)
    touch("touchMove", (one[0] - 30, one[1] - 30), (other[0] + 30, other[1] + 30))
    touch("touchEnd")
    bench.keys("h")
    touch("touchStart", bench.shown_at(60, 70))
    touch("touchEnd")
    bench.saved()
    found = labels(project)
    assert list(found) == [("f1", "p1")]  # the two fingers placed nothing
    assert (found["f1", "p1"]["x"], found["f1", "p1"]["y"]) == pytest.approx((60, 70), abs=0.6)


def test_the_last_label_leads_on(visit: Visit, tmp_path: Path) -> None:
    """To the rig that the frames were chosen for; else to the page Teach."""
    make_set(tmp_path, frames=1)
    (tmp_path / "mouse-learn").mkdir()
    shutil.move(tmp_path / "set", tmp_path / "mouse-learn" / "to-label")
    (tmp_path / "mouse.yaml").write_text("camera: {kind: simulated}\n", encoding="utf-8")
    visit.enter("label")
    visit.run("localStorage.setItem('who', 'anna')")
    visit.go("label", set="mouse-learn/to-label")
    visit.wait(lambda: visit.run("return document.querySelector('.stage')?.dataset.frame") == "f1", "f1")
    onward = ".onward:not([hidden]) button"
    assert not visit.find(onward)
    visit.press("q", "q", "q")
    visit.wait(lambda: visit.find(onward), "what goes on")
    assert visit.text(onward) == "Go on: teach mouse.yaml"
    visit.press("z")
    visit.wait(lambda: not visit.find(onward), "a label is missing again")
    visit.press("y")
    visit.click("Go on: teach mouse.yaml")
    visit.wait(lambda: "#/newrig?rig=mouse.yaml&step=teach" in visit.browser.current_url, "to the rig")

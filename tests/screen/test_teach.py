"""The page Teach: labels become an engine, the screen is ended and begun again meanwhile, and a rig uses the engine."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import cv2
import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import Select
from support.drawn_labels import NAMES, begun_engine, drawn
from support.job_waits import all_ended, long_until
from support.screens import Visit, axe, served
from support.spot_engine import spot_engine, spot_frames

from rtface.core.files import write_json
from rtface.core.records import Crop
from rtface.learn.guided.adapting import adapt_attempt, check_attempt
from rtface.learn.guided.start import GuidedStart, write_start
from rtface.learn.guided.way import ATTEMPT_FILE, open_way
from rtface.learn.labels.formats.table import write_table
from rtface.learn.run_folder import REPORT_FILE
from rtface.screen.jobs import Jobs
from rtface.track.store import load_engine

FEW_STEPS = """
const real = window.fetch;
window.fetch = (path, options) => real(path, String(path).endsWith("/begin")
  ? { ...options, body: JSON.stringify({ ...JSON.parse(options.body), steps: 25 }) } : options);
"""
"""Has a training that a page begins end soon: what it teaches is nothing to this test."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with labels, a rig, and an engine that was not trained at all."""
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    begun_engine(tmp_path / "engines" / "begun")
    work = tmp_path / "work"
    work.mkdir()
    write_table(drawn(9).arranged(NAMES[:2]), work / "labels")
    (work / "rig.yaml").write_text("camera: {kind: simulated} # ours\nengine: begun\n", encoding="utf-8")
    return work


@pytest.mark.timeout(900)
def test_labels_are_learnt_while_the_screen_ends_and_begins_again(
    browser: webdriver.Chrome, folder: Path
) -> None:
    with served(folder) as screen:
        visit = Visit(browser, screen)
        visit.enter("teach")
        source, engine, *_ = visit.wait(lambda: visit.all(".page.teach form select"), "the form")
        Select(source).select_by_value("l:")
        field = visit.find("input[placeholder^='folder of the label set']")
        assert field is not None
        field.send_keys("labels")
        Select(engine).select_by_value("begun")
        field.click()
        visit.run(FEW_STEPS)
        visit.click("Begin")
        long_until(lambda: "Nothing is trained yet" in visit.text(".page.teach"))
        assert visit.all(".warnings li"), (
            "what is doubtful: an engine that was not trained is far from any label"
        )
        visit.click("Teach all the same")
        visit.wait(lambda: visit.find(".jobbox"), "the job")
    jobs = Jobs(folder)
    long_until(lambda: all(job.over for job in jobs.list()))
    assert [job.state for job in jobs.list()] == ["done"] * 2, jobs.output(jobs.list()[0].id)

    with served(folder) as screen:
        visit = Visit(browser, screen)
        visit.enter("teach")
        visit.errors()  # those of the page that was left open without a screen
        visit.click("labels-learn", ".table button")
        visit.wait(lambda: visit.find(".results .table"), "what came of it")
        names = [each.text for each in visit.all(".results tbody th")]
        assert set(NAMES[:2]) <= set(names)
        visit.wait(lambda: visit.find(".curves canvas"), "the curves")
        assert len(visit.all(".worst tbody tr")) == 9
        visit.click("Use it on this rig")
        visit.wait(lambda: visit.find("dialog.difference"), "the difference")
        assert "+engine: rig-1" in visit.text("dialog.difference")
        visit.click("Write rig.yaml")
        visit.wait(lambda: "engine: rig-1" in (folder / "rig.yaml").read_text(), "written")
        assert (folder / "rig.yaml").read_text().startswith("camera: {kind: simulated} # ours")
        assert visit.errors() == []
        visit.click("Its labels")
        visit.wait(lambda: "#/label?set=labels&" in visit.browser.current_url, "to the labels")


@pytest.mark.timeout(900)
def test_the_engine_of_the_best_so_far_is_asked_for_on_the_page(
    browser: webdriver.Chrome, folder: Path
) -> None:
    start = GuidedStart((), "begun", name="rig-1", labels=(folder / "labels",), steps=60)
    way = open_way(folder / "labels-learn", start)
    labels = way.where().labels
    assert labels is not None
    check_attempt(way, labels)
    attempt = way.attempts()[0]
    steps = count(1)
    assert adapt_attempt(way, labels, attempt, stop=lambda: next(steps) >= 30) is None
    with served(folder) as screen:
        visit = Visit(browser, screen)
        visit.enter("teach", folder="labels-learn")
        visit.wait(lambda: "Best so far" in visit.text(".best"), "what is best so far")
        assert "It was to take" in visit.text(".best")
        assert not axe(visit)
        visit.click("Make the engine from the best so far")
        long_until(lambda: attempt.report is not None)
        visit.wait(lambda: visit.find(".results .table"), "what came of it")
        all_ended(Jobs(folder))
    assert "not trained on the held-out frames" in load_engine("rig-1").manifest.training["finished_early"]


@pytest.fixture
def learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace in which an engine was made of a recording."""
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    spot_engine(tmp_path / "engines" / "spot")
    work = tmp_path / "work"
    (work / "frames").mkdir(parents=True)
    for number, image in spot_frames().items():
        cv2.imwrite(str(work / "frames" / f"{number}.png"), image)
    start = GuidedStart((work / "frames",), engine="spot", name="spot", crop=Crop(8, 4, 80, 70))
    write_start(work / "spot-learn", start)
    attempt = work / "spot-learn" / "attempt-1"
    (attempt / "run").mkdir(parents=True)
    write_json(attempt / ATTEMPT_FILE, {"of": {}, "engine": "spot", "check": {"warnings": [], "serious": []}})
    write_json(attempt / "run" / REPORT_FILE, {"frames": 9, "steps": 1, "blend": 1, "minutes": 0.1})
    return work


@pytest.mark.timeout(900)
def test_an_int8_engine_is_made_from_the_page_and_is_shown_beside_its_source(
    browser: webdriver.Chrome, learnt: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    with served(learnt) as screen:
        visit = Visit(browser, screen)
        visit.enter("teach", folder="spot-learn")
        visit.click("Make it")
        long_until(lambda: visit.find("[data-engine='spot-int8']") or "failed" in visit.text(".jobbox"))
        assert visit.find("[data-engine='spot-int8']"), visit.text(".jobbox")
        assert "int8" in visit.text("[data-engine='spot-int8'] .badge")
        assert not [each for each in visit.all("button") if each.text == "Make it"]
        assert visit.errors() == []
    manifest = json.loads((tmp_path / "engines" / "spot-int8" / "manifest.json").read_text())
    assert manifest["training"]["exported_from"] == "spot"
    assert manifest["metrics"]["parity"]["agrees"] is True
    assert manifest["metrics"]["parity"]["crop"] == [8, 4, 80, 70], "on the crop that the way was begun with"

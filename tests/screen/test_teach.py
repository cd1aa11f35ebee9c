"""The page Teach: labels become an engine, the screen is ended and begun again meanwhile, and a rig uses the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import Select
from support.drawn_labels import NAMES, begun_engine, drawn
from support.job_waits import long_until
from support.screens import Visit, served

from rtface.learn.labels.formats.table import write_table
from rtface.screen.jobs import Jobs


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

"""The page New rig: from pictures alone to a rig's file with a crop, an engine that was tried, and rules, by mouse and keys."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from support.job_waits import all_ended, long_until, over
from support.screens import Visit, served

from rtface.config.rigfile import load_rig
from rtface.screen.jobs import Jobs
from rtface.simulate.face import MouseFace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace with a recording as a folder of pictures."""
    work = tmp_path / "work"
    (work / "day1").mkdir(parents=True)
    face = np.zeros((240, 320), np.uint8)
    for number in range(6):
        MouseFace(320, 240, 100.0, seed=1).render(40 * number, face)
        cv2.imwrite(str(work / "day1" / f"{number}.png"), face)
    return work


@pytest.fixture
def alone(browser: webdriver.Chrome, folder: Path) -> Iterator[Visit]:
    """A browser on a screen without any rig that runs."""
    with served(folder) as screen:
        yield Visit(browser, screen)
    all_ended(Jobs(folder))


def patient(visit: Visit, selector: str) -> None:
    """Wait for what a job brings, which on a busy machine takes longer than one wait."""
    long_until(lambda: visit.find(selector))


@pytest.mark.timeout(900)
def test_a_rig_is_made_from_pictures_alone(alone: Visit, folder: Path) -> None:
    visit, rig = alone, folder / "rig-1.yaml"
    visit.enter("newrig")
    visit.click("Begin")
    visit.click("Take it", ".table button")
    visit.wait(lambda: visit.find("dialog.difference"), "the difference")
    assert "+camera: {kind: images, path: day1" in visit.text("dialog.difference")
    assert not rig.exists()
    visit.click("Leave it as it is")
    visit.wait(lambda: not visit.find("dialog"), "closed")
    assert not rig.exists()
    visit.click("Take it", ".table button")
    visit.click("Write rig-1.yaml")
    patient(visit, ".looked img")
    assert load_rig(rig).camera.kind == "images"

    visit.click("Next: the face")
    visit.wait(lambda: visit.find("canvas.cropper"), "the picture")
    visit.wait(lambda: visit.run("return document.querySelector('.cropper').width > 0"), "drawn")
    canvas = visit.find("canvas.cropper")
    assert canvas is not None
    width, height = (float(canvas.size[name]) for name in ("width", "height"))
    visit.run("arguments[0].scrollIntoView()", canvas)
    mouse = ActionChains(visit.browser)
    mouse.move_to_element_with_offset(canvas, round(-0.25 * width), round(-0.25 * height)).click_and_hold()
    mouse.move_by_offset(round(0.5 * width), round(0.6 * height)).release().perform()
    left = int(visit.run("return document.querySelectorAll('.cropper ~ .row input')[0].value"))
    assert left == pytest.approx(80, abs=3)
    visit.click("Take this crop")
    visit.click("Write rig-1.yaml")
    visit.wait(lambda: load_rig(rig).crop is not None, "a crop")
    crop = load_rig(rig).fixed_crop
    assert crop is not None
    assert (crop.x, crop.y) == (pytest.approx(80, abs=3), pytest.approx(60, abs=3))
    assert (crop.width, crop.height) == (pytest.approx(160, abs=4), pytest.approx(144, abs=4))

    visit.click("Next: the engine")
    visit.click("Try it on six pictures")
    patient(visit, "canvas.tried")
    assert "view" in visit.text("figcaption")
    assert "nosebridge (never taught" in visit.text(".legend")
    drawn = "const c = document.querySelector(arguments[0]); return [c.width, c.height]"
    visit.wait(lambda: visit.run(drawn, "canvas.tried") != [300, 150], "drawn")
    width, height = visit.run(drawn, "canvas.tried")
    assert width / height == pytest.approx(crop.width / crop.height, rel=0.02), "it shows the crop alone"
    smaller = visit.find(".enlarge")
    assert smaller is not None
    smaller.click()
    visit.wait(lambda: visit.find("dialog.enlarged"), "the picture enlarged")
    assert visit.run(drawn, ".enlarged canvas")[0] > 1.5 * width
    visit.click("Close", "dialog.enlarged button")

    visit.click("Rules", ".step")
    visit.click("Take it", ".templates button")
    visit.click("Write rig-1.yaml")
    visit.wait(lambda: load_rig(rig).rules is not None, "rules")
    patient(visit, ".inwords")
    assert (folder / "rig-1-rules.yaml").exists()

    visit.go("live")
    visit.go("newrig")
    visit.wait(lambda: visit.find(".steps"), "the rig that was open last")
    visit.click("Other rigs")
    visit.click("rig-1.yaml", ".table button")
    visit.wait(lambda: "done" in visit.text(".steps"), "it is found again")
    assert visit.errors() == []


@pytest.mark.timeout(900)
def test_a_guest_sees_the_steps_and_changes_nothing(browser: webdriver.Chrome, folder: Path) -> None:
    (folder / "rig.yaml").write_text("camera: {kind: images, path: day1}\n", encoding="utf-8")
    with served(folder) as screen:
        visit = Visit(browser, screen)
        browser.get(screen.new_link(read_only=True))
        visit.go("newrig", rig="rig.yaml", step="crop")
        visit.wait(lambda: visit.find(".steps"), "steps")
        visit.click("Engine", ".step")
        visit.wait(lambda: visit.find(".page.newrig select"), "the engine")
        buttons = [each for each in visit.all(".page.newrig .button.primary") if each.is_displayed()]
        assert buttons
        assert not any(each.is_enabled() for each in buttons)
    assert Jobs(folder).list() == []


@pytest.mark.timeout(900)
def test_a_video_that_is_copied_in_is_seen_without_a_reload(alone: Visit, folder: Path) -> None:
    alone.enter("newrig", rig="rig-9.yaml", step="camera")
    alone.wait(lambda: "day1" in alone.text(".page.newrig .table"), "what is there")
    shutil.copytree(folder / "day1", folder / "day2")
    alone.click("Look again in the folder")
    alone.wait(lambda: "day2" in alone.text(".page.newrig .table"), "what was copied in")
    alone.go("teach")
    alone.wait(lambda: "day2" in alone.text(".page.teach form select"), "recordings")
    shutil.copytree(folder / "day1", folder / "day3")
    alone.click("Look again in the folder")
    alone.wait(lambda: "day3" in alone.text(".page.teach form select"), "what was copied in")


@pytest.mark.timeout(900)
def test_what_runs_says_so_on_its_step_and_is_not_offered_again(alone: Visit, folder: Path) -> None:
    (folder / "rig.yaml").write_text("camera: {kind: images, path: day1}\n", encoding="utf-8")
    failing = Jobs(folder, program=("/bin/sh", "-c", "echo error: an old fault >&2; exit 3", "sh"))
    about = {"for_rig": "rig.yaml", "step": "run"}
    old = failing.start("run", ["run", "rig.yaml"], title="Run rig.yaml", about=about, waits=False)
    over(failing, old.id)
    alone.enter("newrig", rig="rig.yaml", step="run")
    alone.wait(lambda: "an old fault" in alone.text(".page.newrig [role=status]"), "why it failed")
    jobs = Jobs(folder, program=("/bin/sh", "-c", "exec sleep 600", "sh"), stop_after_s=0.0)
    running = jobs.start("run", ["run", "rig.yaml"], title="Run rig.yaml", about=about, waits=False)
    teach = {"step": "teach", "engine": "default", "for_rig": "rig.yaml"}
    verifying = jobs.start("verify-engine", ["engines", "verify"], title="Verify default", about=teach)
    line = {"what": "the reference, default", "unit": "frames", "done": 30, "total": 60, "s": 9, "left_s": 9}
    (folder / ".rtface" / "jobs" / verifying.id / "progress.jsonl").write_text(json.dumps(line) + "\n")
    alone.go("live")
    alone.go("newrig", rig="rig.yaml", step="run")
    box = f"[data-job='{running.id}']"
    alone.wait(lambda: "It runs, until it is stopped." in alone.text(box), "that it runs")
    assert "an old fault" not in alone.text(".page.newrig")
    assert not [each for each in alone.all(".page.newrig button") if each.text == "Run it"]
    alone.click("Verify", ".step")
    box = f"[data-job='{verifying.id}']"
    alone.wait(lambda: "30 of 60 frames, about 9 s left" in alone.text(box), "how far it is")
    assert not [each for each in alone.all(".page.newrig button:not(.step)") if each.text == "Verify"]

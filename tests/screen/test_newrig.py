"""The page New rig: from pictures alone to a rig's file with a crop, an engine that was tried, and rules, by mouse and keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from support.job_waits import all_ended, long_until
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

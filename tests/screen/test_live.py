"""Live: the picture and its points, the crop, what is measured, the plots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from screen.conftest import rig
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from support.screens import Visit, served

from rtface.config import SimulatedCameraSettings
from rtface.live.service import Service
from rtface.publish.commands import crop_map


def frame_shown(visit: Visit) -> int:
    return int(visit.run("return document.querySelector('.picture')?.dataset.frame ?? -1"))


def area_shown(visit: Visit) -> dict[str, Any]:
    return dict(json.loads(visit.run("return document.querySelector('.picture')?.dataset.area ?? '{}'")))


def drag(visit: Visit, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag on the picture, from and to fractions of its width and height."""
    over = visit.find(".picture .over")
    assert over is not None
    width, height = over.size["width"], over.size["height"]
    at = [(round((x - 0.5) * width), round((y - 0.5) * height)) for x, y in (begin, end)]
    actions = ActionChains(visit.browser, duration=50)
    actions.move_to_element_with_offset(over, *at[0]).click_and_hold()
    actions.move_to_element_with_offset(over, *at[1]).release().perform()


def test_pictures_go_on_being_shown_with_the_points_of_their_frame(visit: Visit) -> None:
    visit.enter()
    first = visit.wait(lambda: frame_shown(visit) >= 0 and frame_shown(visit), "a picture")
    visit.wait(lambda: frame_shown(visit) > first + 30, "further pictures")
    assert "frames per second" in visit.text(".facts-column .big")
    assert "saturated" in visit.text(".facts-column")
    assert visit.errors() == []


def test_a_crop_drawn_by_the_mouse_is_what_the_network_is_given(visit: Visit, service: Service) -> None:
    visit.enter()
    visit.wait(lambda: frame_shown(visit) >= 0, "a picture")
    before = service.pipeline.crop
    visit.press("c")
    visit.wait(lambda: visit.find(".crop-tools:not([hidden])"), "the tools of the crop")
    drag(visit, (0.5, 0.5), (0.52, 0.5))  # within: it cannot move, it is the whole frame
    visit.click("Cancel")
    visit.press("c")
    for name, value in {"width": 160, "height": 120, "x": 60, "y": 40}.items():
        visit.run(
            "const i = document.querySelector(`.crop-tools input[data-name=${arguments[0]}]`);"
            "i.value = arguments[1]; i.dispatchEvent(new Event('change'))",
            name,
            value,
        )
    drag(visit, (0.5, 0.5), (0.55, 0.55))
    visit.click("Apply")
    visit.wait(lambda: service.pipeline.crop != before, "another crop")
    crop = service.pipeline.crop
    assert (crop.width, crop.height) == (160, 120)
    assert crop.x > 60
    assert crop.y > 40
    visit.wait(lambda: not visit.find(".crop-tools:not([hidden])"), "the answer to the page")
    focus = "return document.activeElement.className"
    assert visit.run(focus) == "over", "who pressed what went away has the keys at the picture"
    visit.press("f")
    shown = visit.wait(lambda: area_shown(visit).get("width") == 160 and area_shown(visit), "the crop alone")
    assert (shown["x"], shown["y"], shown["height"]) == (crop.x, crop.y, 120)


def test_the_face_is_found_for_a_crop_that_is_offered(browser: webdriver.Chrome, tmp_path: Path) -> None:
    camera = SimulatedCameraSettings(width=320, height=240, rate_hz=5.0, seed=0)
    beside_it = {"x": 0, "y": 0, "width": 80, "height": 60}
    with Service(rig(camera=camera, crop=beside_it)) as service, served(tmp_path, service) as screen:
        visit = Visit(browser, screen)
        visit.enter()
        visit.wait(lambda: frame_shown(visit) >= 0, "a picture")
        visit.press("c")
        visit.click("Find the face")
        visit.wait(lambda: "Found, confidence" in visit.text(".crop-tools [role=status]"), "a face")
        offered = visit.run(
            "const numbers = [...document.querySelectorAll('.crop-tools input[data-name]')];"
            "return Object.fromEntries(numbers.map((each) => [each.dataset.name, Number(each.value)]))"
        )
        assert offered["width"] > 250, "most of this picture is a face"
        visit.click("Apply")
        visit.wait(lambda: crop_map(service.pipeline.crop).items() >= offered.items(), "the crop")


def test_a_face_that_is_found_late_does_not_undo_what_was_drawn_meanwhile(visit: Visit) -> None:
    visit.enter()
    visit.wait(lambda: frame_shown(visit) >= 0, "a picture")
    visit.press("c")
    visit.run(
        """
        const real = window.fetch;
        window.fetch = async (path, options) => {
          if (!String(path).endsWith("/face")) return real(path, options);
          await new Promise((resolve) => (window.release = resolve));
          const found = { crop: { x: 1, y: 2, width: 30, height: 40 }, confidence: 0.9 };
          return new Response(JSON.stringify(found), { headers: { "content-type": "application/json" } });
        };
        """
    )
    visit.click("Find the face")
    visit.wait(lambda: visit.run("return Boolean(window.release)"), "the request")
    visit.run(
        "const i = document.querySelector('.crop-tools input[data-name=width]');"
        "i.value = 160; i.dispatchEvent(new Event('change')); window.release()"
    )
    visit.wait(lambda: "left as it is" in visit.text(".crop-tools [role=status]"), "what became of it")
    assert visit.run("return document.querySelector('.crop-tools input[data-name=width]').value") == "160"
    assert visit.errors() == []


def test_a_service_without_pictures_says_how_to_have_them(browser: webdriver.Chrome, tmp_path: Path) -> None:
    free = "tcp://127.0.0.1:*"
    without = rig(publish={"keypoints": free, "control": free})
    with Service(without) as service, served(tmp_path, service) as screen:
        visit = Visit(browser, screen)
        visit.enter()
        visit.wait(lambda: "publishes no pictures" in visit.text(".picture .waiting"), "the words")


@pytest.fixture
def ruled(tmp_path: Path) -> Iterator[Service]:
    """A service whose rule looks at the pupil and never fires."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "features:\n"
        "  pad: {kind: whisking, point: [whisker(I), whisker(II)], band_hz: [3, 9]}\n"
        "rules:\n"
        "  bout: {when: pad.amplitude > 1e6, pulse: {width_ms: 5}}\n"
    )
    with Service(rig(rules=rules, output={"kind": "log", "path": tmp_path / "light.csv"})) as service:
        yield service


def test_each_feature_is_a_plot_with_its_threshold_and_each_rule_says_how_it_stands(
    browser: webdriver.Chrome, ruled: Service, tmp_path: Path
) -> None:
    with served(tmp_path, ruled) as screen:
        visit = Visit(browser, screen)
        visit.enter()
        visit.wait(lambda: len(visit.all(".feature .uplot")) > 0, "a plot")
        visit.wait(
            lambda: "threshold 1000000" in visit.text(".rules") or "1.0e+6" in visit.text(".rules"),
            "the rule",
        )
        assert "pad.amplitude > 1e6" in visit.text(".rules")
        assert visit.errors() == []

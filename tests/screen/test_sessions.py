"""Sessions: the list, the timeline with the frame beside it, the certificate on one page, unblinding, jobs."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from support.recorded_loop import Loop, record_loop
from support.screens import Visit, served

from rtface.core.clock import ManualClock
from rtface.decide.rulebank import ALIKE_NS
from rtface.record.seal.openings import openings
from rtface.record.session import LOG_NAME
from rtface.record.session.reader import read_session

FRAMES = 700
pytestmark = pytest.mark.timeout(300)
LIST_JOBS = "return fetch('/api/jobs/').then(() => true)"
DRAWN = """const c = document.querySelector(".tracks canvas");
    const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    return d.filter((value, place) => place % 4 === 3 && value > 0).length"""
WHEEL = """document.querySelector(".tracks canvas").dispatchEvent(
    new WheelEvent("wheel", {deltaY: -300, bubbles: true, cancelable: true}))"""
SPAN = re.compile(r"([\d.]+) to ([\d.]+) s of")


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(
        tmp_path_factory.mktemp("sealed"),
        FRAMES,
        alike_ns=ALIKE_NS,
        sealed=True,
        pictures="lossless",
        clock=ManualClock(10**12 - 50_000_000),
    )


@pytest.fixture
def lab(loop: Loop, tmp_path: Path) -> Path:
    """A folder with a sealed session and one that was cut off."""
    folder = tmp_path / "lab"
    (folder / "sessions").mkdir(parents=True)
    (folder / "sessions" / loop.folder.name).symlink_to(loop.folder)  # links are not followed
    copy = folder / "mouse 7" / loop.folder.name
    copy.mkdir(parents=True)
    for each in loop.folder.iterdir():
        (copy / each.name).write_bytes(each.read_bytes())
    (folder / "cut").mkdir()
    log = (loop.folder / LOG_NAME).read_bytes()
    (folder / "cut" / LOG_NAME).write_bytes(log[: len(log) // 2])
    return folder


@pytest.fixture
def looking(browser: webdriver.Chrome, lab: Path) -> Iterator[Visit]:
    with served(lab) as screen:
        yield Visit(browser, screen)


def runners() -> list[int]:
    """The processes that run jobs."""
    found = []
    for each in psutil.Process().children():
        with suppress(psutil.Error):
            found += [each.pid] if "rtface.screen.jobs.runner" in each.cmdline() else []
    return found


def name_of(loop: Loop) -> str:
    return f"mouse 7/{loop.folder.name}"


def frame(visit: Visit) -> int:
    """The frame whose picture is shown; -1 for none."""
    return int(
        visit.run(
            "const f = document.querySelector('.face'); return f?.dataset.picture === 'shown' ? f.dataset.frame : -1"
        )
    )


def span(visit: Visit) -> tuple[float, float]:
    found = SPAN.search(visit.text(".plots .muted"))
    return (float(found[1]), float(found[2])) if found else (0.0, 0.0)


def test_from_the_list_to_a_frame_by_keys(looking: Visit, loop: Loop) -> None:
    looking.enter("sessions")
    looking.wait(lambda: len(looking.all(".list tbody tr")) == 2, "two sessions")
    assert "not closed" in looking.text(".list")

    def chosen() -> bool:
        looking.press("j")  # at the last one it stays
        return bool(looking.browser.switch_to.active_element.text == loop.folder.name)

    looking.wait(chosen, "the session's link")
    looking.press("enter")
    looking.wait(lambda: frame(looking) >= 10, "the first decision's frame")
    first = frame(looking)
    looking.press("ARROW_RIGHT")
    looking.wait(lambda: frame(looking) == first + 1, "the next frame")
    for _ in range(5):
        looking.press("ARROW_RIGHT")
    looking.press("ARROW_LEFT")
    looking.wait(lambda: frame(looking) == first + 5, "five steps on, one back")
    assert looking.errors() == []


def test_zoom_and_decisions_by_keys(looking: Visit, loop: Loop) -> None:
    looking.enter("sessions", session=quote(name_of(loop)))
    looking.wait(lambda: frame(looking) >= 10, "a frame")
    whole = span(looking)
    looking.press("+", "+", "+")
    looking.wait(lambda: span(looking)[1] - span(looking)[0] < (whole[1] - whole[0]) / 3, "zoomed in")
    looking.press("n")
    decided = looking.wait(lambda: looking.find(".values .decided"), "what was decided there")
    assert "threshold" in decided.text or "known" in decided.text
    looking.press("0")
    looking.wait(lambda: span(looking) == whole, "the whole session")
    looking.press("END")
    looking.wait(lambda: frame(looking) == FRAMES + 9, "the last frame")
    assert "light: blinded" in looking.text(".where")
    assert looking.errors() == []


def test_the_timeline_by_mouse(looking: Visit, loop: Loop) -> None:
    looking.enter("sessions", session=quote(name_of(loop)))
    looking.wait(lambda: frame(looking) >= 10, "a frame")
    canvas = looking.find(".tracks canvas")
    assert canvas is not None
    assert looking.run(DRAWN) > 5000
    before = frame(looking)
    ActionChains(looking.browser).move_to_element_with_offset(canvas, 100, 0).click().perform()
    looking.wait(lambda: frame(looking) not in (-1, before), "the frame that was clicked at")
    whole = span(looking)
    looking.run(WHEEL)
    looking.wait(
        lambda: span(looking)[1] - span(looking)[0] < (whole[1] - whole[0]) / 2, "zoomed by the wheel"
    )
    near = span(looking)
    ActionChains(looking.browser, duration=50).move_to_element(canvas).click_and_hold().move_by_offset(
        -60, 0
    ).release().perform()
    looking.wait(lambda: span(looking)[0] > near[0], "moved on")
    assert looking.errors() == []


def test_the_certificate_is_one_page_of_paper(looking: Visit, loop: Loop, lab: Path) -> None:
    looking.enter("sessions", session=quote(name_of(loop)), view="certificate")
    looking.wait(lambda: looking.find(".certificate .headline strong"), "the certificate")
    fingerprint = read_session(lab / name_of(loop)).fingerprint
    assert fingerprint in looking.text(".certificate")
    assert f"0 of {FRAMES}" in looking.text(".certificate .headline")
    assert "blinded" in looking.text(".certificate .stages")
    printed = looking.browser.execute_cdp_cmd(
        "Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True}
    )
    pdf = base64.b64decode(printed["data"])
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    assert looking.errors() == []


def test_unblinding_is_for_the_page_that_asked(looking: Visit, loop: Loop, lab: Path) -> None:
    folder = lab / name_of(loop)
    looking.enter("sessions", session=quote(name_of(loop)), view="decisions")
    looking.wait(lambda: "trial" in looking.text(".table"), "the decisions")
    assert not re.search("sham", looking.text(".table"))
    looking.click("Unblind …")
    field = looking.wait(lambda: looking.find("#unblind-who"), "who")
    looking.click("Stay blind", "dialog button")
    assert openings(folder) == []
    looking.click("Unblind …")
    field = looking.wait(lambda: looking.find("#unblind-who"), "who")
    field.send_keys("anna")
    looking.click("Unblind", "dialog button.danger")
    looking.wait(lambda: "light and sham are shown" in looking.text(".head"), "unblinded")
    looking.wait(lambda: looking.find(".action.fire"), "light among the decisions")
    assert [each["who"] for each in openings(folder)] == ["anna"]
    mine = looking.browser.current_window_handle
    looking.browser.switch_to.new_window("tab")
    looking.browser.get(looking.screen.new_link())
    looking.go("sessions", session=quote(name_of(loop)), view="decisions")
    looking.wait(lambda: "trial" in looking.text(".table"), "another page, still blind")
    assert "Show light and sham …" in looking.text(".head")
    looking.browser.close()
    looking.browser.switch_to.window(mine)
    looking.browser.refresh()
    looking.wait(lambda: "trial" in looking.text(".table"), "the same page after a reload")
    assert looking.errors() == []


def test_a_record_is_verified_as_a_job(looking: Visit, lab: Path) -> None:
    looking.enter("sessions", session="cut", view="summary")
    looking.wait(lambda: "not closed" in looking.text(".head"), "what is wrong with it")
    looking.click("Verify")
    looking.wait(
        lambda: looking.find(".job .badge.bad") and "not whole" in looking.text(".job"), "what was found"
    )
    looking.click("Close", ".job .close")
    looking.wait(lambda: looking.find(".job") is None, "closed")
    looking.wait(lambda: looking.run(LIST_JOBS) and not runners(), "the end of the job's runner")
    assert looking.errors() == []


def test_what_is_not_there_says_so_and_leads_back(looking: Visit) -> None:
    looking.enter("sessions", session="no/such")
    looking.wait(lambda: "no session" in looking.text(".page.sessions .empty"), "what failed")
    looking.browser.find_element(By.CSS_SELECTOR, ".empty a").click()
    looking.wait(lambda: looking.find(".list tbody tr"), "the list")

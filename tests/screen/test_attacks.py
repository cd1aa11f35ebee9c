"""The emergency stop where it is hard to press, a screen and a service that go, and pages of others."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from screen.conftest import rig
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from support.fake_service import FakeService, agrees
from support.ports import pair_of_ports
from support.screens import Visit
from support.waits import LONG_S

from rtface.config import PublishSettings
from rtface.live.service import Service
from rtface.screen.rigs import ShownRig
from rtface.screen.serving import Address, Screen, screen_opened


@pytest.fixture
def service() -> Iterator[FakeService]:
    made = FakeService()
    yield made
    made.close()


class Stage:
    """A screen that can be ended and begun again at its port, and the browser on it."""

    def __init__(self, browser: webdriver.Chrome, folder: Path, rigs: list[ShownRig]) -> None:
        self.browser, self.folder, self.rigs = browser, folder, rigs
        self.pages: dict[str, Any] = {}
        self.opened = ExitStack()
        self.port = pair_of_ports()
        self.screen = self.begin()
        self.visit = Visit(browser, self.screen)
        self.visit.enter("label")
        self.visit.wait(lambda: "space bar" in self.note(), "an open way of the stop")

    def begin(self) -> Screen:
        return self.opened.enter_context(
            screen_opened(self.rigs, self.folder, Address(port=self.port), self.pages)
        )

    def end(self) -> None:
        self.opened.close()

    def note(self) -> str:
        return self.visit.text(".stopnote")

    def alarm(self) -> str:
        return self.visit.text("dialog.alarm h1")


Begin = Callable[..., Stage]


@pytest.fixture
def begin(browser: webdriver.Chrome, service: FakeService, tmp_path: Path) -> Iterator[Begin]:
    """Begin a screen for the fake service, or for other rigs."""
    stages: list[Stage] = []

    def made(*rigs: ShownRig) -> Stage:
        stage = Stage(browser, tmp_path, list(rigs) or [ShownRig("a", "left", service.address)])
        stages.append(stage)
        return stage

    yield made
    for stage in stages:
        stage.end()


def test_the_space_bar_stops_while_a_dialog_is_open_and_while_a_button_has_the_focus(
    begin: Begin, service: FakeService
) -> None:
    visit = begin().visit
    visit.press("?")
    visit.wait(lambda: visit.find("dialog[open]"), "the dialog")
    visit.press("SPACE")
    visit.wait(lambda: service.stops() == ["the screen"], "a stop")
    assert visit.find("dialog[open]"), "the focused button of the dialog was not pressed by it"
    visit.click("Close")
    visit.run("document.querySelector('#pages button').focus()")
    theme = visit.run("return document.documentElement.dataset.theme")
    visit.press("SPACE")
    visit.wait(lambda: len(service.stops()) == 2, "a second stop")
    assert visit.run("return document.documentElement.dataset.theme") == theme
    visit.wait(lambda: "acknowledged it" in " ".join(visit.said()), "the words")
    assert visit.find("dialog.alarm") is None


def test_the_stop_button_works_beneath_a_dialog(begin: Begin, service: FakeService) -> None:
    visit = begin().visit
    visit.press("?")
    visit.wait(lambda: visit.find("dialog[open]"), "the dialog")
    place = visit.run(
        "const r = document.querySelector('#stop').getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]"
    )
    ActionChains(visit.browser).w3c_actions.pointer_action.move_to_location(*map(int, place))
    chain = ActionChains(visit.browser)
    chain.w3c_actions.pointer_action.move_to_location(*map(int, place))
    chain.w3c_actions.pointer_action.click()
    chain.perform()
    visit.wait(lambda: service.stops() == ["the screen"], "a stop")


def test_the_stop_button_is_pressed_once_by_mouse_and_by_enter(begin: Begin, service: FakeService) -> None:
    visit = begin().visit
    stop = visit.find("#stop")
    assert stop is not None
    stop.click()
    visit.wait(lambda: len(service.stops()) == 1, "a stop")
    visit.run("document.querySelector('#stop').focus()")
    visit.press("ENTER")
    visit.wait(lambda: len(service.stops()) == 2, "a second stop")


def test_an_open_list_takes_no_space_bar(begin: Begin, service: FakeService) -> None:
    stage = begin(ShownRig("a", "left", service.address), ShownRig("b", "right", "tcp://127.0.0.1:1"))
    visit = stage.visit
    chooser = visit.find("#bar select")
    assert chooser is not None
    chooser.click()
    visit.wait(
        lambda: visit.run("return document.querySelector('#bar select').size") == 2, "a list in the page"
    )
    visit.press("SPACE")
    visit.wait(lambda: len(service.stops()) == 1, "a stop")
    visit.press("ARROW_DOWN")
    visit.browser.execute_async_script("setTimeout(arguments[0], 600)")  # the bar is drawn anew meanwhile
    visit.press("ENTER")
    visit.wait(
        lambda: visit.run("return document.querySelector('#bar select').value") == "right", "the choice"
    )
    visit.wait(lambda: "does not reach the rig" in stage.note(), "the other rig's way")


def test_silence_for_a_second_is_an_alarm_until_the_stop_is_acknowledged(
    begin: Begin, service: FakeService
) -> None:
    stage = begin()
    visit = stage.visit
    visit.press("?")
    service.answer = lambda request: None
    visit.press("SPACE")
    visit.wait(lambda: stage.alarm() == "Use the key", "the alarm")
    top = visit.run(
        "const d = document.querySelector('dialog.alarm'); return document.elementFromPoint(20, 20) === d"
    )
    assert top, "it lies above the dialog that was open"
    visit.press("ESCAPE", "ESCAPE", "ESCAPE")
    assert stage.alarm() == "Use the key", "no key closes it"
    before = len(service.stops())
    visit.wait(lambda: len(service.stops()) > before + 1, "it is sent again")
    service.answer = agrees
    visit.wait(lambda: stage.alarm() == "Stopped, late", "the late acknowledgement")
    visit.click("The light is off: go on")
    visit.wait(lambda: visit.find("dialog.alarm") is None, "the end of the alarm")
    visit.wait(lambda: "space bar" in stage.note(), "the way is open again")


def test_many_presses_of_a_slow_service_are_no_alarm(begin: Begin, service: FakeService) -> None:
    stage = begin()
    visit = stage.visit
    visit.press(*["SPACE"] * 10)
    visit.wait(lambda: "acknowledged it" in " ".join(visit.said()), "the words")
    assert stage.alarm() == ""
    assert 1 <= len(service.stops()) <= 10


def test_a_stop_that_was_pressed_while_the_screen_was_gone_is_sent_when_it_is_back(
    begin: Begin, service: FakeService
) -> None:
    stage = begin()
    visit = stage.visit
    stage.end()
    visit.wait(lambda: "use the key" in stage.note(), "what the page says")
    visit.press("SPACE")
    visit.wait(lambda: stage.alarm() == "Use the key", "the alarm")
    assert service.stops() == []
    stage.begin()
    visit.wait(lambda: service.stops(), "the stop")
    visit.wait(lambda: stage.alarm() == "Stopped, late", "the acknowledgement")


def test_who_says_that_the_light_is_off_is_not_stopped_later(begin: Begin, service: FakeService) -> None:
    stage = begin()
    visit = stage.visit
    stage.end()
    visit.wait(lambda: "use the key" in stage.note(), "what the page says")
    visit.press("SPACE")
    visit.click("The light is off: go on")
    stage.begin()
    visit.wait(lambda: "space bar" in stage.note(), "the way is open again")
    assert service.stops() == []


def test_the_stop_is_acknowledged_while_the_event_loop_of_the_pages_hangs(
    begin: Begin, service: FakeService
) -> None:
    goes, begun = threading.Event(), threading.Event()

    async def hangs(request: Request) -> JSONResponse:
        begun.set()
        goes.wait(10 * LONG_S)
        return JSONResponse({})

    stage = begin()
    stage.end()
    stage.pages = {"hang": lambda desk: [Route("/", hangs)]}
    stage.begin()
    visit = stage.visit
    visit.wait(lambda: "space bar" in stage.note(), "the way is open again")
    visit.run("void fetch('/api/hang/')")
    assert begun.wait(LONG_S)
    visit.press("SPACE")
    visit.wait(lambda: "acknowledged it" in " ".join(visit.said()), "the acknowledgement")
    assert not goes.is_set()
    assert service.stops() == ["the screen"]
    goes.set()


def test_a_page_left_open_comes_back_to_a_screen_that_was_begun_again(begin: Begin) -> None:
    stage = begin()
    visit = stage.visit
    visit.run("window.here = true")
    stage.end()
    visit.wait(lambda: "program is gone" in visit.text("#bar .why"), "what the page says")
    assert visit.text("#bar .state") == "Unknown"
    stage.begin()
    visit.wait(lambda: "program is gone" not in visit.text("#bar .why"), "the way back")
    assert visit.run("return window.here"), "the page was not loaded anew"


def test_a_page_left_open_never_takes_another_rig_for_its_own(begin: Begin, service: FakeService) -> None:
    stage = begin()
    stage.end()
    stage.rigs = [ShownRig("b", "right", service.address)]
    stage.begin()
    stage.visit.wait(lambda: "right" in stage.visit.text("#bar"), "the rigs that there are now")


def test_a_service_that_is_killed_is_unknown_and_another_one_is_found(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    with Service(rig()) as first:
        control = first.control_address
        opened = ExitStack()
        screen = opened.enter_context(
            screen_opened([ShownRig("a", "left", control)], tmp_path, Address(), {})
        )
        with opened:
            visit = Visit(browser, screen)
            visit.enter("label")
            visit.wait(lambda: visit.text("#bar .state") == "No loop", "the service")
            first.close()
            visit.wait(lambda: visit.text("#bar .state") == "Unknown", "that it is gone")
            again = rig(publish=PublishSettings(keypoints="tcp://127.0.0.1:*", control=control))
            with Service(again):
                visit.wait(lambda: visit.text("#bar .state") == "No loop", "the other service")


HOSTILE = """<!doctype html><title>hostile</title><iframe id="frame"></iframe><form method="post"></form><script>
const [host, stop] = [location.hash.slice(1).split(",")[0], location.hash.slice(1).split(",")[1]];
const tried = {};
const note = (name, what) => { tried[name] = what; };
const ask = (name, path, options) => fetch(`http://${host}${path}`, {credentials: "include", ...options})
  .then((answer) => note(name, answer.type === "opaque" ? "opaque" : `read ${answer.status}`), () => note(name, "refused"));
const open = (name, url) => new Promise((done) => {
  const socket = new WebSocket(url);
  socket.onopen = () => { note(name, "open"); socket.send(JSON.stringify({n: 1, stop: ["a"]})); done(); };
  socket.onerror = () => { note(name, "refused"); done(); };
});
const json = {"content-type": "application/json"};
window.attack = async () => {
  await ask("get", "/api/about", {});
  await ask("simple get", "/api/about", {mode: "no-cors"});
  await ask("post", "/api/rigs/a/arm", {method: "POST", body: "{}", headers: json});
  await ask("simple post", "/api/rigs/a/arm", {method: "POST", body: "{}", mode: "no-cors"});
  await ask("get that acts", "/api/rigs/a/arm", {mode: "no-cors"});
  await open("socket", `ws://${host}/socket`);
  await open("stop", `ws://127.0.0.1:${stop}/`);
  const frame = document.getElementById("frame");
  await new Promise((done) => { frame.onload = done; frame.onerror = done; frame.src = `http://${host}/`; });
  try { note("frame", frame.contentDocument ? "read" : "closed"); } catch { note("frame", "closed"); }
  for (const [tag, name, path] of [["script", "script", "/static/app.js"], ["img", "image", "/static/mouse.svg"]]) {
    await new Promise((done) => {
      const each = document.createElement(tag);
      each.onload = () => { note(name, "loaded"); done(); };
      each.onerror = () => { note(name, "refused"); done(); };
      each.src = `http://${host}${path}`;
      document.body.append(each);
    });
  }
  return tried;
};
</script>"""


@contextmanager
def hostile_site() -> Iterator[str]:
    """Serve a page from the same machine at another port: another origin, but the same site, so that cookies are sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = HOSTILE.encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = _Site(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join()


class _Site(ThreadingHTTPServer):
    """A server that can end while a browser keeps connections that it asks nothing on."""

    daemon_threads = False
    """So that closing it waits for them."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._connections: list[socket.socket] = []

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        for each in self._connections:
            with suppress(OSError):  # it was closed
                each.shutdown(socket.SHUT_RDWR)


def test_a_hostile_page_reads_nothing_and_changes_nothing(begin: Begin, service: FakeService) -> None:
    stage = begin()
    visit = stage.visit
    about = visit.run("return fetch('/api/about').then((answer) => answer.json())")
    asked = len(service.asked)
    with hostile_site() as site:
        visit.browser.get(f"{site}#127.0.0.1:{stage.port},{about['stop_port']}")
        tried = visit.browser.execute_async_script("window.attack().then(arguments[0])")
        assert tried == {
            "get": "refused",
            "simple get": "refused",
            "post": "refused",
            "simple post": "refused",
            "get that acts": "refused",
            "socket": "refused",
            "stop": "refused",
            "frame": "closed",
            "script": "refused",
            "image": "refused",
        }, json.dumps(tried)
        assert visit.errors(), "the browser says what it refused"
        visit.browser.get("about:blank")
    assert {each.op for each in service.asked[asked:]} <= {"hello", "ping"}
    assert service.stops() == []

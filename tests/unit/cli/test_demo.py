"""``rtface demo``: a second terminal finds it, at the usual addresses or by the line that is printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import zmq
from typer.testing import CliRunner

from rtface.cli import demo
from rtface.cli.app import app
from rtface.config import JsonBridgeSettings, OscBridgeSettings, PublishSettings


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in ("OUT", "ERR"):
        monkeypatch.setattr(f"rtface.cli.terminal.screen.{stream}._width", 200)


def said(engine: str, *options: str) -> str:
    result = CliRunner().invoke(
        app, ["demo", "--seconds", "0.5", "--engine", engine, "--width", "96", "--height", "80", *options]
    )
    assert result.exit_code == 0, result.output
    return result.stderr


def test_the_usual_addresses_are_those_of_watch_and_client() -> None:
    assert PublishSettings() == demo.USUAL


def test_at_the_usual_addresses_a_client_needs_none(
    test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = PublishSettings(keypoints=f"ipc://{tmp_path}/k", control=f"ipc://{tmp_path}/c")
    monkeypatch.setattr(demo, "USUAL", usual)
    text = said(test_engine)
    assert f"keypoints  {usual.keypoints}\n" in text
    assert "in another terminal: rtface watch;" in text


@pytest.mark.parametrize("taken", ["keypoints", "control"])
def test_where_one_is_taken_the_line_to_copy_names_others(
    test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        usual = PublishSettings(keypoints=f"ipc://{tmp_path}/k", control=f"ipc://{tmp_path}/c")
        monkeypatch.setattr(demo, "USUAL", usual.model_copy(update={taken: f"tcp://127.0.0.1:{port}"}))
        text = said(test_engine)
    assert f"tcp://127.0.0.1:{port}" in text
    told = dict(re.findall(r"^(keypoints|control) +(\S+)$", text, re.MULTILINE))
    (line,) = re.findall(r"rtface watch (.*)", text)
    assert shlex.split(line) == [told["keypoints"], "--control", told["control"]]
    assert f'rtface.Client("{told["keypoints"]}", "{told["control"]}")' in text
    assert str(port) not in line


@pytest.mark.parametrize("taken", [False, True])
def test_with_bridges_it_says_where_other_languages_find_it(
    test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as other:
        other.bind(f"ipc://{tmp_path}/o")
        usual = PublishSettings(keypoints=f"ipc://{tmp_path}/k", control=f"ipc://{tmp_path}/c")
        monkeypatch.setattr(demo, "USUAL", usual)
        json = JsonBridgeSettings(kind="json", address=f"ipc://{tmp_path}/j")
        port = other.bind_to_random_port("tcp://127.0.0.1")
        osc = OscBridgeSettings(
            kind="osc", address=f"tcp://127.0.0.1:{port}" if taken else f"ipc://{tmp_path}/s"
        )
        monkeypatch.setattr(demo, "_BRIDGES", (json, osc))
        text = said(test_engine, "--bridges")
    told = dict(re.findall(r"^(json|osc) +(\S+)$", text, re.MULTILINE))
    if taken:
        assert set(told) == {"json", "osc"}
        assert all(each.startswith("tcp://127.0.0.1:") for each in told.values())
        assert f"or tcp://127.0.0.1:{port} is in use" in text
    else:
        assert told == {"json": json.address, "osc": osc.address}

"""Names of files that are no UTF-8: found again, and text wherever they leave the process."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from unittest.mock import patch

import cv2
import msgpack
import numpy as np
import pytest

from rtface.acquire.images import ImagesCamera
from rtface.cli import main
from rtface.cli.terminal.screen import print_json, print_line
from rtface.config import ImagesCameraSettings
from rtface.core.files import mark_in, printable, write_json
from rtface.learn.guided.start import GuidedStart, kept_start, write_start
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.reading import read_labels
from rtface.learn.labels.suggestion import recording_name
from rtface.learn.run_folder import open_run
from rtface.publish.events import decode_event, encode_event
from rtface.record.session.coding import decode, encode
from rtface.record.session.entries import FaultEntry

NAME = os.fsdecode(b"M\xe4use")
MARKED = "M\ufffduse"


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder whose name is no UTF-8."""
    folder = tmp_path / NAME
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes no such names")
    return folder


@pytest.mark.parametrize(
    ("name", "text"), [(b"M\xe4use.mp4", "M\ufffduse.mp4"), ("Mäuse 🐁.mp4".encode(), "Mäuse 🐁.mp4")]
)
def test_a_name_of_any_bytes_is_text_that_a_file_holds(name: bytes, text: str) -> None:
    assert printable(os.fsdecode(name)) == text
    printable(os.fsdecode(name)).encode("utf-8")


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", MARKED), ("latin-1", "M?use")])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_terminal_gets_a_mark(encoding: str, shown: str, errors: str) -> None:
    written = io.BytesIO()
    with patch.object(sys, "stdout", io.TextIOWrapper(written, encoding, errors)) as stream:
        mark_in([stream])
        print_line(NAME)
        stream.flush()
    assert written.getvalue().decode(encoding).strip() == shown


def test_the_command_line_shows_a_mark(odd: Path) -> None:
    written = io.BytesIO()
    with (
        patch.object(sys, "stderr", io.TextIOWrapper(written, "utf-8", "strict")) as stream,
        patch.object(sys, "argv", ["rtface", "learn", "labels", str(odd / "gone.csv")]),
        pytest.raises(SystemExit) as leaving,
    ):
        main()
    stream.flush()
    assert leaving.value.code == 8
    assert MARKED in written.getvalue().decode()


def test_json_holds_a_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / "a.json", {"source": NAME})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"source": MARKED}
    print_json({"source": NAME})
    assert json.loads(capsys.readouterr().out) == {"source": MARKED}


def test_messages_and_records_hold_a_mark() -> None:
    body = encode_event(msgpack.Packer(), "s", 0, 0, "mark", {"what": NAME})
    assert decode_event(body).details == {"what": MARKED}
    fault = FaultEntry(1, NAME, NAME)
    assert decode(FaultEntry.kind, encode(fault)) == FaultEntry(1, MARKED, MARKED)


def test_a_run_of_such_a_recording_is_gone_on_with(tmp_path: Path, odd: Path) -> None:
    open_run(tmp_path / "run", {"videos": [str(odd)]})
    open_run(tmp_path / "run", {"videos": [str(odd)]})


def test_a_guided_way_finds_its_recording_again(tmp_path: Path, odd: Path) -> None:
    start = GuidedStart(videos=(odd, tmp_path / "plain %E4"), labels=(odd / "labels.csv",))
    write_start(tmp_path / "way", start)
    kept = kept_start(tmp_path / "way")
    assert kept == start
    assert kept.videos[0].is_dir()


def test_a_camera_of_such_a_folder_is_called_by_the_mark(odd: Path) -> None:
    cv2.imencode(".png", np.zeros((20, 30), np.uint8))[1].tofile(odd / "1.png")
    camera = ImagesCamera(ImagesCameraSettings(kind="images", path=odd))
    assert camera.open().label.endswith(MARKED)
    camera.close()
    assert recording_name(odd) == MARKED


def test_labels_of_such_a_folder_are_read_and_written(tmp_path: Path, odd: Path) -> None:
    cv2.imencode(".png", np.zeros((20, 30), np.uint8))[1].tofile(odd / "1.png")
    (odd / "labels.csv").write_text("file,nose_x,nose_y\n1.png,4,5\n", encoding="utf-8")
    labels = read_labels(odd)
    assert labels.videos == (MARKED,)
    write_table(labels, tmp_path / "written")
    assert read_labels(tmp_path / "written").videos == (MARKED,)

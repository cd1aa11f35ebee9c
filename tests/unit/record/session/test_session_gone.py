"""A session whose files are no longer at their path notices it, disarms, and does not end well."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.fakes import LONG_S
from support.recorded_loop import setup

from rtface.config import SessionSettings
from rtface.core.records import FrameMeta
from rtface.decide.rules import RulesFile
from rtface.record.session import LOG_NAME, VIDEO_NAME
from rtface.record.session.entries import FaultEntry
from rtface.record.session.recorder import SessionRecorder


class Recording:
    """A session with a video that is being recorded."""

    def __init__(self, root: Path) -> None:
        self.faults: list[FaultEntry] = []
        self.came = threading.Event()
        self.recorder = SessionRecorder(
            SessionSettings(folder=root, frames="ffv1", min_free_gb=0, stall_s=600),
            "gone",
            setup(RulesFile()),
            on_fault=self._fault,
        )
        self.folder = self.recorder.folder
        self.recorder.open()
        for number in range(3):
            self.recorder.frame(np.full((24, 32), number, np.uint8), FrameMeta(number, number, number))

    def _fault(self, fault: FaultEntry) -> None:
        self.faults.append(fault)
        self.came.set()


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    made = Recording(tmp_path / "root")
    yield made
    made.recorder.close()


def replace(path: Path) -> None:
    """Put a copy in its place, as an editor or a synchronising program does."""
    copy = path.with_suffix(".new")
    shutil.copyfile(path, copy)
    copy.replace(path)


def link_away(path: Path) -> None:
    """Leave a link to the very same file at the path."""
    path.rename(path.with_suffix(".away"))
    path.symlink_to(path.with_suffix(".away"))


def rename_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def copy_folder(path: Path) -> None:
    """Move the folder away, and put a copy of it at its place."""
    rename_folder(path)
    shutil.copytree(path.parent.with_name("elsewhere"), path.parent)


def hide_folder(path: Path) -> None:
    """Mount something over it."""
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path.parent)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root")


@pytest.mark.parametrize("name", [LOG_NAME, VIDEO_NAME])
@pytest.mark.parametrize(
    "change",
    [Path.unlink, replace, link_away, rename_folder, copy_folder, hide_folder],
    ids=lambda f: f.__name__,
)
def test_a_file_that_is_not_at_its_path_is_a_fault(
    recording: Recording, name: str, change: Callable[[Path], object]
) -> None:
    try:
        change(recording.folder / name)
        assert recording.came.wait(LONG_S)
    finally:
        if os.path.ismount(recording.folder):
            subprocess.run(["umount", str(recording.folder)], check=True)
    assert recording.faults[0].what == "gone"
    assert recording.folder.name in recording.faults[0].text
    assert not recording.recorder.close()


@pytest.mark.parametrize("change", [lambda data: data[:100], lambda data: data + b"more", lambda data: b""])
def test_a_log_that_another_program_made_longer_or_shorter_is_a_fault(
    recording: Recording, change: Callable[[bytes], bytes]
) -> None:
    path = recording.folder / LOG_NAME
    path.write_bytes(change(path.read_bytes()))
    assert recording.came.wait(LONG_S)
    assert recording.faults[0].what == "gone"
    assert "something else changed it" in recording.faults[0].text


def test_a_file_that_goes_just_before_the_end_is_noticed_in_the_end(recording: Recording) -> None:
    (recording.folder / LOG_NAME).unlink()
    assert not recording.recorder.close()
    assert [each.what for each in recording.faults] == ["gone"]


def test_files_at_their_path_are_no_fault_whoever_reads_them_or_links_to_them(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.link(recording.folder / LOG_NAME, tmp_path / "link")
    (recording.folder / LOG_NAME).read_bytes()
    (recording.folder / LOG_NAME).chmod(0o600)
    monkeypatch.chdir(tmp_path / "root")
    assert recording.recorder.close()
    assert recording.faults == []


def test_a_folder_that_was_given_relative_to_another_one_is_still_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Recording(Path("root"))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert made.recorder.close()
    assert made.faults == []

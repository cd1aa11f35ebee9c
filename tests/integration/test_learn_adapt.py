"""``rtface learn adapt`` as a user meets it: labels and an engine in, a new engine out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from support.drawn_labels import NAMES, begun_engine, drawn

from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelSet
from rtface.track.store import load_engine

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of engines with one that was not trained at all, and labels beside it.

    A few steps teach such an engine nothing, so that every new keypoint is let pass.
    """
    monkeypatch.setattr("rtface.learn.tracker.new_keypoints.STILL_PX", 1000.0)
    begun_engine(tmp_path / "engines" / "begun")
    write_table(LabelSet(NAMES, drawn(8).frames), tmp_path / "frames")
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    return tmp_path


def test_labels_become_an_engine_with_their_keypoints(
    folder: Path, rtface: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(folder / "engines"))
    command = ("learn", "adapt", "--engine", "begun", "--labels", "frames", "--steps", "25")
    unclear = rtface(*command)
    assert unclear.returncode == 2
    assert "does not know: ahead" in unclear.stderr

    done = rtface(
        *command, "--add", "ahead", "--rename", "faint=dim", "--drop", "bright", "--run", "run", "--json"
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert load_engine("begun-adapted").manifest.names == ("dim", "ahead")
    report = json.loads((folder / "run" / "report.json").read_text())
    assert report["frames"] == printed["frames"] == 8
    assert len(report["held_out_frames"]) == 2
    assert set(report["after"]["by_keypoint"]) == {"dim", "ahead"}
    assert (folder / "run" / "search.losses.csv").read_text().count("\n") == 26

    again = rtface(*command, "--add", "ahead")
    assert again.returncode == 5
    assert "exists already" in again.stderr


def test_a_new_keypoint_that_was_not_learnt_is_an_error_that_names_it(
    folder: Path, rtface: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.learn.tracker.new_keypoints.STILL_PX", 2.0)
    monkeypatch.setenv("RTFACE_ENGINES", str(folder / "engines"))
    command = ("learn", "adapt", "--engine", "begun", "--labels", "frames", "--steps", "2", "--add", "ahead")
    refused = rtface(*command, "--distance", "gap=bright,faint")
    assert refused.returncode == 5
    assert "a new keypoint was not learnt" in refused.stderr
    assert "ahead is off by" in refused.stderr
    assert not (folder / "engines" / "begun-adapted").exists()
    unknown = rtface(*command, "--distance", "gap=bright,fain")
    assert unknown.returncode == 2
    assert "no keypoint 'fain'; did you mean faint?" in unknown.stderr


def test_what_became_of_it_is_told(folder: Path, rtface: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(folder / "engines"))
    command = ("learn", "adapt", "--engine", "begun", "--labels", "frames", "--keypoints", "ahead,bright")
    done = rtface(*command, "--steps", "25", "--name", "mine")
    assert done.returncode == 0, done.stderr
    assert "8 frames" in done.stdout
    assert "held out" in done.stderr
    assert load_engine("mine").manifest.names == ("ahead", "bright")

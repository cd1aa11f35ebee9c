"""``rtface learn start``: from a recording to an engine, step by step, left and taken up again at each of them."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

import cv2
import pytest
from support.drawn_labels import NAMES, begun_engine, drawn

from rtface.core.errors import DataError, UsageError
from rtface.learn.guided.adapting import adapt_attempt, check_attempt
from rtface.learn.guided.start import GuidedStart, kept_start
from rtface.learn.guided.way import open_way
from rtface.track.store import load_engine

Run = Callable[..., CompletedProcess[str]]
COMMAND = ("learn", "start", "mouse", "--engine", "begun", "--count", "9", "--steps", "25", "--threads", "1")
FRAMES = drawn(30)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording as a folder of images, and an engine that was not trained at all.

    A few steps teach such an engine nothing, so that every new keypoint is let pass.
    """
    monkeypatch.setattr("rtface.learn.tracker.new_keypoints.STILL_PX", 1000.0)
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    monkeypatch.chdir(tmp_path)
    begun_engine(tmp_path / "engines" / "begun")
    (tmp_path / "mouse").mkdir()
    for number, frame in enumerate(FRAMES.frames):
        cv2.imwrite(str(tmp_path / "mouse" / f"{number:03}.png"), frame.image)
    return tmp_path


def label(folder: Path, names: tuple[str, ...] = NAMES, *, wrong: str = "", rows: int = 99) -> Path:
    """Fill in the table as a person would, from what is known of the frames."""
    table = folder / "mouse-learn" / "to-label" / "labels.csv"
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines[:rows]:
        frame = FRAMES.frames[int(line["name"][5:11])]
        for name in names:
            x, y = frame.xy[NAMES.index(name)]
            line[f"{name}_x"], line[f"{name}_y"] = str(x), str(y)
    if wrong:
        lines[2]["bright_x"] = wrong
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for line in lines for key in line)))
        writer.writeheader()
        writer.writerows(lines)
    return table


def test_the_way_is_taken_step_by_step_and_labels_stay(
    folder: Path, rtface: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(folder / "engines"))
    asked = rtface(*COMMAND)
    assert asked.returncode == 20, asked.stderr
    assert "next: suggest" in asked.stderr
    assert "It takes about" in asked.stderr
    assert not (folder / "mouse-learn" / "to-label").exists()

    waits = rtface(*COMMAND, "--yes")
    assert waits.returncode == 21, waits.stderr
    assert "labels.csv" in waits.stderr

    table = label(folder, wrong="9999")
    wrong = rtface("learn", "start", "--folder", "mouse-learn", "--yes")
    assert wrong.returncode == DataError.exit_code
    assert "labels.csv: line 4: bright at (9999" in wrong.stderr

    label(folder)
    filled_in = table.read_bytes()
    undecided = rtface("learn", "start", "--folder", "mouse-learn", "--yes")
    assert undecided.returncode == 2
    assert "does not know: ahead" in undecided.stderr

    ready = rtface(*COMMAND, "--add", "ahead")
    assert ready.returncode == 22, ready.stderr
    done = rtface("learn", "start", "mouse", "--yes")
    assert done.returncode == 0, done.stderr
    assert "ahead (new)" in done.stdout
    assert "at most 130 steps" in done.stderr
    assert "rtface track" in done.stdout
    assert load_engine("mouse-1").manifest.names == NAMES
    report = json.loads((folder / "mouse-learn" / "attempt-1" / "run" / "report.json").read_text())
    assert report["frames"] == 9

    written = (folder / "engines" / "mouse-1" / "manifest.json").read_bytes()
    again = rtface("learn", "start", "mouse", "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert (told["next"], told["engine"], told["labelled_frames"]) == ("done", "mouse-1", 9)
    assert set(told["evaluation"]["after"]["by_keypoint"]) == set(NAMES)
    assert (folder / "engines" / "mouse-1" / "manifest.json").read_bytes() == written
    assert table.read_bytes() == filled_in

    label(folder, NAMES[:2], rows=7)
    label(folder, wrong=str(float(FRAMES.frames[0].xy[0, 0])))
    other = rtface("learn", "start", "mouse", "--json")
    assert (other.returncode, json.loads(other.stdout)["next"]) == (22, "check")


def test_other_recordings_and_engines_do_not_replace_what_is_chosen(
    folder: Path, rtface: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(folder / "engines"))
    assert rtface(*COMMAND, "--yes").returncode == 21
    other = rtface("learn", "start", "mouse", "--count", "5")
    assert other.returncode == 2
    assert "begun with count = 9, not 5" in other.stderr
    (folder / "mouse-learn" / "start.json").write_text('{"videos": ["mouse"]}')
    damaged = rtface("learn", "start", "mouse")
    assert damaged.returncode == DataError.exit_code
    assert "start.json" in damaged.stderr
    assert "crop" in damaged.stderr
    (folder / "other").mkdir()
    (folder / "other" / "thesis.txt").write_text("mine")
    foreign = rtface("learn", "start", "mouse", "--folder", "other")
    assert foreign.returncode == DataError.exit_code
    assert [file.name for file in (folder / "other").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("stops", ["training", "before its report"])
def test_a_training_that_was_stopped_is_taken_up(
    folder: Path, rtface: Run, monkeypatch: pytest.MonkeyPatch, stops: str
) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(folder / "engines"))
    rtface(*COMMAND, "--yes")
    label(folder, NAMES[:2])
    assert rtface(*COMMAND, "--json").returncode == 22
    kept = kept_start(folder / "mouse-learn")
    assert kept is not None
    way = open_way(folder / "mouse-learn", kept)
    labels = way.where().labels
    assert labels is not None
    check_attempt(way, labels)
    at = way.where()
    assert at.step == "adapt"
    assert at.attempt is not None
    if stops == "training":
        seen = count()
        assert adapt_attempt(way, labels, at.attempt, stop=lambda: next(seen) >= 10) is None
        assert not (folder / "engines" / "mouse-1").exists()
    else:
        broken = patch("rtface.learn.run_folder.RunFolder.write_report", side_effect=KeyboardInterrupt)
        with broken, pytest.raises(KeyboardInterrupt):
            adapt_attempt(way, labels, at.attempt)
        assert (folder / "engines" / "mouse-1").exists()
    assert way.where().step == "adapt"
    assert adapt_attempt(way, labels, at.attempt) is not None
    assert way.where().step == "evaluate"
    straight = rtface("learn", "start", "mouse", "--yes", "--json")
    assert json.loads(straight.stdout)["next"] == "done"


def test_a_training_that_was_stopped_makes_its_engine_from_the_best_so_far_where_that_is_asked_for(
    folder: Path, rtface: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(folder / "engines"))
    rtface(*COMMAND, "--yes")
    nothing = rtface("learn", "finish", "mouse-learn")
    assert nothing.returncode == UsageError.exit_code
    assert "neither a run" in nothing.stderr
    label(folder, NAMES[:2])
    assert rtface(*COMMAND, "--json").returncode == 22
    kept = kept_start(folder / "mouse-learn")
    assert kept is not None
    way = open_way(folder / "mouse-learn", kept)
    labels = way.where().labels
    assert labels is not None
    check_attempt(way, labels)
    attempt = way.where().attempt
    assert attempt is not None
    early = rtface("learn", "finish", "mouse-learn")
    assert early.returncode == UsageError.exit_code, "the check alone was made"
    seen = count()
    assert adapt_attempt(way, labels, attempt, stop=lambda: next(seen) >= 27) is None
    asked = rtface("learn", "finish", "mouse-learn")
    assert asked.returncode == 0, asked.stderr
    done = rtface("learn", "start", "mouse", "--yes", "--json")
    report = json.loads(done.stdout)["report"]
    assert report["finished_early"], done.stderr
    assert load_engine("mouse-1").manifest.training["finished_early"] == report["finished_early"]
    assert rtface("learn", "finish", "mouse-learn").returncode == UsageError.exit_code, "it is finished"


def test_two_ways_that_were_to_make_one_engine_make_two(folder: Path) -> None:
    """Both were begun before either had an engine, so that both were to make the first of that name."""
    from rtface.learn.labels.formats.table import write_table

    write_table(drawn(9).arranged(NAMES[:2]), folder / "labels")
    asked = GuidedStart((), "begun", name="mouse-1", labels=(folder / "labels",), steps=25)
    ways = [open_way(folder / name, asked) for name in ("one", "other")]
    begun = []
    for way in ways:
        labels = way.where().labels
        assert labels is not None
        check_attempt(way, labels)
        begun.append((way, labels, way.attempts()[0]))
    assert [attempt.engine for _, _, attempt in begun] == ["mouse-1", "mouse-1"]
    seen = count()
    assert adapt_attempt(*begun[1], stop=lambda: next(seen) >= 5) is None, "its training is begun, and left"
    made = [adapt_attempt(*each) for each in begun]
    assert all(made)
    engines = [each.engine for each in made if each is not None]
    assert [each.manifest.name for each in engines] == ["mouse-1", "mouse-1-2"]
    assert load_engine("mouse-1").sha256 == engines[0].sha256
    where = [way.where() for way in ways]
    assert [(at.step, at.attempt.engine) for at in where if at.attempt] == [
        ("evaluate", "mouse-1"),
        ("evaluate", "mouse-1-2"),
    ]


def test_labels_that_lie_elsewhere_need_no_suggestion(
    folder: Path, rtface: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtface.learn.labels.formats.table import write_table

    monkeypatch.setenv("RTFACE_ENGINES", str(folder / "engines"))
    write_table(drawn(9).arranged(NAMES[:2]), folder / "mine")
    ready = rtface(*COMMAND, "--labels", "mine")
    assert ready.returncode == 22, ready.stderr
    assert not (folder / "mouse-learn" / "to-label").exists()


def test_a_person_is_asked(folder: Path) -> None:
    """At a terminal: what is to become of a new keypoint, and whether to go on."""
    environment = os.environ | {"RTFACE_ENGINES": str(folder / "engines"), "COLUMNS": "200"}
    command = [sys.executable, "-m", "rtface", *COMMAND]
    subprocess.run(
        [*command, "--yes"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    label(folder)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"what\na\nn\n")
        asked = subprocess.run(
            command, env=environment, stdin=theirs, capture_output=True, text=True, check=False, timeout=100
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert asked.returncode == 22, asked.stderr
    assert asked.stderr.count("the engine has no keypoint 'ahead'") == 2
    kept = kept_start(folder / "mouse-learn")
    assert kept is not None
    assert kept.changes.add == ("ahead",)
    assert not (folder / "mouse-learn" / "attempt-1").exists()

"""Guesses: found by an engine, kept beside the labels, and never labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.commandline import run
from support.drawn_labels import NAMES, drawn, drawn_engine

from rtface.config import BackendSettings
from rtface.core.errors import DataError
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.reading import read_labels
from rtface.screen.label import guesses as module
from rtface.screen.label.guesses import GUESSES, guess, read_guesses
from rtface.screen.label.opening import copy_to_label
from rtface.screen.label.project import JOURNAL, LabelProject
from rtface.track.store import Engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return drawn_engine(tmp_path_factory.mktemp("engines") / "small")


@pytest.fixture
def project(tmp_path: Path) -> LabelProject:
    write_table(drawn(4).arranged(("faint", "tail")), tmp_path / "old")
    copy_to_label(tmp_path / "old", tmp_path / "set", "anna")
    return LabelProject(tmp_path / "set")


def test_guesses_are_of_the_keypoints_that_both_have_and_change_no_label(
    project: LabelProject, engine: Engine
) -> None:
    before, labels = (project.folder / JOURNAL).read_bytes(), project.labels("first")
    found = guess(project, engine, BackendSettings())
    kept = read_guesses(project.folder)
    assert kept is not None
    assert kept.engine_sha256 == engine.sha256
    assert set(found.points) == {"f1", "f2", "f3", "f4"}
    assert {point for each in found.points.values() for point in each} == {"p1"}
    for frame, each in found.points.items():
        np.testing.assert_allclose(kept.points[frame]["p1"], each["p1"], atol=0.006)
    assert (project.folder / JOURNAL).read_bytes() == before
    assert project.labels("first") == labels
    assert read_labels(project.folder).labels == 4


def test_only_frames_without_guesses_are_looked_at_again(project: LabelProject, engine: Engine) -> None:
    looked: list[tuple[int, int]] = []
    guess(
        project,
        engine,
        BackendSettings(),
        progress=lambda done, of: looked.append((done, of)),
        stop=lambda: True,
    )
    assert looked == [(1, 4)]
    guess(project, engine, BackendSettings(), progress=lambda done, of: looked.append((done, of)))
    assert looked[1:] == [(1, 3), (2, 3), (3, 3)]


def test_an_engine_that_shares_no_keypoint_is_refused(project: LabelProject, engine: Engine) -> None:
    project.act("anna", "rename", [[["name", "p1"], "ear"]])
    with pytest.raises(DataError, match="rename them"):
        guess(project, engine, BackendSettings())


def test_a_damaged_file_is_named(project: LabelProject) -> None:
    assert read_guesses(project.folder) is None
    (project.folder / GUESSES).write_text('{"points": 3}')
    with pytest.raises(DataError, match=r"guesses\.json"):
        read_guesses(project.folder)


def test_the_command_line_guesses(project: LabelProject, engine: Engine) -> None:
    assert "faint" in NAMES
    answer = run("learn", "guess", str(project.folder), "--engine", str(engine.folder), "--json")
    assert answer.returncode == 0, answer.stderr
    assert module.read_guesses(project.folder) is not None
    assert '"frames": 4' in answer.stdout

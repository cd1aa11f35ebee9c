"""``rtface learn labels``: what it prints, what it writes, and how it names what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.cli.learn.options import parse_renames
from rtface.core.errors import DataError, UsageError
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.labels.reading import read_labels

NAN = float("nan")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    xy = np.array([[1, 2], [NAN, NAN]], np.float32)
    frames = (
        LabelledFrame("a", "one", np.zeros((20, 30), np.uint8), xy),
        LabelledFrame("b", "two", np.zeros((20, 30), np.uint8), xy + 1),
        LabelledFrame("c", "two", np.zeros((10, 40), np.uint8), xy[::-1] + 2),
    )
    write_table(LabelSet(("[nose]", "paw 1"), frames), tmp_path / "set")
    return tmp_path / "set"


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["learn", "labels", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_tables_count_labels_frames_and_sizes(folder: Path) -> None:
    lines = [line.split() for line in call(folder).splitlines()]
    assert ["[nose]", "2"] in lines
    assert ["paw", "1", "1"] in lines
    assert ["one", "1", "1", "30x20"] in lines
    assert ["two", "2", "2", "30x20,", "40x10"] in lines
    assert ["3", "labels", "on", "3", "frames"] in lines


def test_json_says_the_same(folder: Path) -> None:
    told = json.loads(call(folder, "--json", "--rename", "paw 1=paw"))
    assert told == {
        "schema": "rtface.cli/learn.labels/1",
        "frames": 3,
        "labels": 3,
        "keypoints": {"[nose]": 2, "paw": 1},
        "videos": {
            "one": {"frames": 1, "labels": 1, "sizes": ["30x20"]},
            "two": {"frames": 2, "labels": 2, "sizes": ["30x20", "40x10"]},
        },
        "notes": [],
        "public_sets": [],
        "written": None,
    }


def test_a_set_is_written_under_its_new_names_once(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert str(out / "labels.csv") in call(folder, "--out", out, "--rename", "[nose]=nose(tip)").replace(
        "\n", ""
    )
    again = read_labels(out)
    assert again.keypoints == ("nose(tip)", "paw 1")
    np.testing.assert_array_equal(again.frames[2].xy, read_labels(folder).frames[2].xy)
    with pytest.raises(DataError, match="exists already"):
        call(folder, "--out", out)


def test_renames_are_told_apart() -> None:
    assert parse_renames(None) == {}
    assert parse_renames(["whisker 1 = whisker(II)", "a=b"]) == {"whisker 1": "whisker(II)", "a": "b"}


@pytest.mark.parametrize("texts", [["nose"], ["=nose"], ["nose="], ["a=b=c"], ["a=b", "a=c"]])
def test_a_rename_that_says_nothing_clear_is_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError, match="--rename"):
        parse_renames(texts)

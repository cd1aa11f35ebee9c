"""The folder of a run: gone on with when the request is the same, refused when it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtface.core.errors import DataError
from rtface.learn.run_folder import CONFIGURATION_FILE, open_run

ASKED = {"family": "small", "keypoints": ("a", "b"), "recipe": {"steps": 3, "augmentation": {"zoom": 1.1}}}


def test_the_same_configuration_goes_on_and_the_report_ends_it(tmp_path: Path) -> None:
    first = open_run(tmp_path / "runs" / "one", ASKED)
    first.checkpoint("train").write_bytes(b"kept")
    again = open_run(tmp_path / "runs" / "one", ASKED)
    assert again.checkpoint("train").read_bytes() == b"kept"
    assert not again.finished
    again.write_report({"error": 1.5})
    assert json.loads((tmp_path / "runs" / "one" / "report.json").read_text()) == {"error": 1.5}
    assert first.finished


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"family": "tiny"}, r"family = 'small', not 'tiny'"),
        ({"keypoints": ["b", "a"]}, "keypoints"),
        ({"recipe": {"steps": 4, "augmentation": {"zoom": 1.1}}}, r"recipe\.steps = 3, not 4"),
        (
            {"recipe": {"steps": 3, "augmentation": {"zoom": 1.2}}},
            r"recipe\.augmentation\.zoom = 1\.1, not 1\.2",
        ),
        ({"more": 1}, "more = None, not 1"),
    ],
)
def test_another_configuration_is_refused_and_the_field_is_named(
    tmp_path: Path, change: dict[str, object], named: str
) -> None:
    open_run(tmp_path / "run", ASKED)
    with pytest.raises(DataError, match=named):
        open_run(tmp_path / "run", {**ASKED, **change})
    open_run(tmp_path / "run", ASKED)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(DataError, match="not a run"):
        open_run(tmp_path, ASKED)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", "7"])
def test_a_damaged_configuration_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIGURATION_FILE).write_text(text)
    with pytest.raises(DataError, match=CONFIGURATION_FILE):
        open_run(tmp_path, ASKED)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        open_run(tmp_path / "file" / "run", ASKED)


@pytest.mark.parametrize("count", [1, 120])
def test_losses_are_kept_as_numbers_and_as_a_picture(tmp_path: Path, count: int) -> None:
    run = open_run(tmp_path / "run", ASKED)
    run.write_losses("train", [0.5 / step for step in range(1, count + 1)])
    lines = (run.folder / "train.losses.csv").read_text().splitlines()
    assert lines[:2] == ["step,loss", "1,0.5"]
    assert len(lines) == count + 1
    assert (run.folder / "train.png").read_bytes().startswith(b"\x89PNG")

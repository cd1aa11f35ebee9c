"""``rtface learn train``: what it prints, how it ends, and how it goes on."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console
from support.drawn_labels import drawn
from typer.testing import CliRunner, Result

from rtface.cli.app import app
from rtface.cli.learn import train as module
from rtface.cli.learn.options import parse_hold_out, parse_names
from rtface.cli.learn.tables import errors_table, reliability_table
from rtface.cli.terminal.training import training_bar
from rtface.core.errors import RtfaceError, UsageError
from rtface.learn.labels.formats.table import write_table
from rtface.track.store import load_engine

BRIEFLY = ("--family", "tiny", "--steps", "3", "--batch", "2", "--simulated", "0")


@pytest.fixture
def labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    write_table(drawn(8), tmp_path / "labels")
    return tmp_path / "labels"


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["learn", "train", *map(str, arguments)])
    if isinstance(result.exception, RtfaceError):
        raise result.exception
    return result


def test_it_prints_errors_paths_and_what_to_do_next(labels: Path, tmp_path: Path) -> None:
    result = call(labels, "--name", "mine", *BRIEFLY, "--hold-out-share", "0.5", "--seed", "4")
    assert result.exit_code == 0, result.output
    for expected in (
        "error (camera pixels)",
        "bright",
        str(tmp_path / "engines" / "mine"),
        str(tmp_path / "runs" / "mine"),
        "rtface track VIDEO --engine mine",
    ):
        assert expected in result.stdout
    assert "not calibrated" in result.stderr
    assert "--hold-out VIDEO" in result.stderr, "the recording is in both parts"
    manifest = load_engine("mine").manifest
    assert manifest.training["steps"] == 3
    assert manifest.training["batch"] == 2
    assert manifest.training["seed"] == 4
    assert manifest.training["held_out"]["frames"] == 4


def test_for_machines_it_prints_json_alone(labels: Path, tmp_path: Path) -> None:
    run = tmp_path / "elsewhere"
    result = call(
        labels, "--name", "mine", *BRIEFLY, "--json", "--run", run, "--crop", "0,0,100,56", "--keypoints", "ahead, nose",
        "--rename", "bright=nose",
    )  # fmt: skip
    told = json.loads(result.stdout)
    assert result.stderr == ""
    assert told["engine"] == "mine"
    assert told["run"] == str(run)
    assert set(told["metrics"]["by_keypoint"]) == {"ahead", "nose"}
    assert (run / "report.json").exists()
    assert load_engine("mine").manifest.training["crop"] == {
        "x": 0,
        "y": 0,
        "width": 100,
        "height": 56,
        "mirrored": False,
    }


def test_an_interrupt_leaves_a_checkpoint_and_the_same_command_goes_on(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    @contextmanager
    def bar(total: int, description: str, *, quiet: bool = False) -> Iterator[Callable[[int, float], None]]:
        def progress(step: int, loss: float) -> None:
            steps.append(step)
            if len(steps) == 2:
                pressed = signal.getsignal(signal.SIGINT)
                assert callable(pressed)
                pressed(signal.SIGINT, None)  # a signal of the system's would be the whole worker's

        yield progress

    monkeypatch.setattr(module, "training_bar", bar)
    command = (labels, "--name", "mine", *BRIEFLY)
    stopped = call(*command)
    assert stopped.exit_code == 130
    assert "the same command goes on" in stopped.stderr
    assert (tmp_path / "runs" / "mine" / "train.checkpoint").exists()
    assert not (tmp_path / "engines").exists()
    assert call(*command).exit_code == 0
    assert steps == [1, 2, 3]
    assert load_engine("mine").manifest.name == "mine"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--hold-out", "one", "--hold-out-share", "0.2"), "one of the two"),
        (("--keypoints", "a,,b"), "a,,b"),
        (("--keypoints", "a,b,a"), "'a' twice"),
        (("--rename", "a"), "OLD=NEW"),
        (("--crop", "1,2,3"), "X,Y,WIDTH,HEIGHT"),
    ],
)
def test_wrong_options_are_named(labels: Path, options: tuple[str, ...], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        call(labels, "--name", "mine", *BRIEFLY, *options)


def test_what_is_held_out() -> None:
    assert parse_hold_out(None, None, 0.15) == 0.15
    assert parse_hold_out(None, 0.0, 0.15) == 0.0
    assert parse_hold_out(["b", "a"], None, 0.15) == ("b", "a")
    assert parse_names(None) == ()
    assert parse_names("a, b(c)") == ("a", "b(c)")


def shown(table: object) -> list[list[str]]:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table)
    return [line.split() for line in capture.get().splitlines()]


def test_the_tables_hold_the_metrics() -> None:
    summary = {"n": 2, "mean_px": 1.5, "median_px": 1.25, "p90_px": 3.0}
    metrics = {**summary, "unit": "camera pixels", "by_keypoint": {"[nose]": summary}}
    rows = shown(errors_table(metrics))
    assert rows[1:] == [["[nose]", "2", "1.50", "1.25", "3.00"], ["all", "2", "1.50", "1.25", "3.00"]]
    assert shown(errors_table({"n": 0, "by_keypoint": {}}))[1:] == [["all", "0", "-", "-", "-"]]
    judged = {"bins": [{"n": 7, "stated": 0.6, "within": 0.75}], "expected_calibration_error": 0.125}
    assert shown(reliability_table(judged))[1:] == [
        ["0.60", "0.75", "7"],
        ["off", "by,", "on", "average", "0.125"],
    ]


def test_the_bar_can_begin_in_the_middle_and_be_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with training_bar(10, "[odd] name", quiet=True) as progress:
        progress(7, 1.0)
        progress(8, 0.5)
    assert capsys.readouterr() == ("", "")
    with training_bar(10, "[odd] name") as progress:
        progress(9, 0.25)

"""Errors of an engine on labelled frames: its figures, what is judged, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fakes import FakeBackend, fake_engine
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.core.errors import DataError, UsageError
from rtface.core.geometry import NetworkFrame
from rtface.core.records import Crop, FloatArray, Image
from rtface.learn.distances import DeclaredDistance
from rtface.learn.engines.accuracy import EngineErrors, measure
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.track import pictures
from rtface.track.manifest import ScoreSpec
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

SIZE = 64
NOSE, EYE, EAR = (10.0, 20.0), (30.0, 5.0), (40.0, 9.0)
CALIBRATED = ScoreSpec(definition="within 2 pixels", calibrated=True, radius_px=2.0)


class Brightness(FakeBackend):
    """Places as a test says, further right by the frame's gray level, which is a tenth of the score too."""

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        value = int(super().infer(frame, levels).size and frame[0, 0])
        return np.array([[x + value, y, value / 10] for x, y in (NOSE, EYE, EAR)], np.float32)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Brightness:
    made = Brightness()
    monkeypatch.setattr(pictures, "make_backend", lambda *_: made)
    return made


def engine(tmp_path: Path | None = None, **changes: object) -> Engine:
    plain = fake_engine(keypoints=(("nose", True), ("eye", True), ("ear", False)), size=SIZE)
    manifest = plain.manifest.model_copy(update=changes)
    if tmp_path is None:
        return Engine(plain.folder, manifest)
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    return Engine(tmp_path, manifest)


def frame(
    number: int,
    shape: tuple[int, int],
    off: dict[str, tuple[float, float]],
    crop: Crop | None = None,
    video: str = "v",
) -> LabelledFrame:
    """A frame of gray level `number` whose labels lie off the engine's answer by so many camera pixels."""
    seen = NetworkFrame(crop or Crop(0, 0, shape[1], shape[0]), SIZE, True, True)
    xy = np.full((3, 2), np.nan, np.float32)
    for row, (name, place) in enumerate((("eye", EYE), ("nose", NOSE), ("ear", EAR))):
        if name in off:
            xy[row] = seen.to_camera(np.array([place[0] + number, place[1]], np.float32)) + off[name]
    return LabelledFrame(f"{number}.png", video, np.full(shape, number, np.uint8), xy)


def set_of(*frames: LabelledFrame) -> LabelSet:
    return LabelSet(("eye", "nose", "ear"), frames)


TWO_SIZES = (
    frame(3, (128, 128), {"nose": (3, 4), "eye": (0, 1)}),
    frame(5, (60, 64), {"nose": (6, 8)}),
    frame(9, (128, 128), {"nose": (0, -2), "eye": (0, 3), "ear": (0, 0)}, video="w"),
)


def measured(labels: LabelSet, judged: Engine, crop: Crop | None = None) -> EngineErrors:
    with PictureTracker(judged, crop=crop) as tracker:
        return measure(tracker, labels)


def test_the_figures_are_those_of_a_direct_calculation(backend: Brightness, tmp_path: Path) -> None:
    found = measured(set_of(*TWO_SIZES), engine(tmp_path, score=CALIBRATED))
    assert found.labels.keypoints == ("nose", "eye"), "the engine's order"
    assert found.distance == pytest.approx(np.array([[5, 1], [10, np.nan], [2, 3]]), abs=1e-4, nan_ok=True)
    assert found.score == pytest.approx(np.array([[0.3] * 2, [0.5] * 2, [0.9] * 2]))
    assert found.scale.tolist() == [2, 1, 2]
    report = found.as_dict()
    values = [5, 1, 10, 2, 3]
    assert (report["n"], report["frames"], report["not_found"]) == (5, 3, 0)
    assert (report["mean_px"], report["median_px"]) == (np.mean(values), np.median(values))
    assert report["p90_px"] == pytest.approx(np.percentile(values, 90))
    assert report["by_keypoint"]["nose"]["mean_px"] == pytest.approx(17 / 3, abs=0.005)
    assert {video: (each["n"], each["mean_px"]) for video, each in report["by_video"].items()} == {
        "v": (3, 5.33),
        "w": (2, 2.5),
    }
    # In the network's pixels 2.5, 0.5, 10, 1 and 1.5: within 2 are one of the two at 0.3, and both at 0.9.
    assert report["score_reliability"]["bins"] == [
        {"n": 2, "stated": 0.3, "within": 0.5},
        {"n": 1, "stated": 0.5, "within": 0.0},
        {"n": 2, "stated": 0.9, "within": 1.0},
    ]
    assert [
        (each["name"], each["n"], each["mean_px"], each["worst"], each["worst_px"])
        for each in report["worst_frames"]
    ] == [("5.png", 1, 10, "nose", 10), ("3.png", 2, 3, "nose", 5), ("9.png", 2, 2.5, "eye", 3)]
    assert backend.log.count("backend.prepare") == 2, "fitted once to each size"
    assert backend.log[-1] == "backend.close"
    json.dumps(report)


def test_distances_are_judged_that_labels_or_the_manifest_declare(
    backend: Brightness, tmp_path: Path
) -> None:
    """The engine's nose and eye stay 25 pixels apart; the labels' do not."""
    moved = [
        frame(k, (64, 64), {"nose": (0, 0), "eye": (4 * k, -3 * k)}, video=f"v{k % 2}") for k in range(6)
    ]
    declared = {"distances": {"gap": ["nose", "eye"]}}
    report = measured(set_of(*moved), engine(tmp_path, training=declared)).as_dict()
    gap = report["distances"]["gap"]
    assert (gap["slope"], gap["correlation"], gap["frames"], gap["clips"]) == (0, None, 6, 2)
    assert gap["labelled_px"]["mean"] == pytest.approx(25 + 5 * 2.5, abs=0.01)
    labels = replace(set_of(*moved), distances=(DeclaredDistance("ours", "eye", "nose"),))
    assert set(measured(labels, engine(tmp_path)).as_dict()["distances"]) == {"ours"}
    assert measured(set_of(*moved), engine(tmp_path)).as_dict()["distances"] == {}


def test_distances_are_printed_and_can_be_declared_on_the_command_line(
    backend: Brightness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [frame(k, (128, 128), {"eye": (0, 0), "nose": (-4 * k, 3 * k)}) for k in range(6)]
    (tmp_path / "set").mkdir()
    write_table(set_of(*few), tmp_path / "set")
    judged = engine(tmp_path)
    monkeypatch.setattr("rtface.cli.learn.evaluate.engine_for", lambda *_: judged)
    command = ["learn", "evaluate", str(tmp_path / "set"), "--engine", "x"]
    shown = CliRunner().invoke(app, [*command, "--distance", "gap=nose,eye", "--distance", "ear = ear, nose"])
    assert shown.exit_code == 0, shown.output
    line = next(line for line in shown.stdout.splitlines() if line.startswith("gap"))
    assert line.split()[1:] == ["0.00", "-", "6", "1"]
    wrong = CliRunner().invoke(app, [*command, "--distance", "gap=nose"])
    assert isinstance(wrong.exception, UsageError)


def test_scores_that_are_not_calibrated_are_not_judged(backend: Brightness, tmp_path: Path) -> None:
    assert "score_reliability" not in measured(set_of(*TWO_SIZES), engine(tmp_path)).as_dict()


def test_the_crop_is_what_the_network_sees_and_errors_stay_the_cameras(backend: Brightness) -> None:
    crop = Crop(20, 30, 64, 64)
    frames = (
        frame(2, (128, 128), {"nose": (0, 7)}, crop),
        frame(4, (100, 90), {"eye": (2, 0)}, crop),
    )
    found = measured(set_of(*frames), engine(), crop)
    assert found.distance[0, 0] == pytest.approx(7)
    assert found.distance[1, 1] == pytest.approx(2)
    assert {cropped for _, cropped in backend.prepared} == {crop}
    assert found.scale.tolist() == [1, 1]
    with pytest.raises(UsageError, match="beyond"):
        measured(set_of(*frames), engine(), Crop(50, 0, 64, 64))
    assert backend.log[-1] == "backend.close"


def test_what_only_one_side_has_is_told_and_not_judged(backend: Brightness) -> None:
    labels = set_of(*TWO_SIZES).renamed({"eye": "Eyes"})
    found = measured(labels, engine())
    assert found.labels.keypoints == ("nose",)
    assert found.only_labels == ("Eyes", "ear"), "the engine was never trained on ear"
    assert found.only_engine == ("eye",)
    unlabelled = frame(7, (64, 64), {"ear": (0, 0)})
    assert len(measured(set_of(*TWO_SIZES, unlabelled), engine()).labels) == 3


def test_no_name_in_common_is_refused_with_what_to_do(backend: Brightness) -> None:
    labels = set_of(*TWO_SIZES).renamed({"eye": "Eyes", "nose": "NOSE_", "ear": "paw"})
    with pytest.raises(DataError, match="share no keypoint") as refused:
        measured(labels, engine())
    assert "--rename 'Eyes=eye' --rename 'NOSE_=nose'" in str(refused.value)
    other = set_of(*TWO_SIZES).renamed({"eye": "tail", "nose": "paw", "ear": "foot"})
    with pytest.raises(DataError, match="--rename 'OLD=NEW'"):
        measured(other, engine())
    with pytest.raises(DataError, match="holds no label"):
        measured(set_of(frame(1, (64, 64), {})), engine())


def test_a_label_without_an_answer_is_counted(backend: Brightness, tmp_path: Path) -> None:
    found = measured(set_of(*TWO_SIZES), engine(tmp_path))
    distance = found.distance.copy()
    distance[0, 0] = np.nan
    assert replace(found, distance=distance).as_dict()["not_found"] == 1


def test_the_verb_prints_the_figures_and_whether_they_are_of_new_recordings(
    backend: Brightness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(set_of(*TWO_SIZES), tmp_path / "labels")
    training: dict[str, object] = {"recordings": ["v"], "held_out": {"recordings": ["w"]}}
    loaded = engine(tmp_path, score=CALIBRATED, training=training)
    monkeypatch.setattr("rtface.cli.learn.evaluate.engine_for", lambda *_: loaded)
    arguments = ["learn", "evaluate", str(tmp_path / "labels")]
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
    assert shown.exit_code == 0, shown.output
    assert "4.20" in shown.stdout
    assert "within the radius" in shown.stdout
    assert "trained on frames of v: expect larger errors" in shown.stderr
    assert "not evaluated: ear" in shown.stderr
    told = json.loads(CliRunner().invoke(app, [*arguments, "--rename", "eye=lid", "--json"]).stdout)
    assert told["by_video"]["w"]["training"] == "not trained on"
    assert (told["n"], told["only_in_engine"], told["only_in_labels"]) == (3, ["eye"], ["lid", "ear"])


def test_confirmed_guesses_are_left_out_of_what_is_compared(backend: Brightness, tmp_path: Path) -> None:
    frames = (frame(1, (64, 64), {"nose": (0, 0), "eye": (3, 4)}), frame(2, (64, 64), {"nose": (0, 2)}))
    guessed = tuple(replace(each, confirmed=np.array([False, True, False])) for each in frames[:1])
    plain = measured(set_of(*frames), engine(tmp_path)).as_dict()
    found = measured(set_of(*guessed, frames[1]), engine(tmp_path)).as_dict()
    assert "placed" not in plain
    assert found["n"] == plain["n"] == 3
    assert (found["placed"]["n"], found["placed"]["left_out"]) == (2, 1)
    assert found["placed"]["by_keypoint"]["nose"]["median_px"] == pytest.approx(2, abs=0.01)
    assert found["by_keypoint"]["nose"]["median_px"] == pytest.approx(1, abs=0.01)

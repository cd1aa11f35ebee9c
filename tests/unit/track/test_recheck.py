"""What was verified is what runs: the record's frames at each start, and with each crop."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.backends import runner_of
from support.drawn_labels import SHAPE, drawn, drawn_engine

from rtface.config import BackendSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.errors import EngineError
from rtface.core.records import Crop, Image
from rtface.track.backends import factory
from rtface.track.backends.base import Backend
from rtface.track.backends.factory import make_backend
from rtface.track.backends.openvino import OpenvinoBackend
from rtface.track.parity import parity_folder, store_parity
from rtface.track.recheck import Recheck, require_as_verified
from rtface.track.sample import SAMPLED, choose_frames
from rtface.track.store import Engine
from rtface.track.tracker import Tracker
from rtface.track.verify import verify

SETTINGS = BackendSettings(name="openvino", threads=1)
CROP = Crop(10, 2, 80, 48)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return drawn_engine(tmp_path / "engines" / "sound")


@pytest.fixture
def frames() -> dict[int, Image]:
    return {number: frame.image for number, frame in enumerate(drawn(12).frames)}


@pytest.fixture
def record(engine: Engine, frames: dict[int, Image]) -> Path:
    comparison, made = verify(engine, SETTINGS, frames, "day1.avi", crop=CROP)
    return store_parity(made, comparison.sample)


def started(
    engine: Engine, crop: Crop = CROP, shape: tuple[int, int] = SHAPE, backend: Backend | None = None
) -> tuple[Recheck, str]:
    """Start, and return how the frames came out and what arming is told, or its error."""
    tracker = Tracker(engine, backend or make_backend(engine, SETTINGS), SYSTEM_CLOCK)
    try:
        tracker.open()
        tracker.prepare(shape, crop)
        try:
            return tracker.recheck, require_as_verified(engine, tracker.backend, tracker.recheck)
        except EngineError as error:
            return tracker.recheck, f"refused: {error}"
    finally:
        tracker.close()


@pytest.fixture
def another_algorithm(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Moves each keypoint by so many pixels of the network's input, as a start with other rounding would."""
    sound, by = OpenvinoBackend.infer, [0.0]

    def off(self: OpenvinoBackend, frame: Image, levels: Any) -> Any:
        found = sound(self, frame, levels).copy()
        found[:, 0] += by[0]
        return found

    monkeypatch.setattr(OpenvinoBackend, "infer", off)
    return by


def test_a_start_that_finds_the_same_may_be_armed_and_says_so(engine: Engine, record: Path) -> None:
    found, told = started(engine)
    assert found.agrees
    assert f"the same at this start on {SAMPLED} of the frames: median 0.000" in told


@pytest.mark.parametrize(("by", "agrees"), [(0.05, True), (0.3, False), (float("nan"), False)])
def test_a_start_that_finds_something_else_is_refused(
    engine: Engine, record: Path, another_algorithm: list[float], by: float, agrees: bool
) -> None:
    another_algorithm[0] = by
    found, told = started(engine)
    assert found.agrees is agrees
    if not agrees:
        assert told.startswith(
            "refused: sound does not find at this start what it found when it was verified on 20"
        )
        assert "limits: median 0.1" in told
        assert told.endswith(
            "rtface engines verify sound --backend openvino --precision f32 --crop 10,2,80,48 --frames VIDEO"
        )


def test_the_command_for_a_mirrored_crop_is_of_the_camera_s_frame(
    engine: Engine, record: Path, another_algorithm: list[float]
) -> None:
    another_algorithm[0] = 0.3
    _, told = started(engine, replace(CROP, mirrored=True))
    assert told.endswith("--crop 10,2,80,48,mirrored --frames VIDEO")


def test_the_next_crop_is_compared_anew(engine: Engine, record: Path, another_algorithm: list[float]) -> None:
    tracker = Tracker(engine, make_backend(engine, SETTINGS), SYSTEM_CLOCK)
    tracker.open()
    verdicts = []
    for by in (0.0, 0.3, 0.0):
        another_algorithm[0] = by
        tracker.prepare(SHAPE, CROP)
        verdicts.append(tracker.recheck.agrees)
    tracker.close()
    assert verdicts == [True, False, True]


@pytest.mark.parametrize("corner", [(10, 6), (0, 2), (40, 8)])
def test_a_crop_that_was_moved_is_compared_too(
    engine: Engine, record: Path, another_algorithm: list[float], corner: tuple[int, int]
) -> None:
    moved = Crop(*corner, CROP.width, CROP.height)
    assert started(engine, moved)[0].text.startswith("the same at this start on 4 of the frames")
    another_algorithm[0] = 0.3
    assert not started(engine, moved)[0].agrees


def test_of_another_size_it_says_that_nothing_was_compared(engine: Engine, record: Path) -> None:
    found, told = started(engine, Crop(10, 2, 64, 48))
    assert found.agrees
    assert (
        "not compared again at this start, with a crop of 64x48: it was verified with 80x48 of 120x56" in told
    )
    assert started(engine, CROP, (SHAPE[0] + 2, SHAPE[1]))[0].text.startswith("not compared")


def test_a_record_of_before_there_were_frames_holds(
    engine: Engine, frames: dict[int, Image], another_algorithm: list[float]
) -> None:
    _, made = verify(engine, SETTINGS, frames, "day1.avi", crop=CROP)
    path = store_parity(made)
    older = json.loads(path.read_text(encoding="utf-8"))
    del older["sample"]
    path.write_text(json.dumps(older), encoding="utf-8")
    another_algorithm[0] = 0.3
    found, told = started(engine)
    assert found == Recheck()
    assert told == made.in_words()


def test_an_engine_whose_files_are_removed_meanwhile_runs_on(engine: Engine, record: Path) -> None:
    tracker = Tracker(engine, make_backend(engine, SETTINGS), SYSTEM_CLOCK)
    tracker.open()
    tracker.prepare(SHAPE, CROP)
    shutil.rmtree(engine.folder)
    tracker.prepare(SHAPE, Crop(0, 0, 80, 48))
    assert tracker.recheck == Recheck()
    tracker.close()


@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_frames_that_are_not_what_was_written_arm_nothing(engine: Engine, record: Path, damage: str) -> None:
    (kept,) = record.parent.glob("*.npz")
    whole = kept.read_bytes()
    if damage == "gone":
        kept.unlink()
    else:
        kept.write_bytes(whole[:-9] if damage == "cut" else whole[:200] + b"?" + whole[201:])
    found, told = started(engine)
    assert not found.agrees
    assert told.startswith(f"refused: the frames of a parity record, {kept}, ")
    assert "rtface engines verify sound" in told


def test_only_the_newest_record_s_frames_are_kept(engine: Engine, frames: dict[int, Image]) -> None:
    for crop in (CROP, Crop(0, 0, 80, 48)):
        comparison, made = verify(engine, SETTINGS, frames, "day1.avi", crop=crop)
        store_parity(made, comparison.sample)
        (kept,) = parity_folder().glob("*/*.npz")
    assert "the same at this start" in started(engine)[1]
    store_parity(made)
    assert not kept.exists()


def test_no_frames_are_kept_of_what_disagrees(tmp_path: Path, frames: dict[int, Image]) -> None:
    broken = drawn_engine(tmp_path / "engines" / "broken", off_by=0.05)
    comparison, made = verify(broken, SETTINGS, frames, "day1.avi")
    assert not made.agrees
    store_parity(made, comparison.sample)
    assert not list(parity_folder().glob("*/*.npz"))


def test_the_frames_are_in_no_file_of_results(engine: Engine, frames: dict[int, Image]) -> None:
    comparison, _ = verify(engine, SETTINGS, frames, "day1.avi")
    assert "sample" not in comparison.as_dict()
    json.dumps(comparison.model_dump(mode="json"))


def test_a_sample_leaves_out_the_frames_where_rounding_decides() -> None:
    shift = np.zeros((40, 15))
    shift[:, 0] = np.random.default_rng(0).permutation(40) / 1000
    shift[[3, 17], 4] = 80.0
    chosen = choose_frames(shift)
    assert len(chosen) == SAMPLED
    assert chosen == sorted(set(chosen) - {3, 17})
    assert shift[chosen].max() <= 0.03
    assert choose_frames(shift[:2]) == [0, 1] or len(choose_frames(shift[:2])) <= 2
    assert choose_frames(shift[:1]) == [0]


@pytest.mark.parametrize("name", ["emulated-torch-cuda", "emulated-tensorrt"])
def test_a_gpu_is_held_against_its_record_at_each_start(
    name: str,
    request: pytest.FixtureRequest,
    engine: Engine,
    frames: dict[int, Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = runner_of(name, request)
    monkeypatch.setattr(factory, "find_spec", lambda package: package)
    monkeypatch.setattr(factory, "_torch_has_cuda", lambda: True)
    comparison, made = verify(
        engine, BackendSettings.model_validate(runner.settings), frames, "day1.avi", crop=CROP
    )
    store_parity(made, comparison.sample)
    found, told = started(engine, backend=runner.make(engine))
    assert found.agrees
    assert "the same at this start on 4 of the frames" in told
    assert runner.gpu is not None
    assert not runner.gpu.left

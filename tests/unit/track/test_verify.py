"""An engine on a back end against its float reference: which reference, and what the record says."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.backends import REAL, runner_of
from support.drawn_labels import SHAPE, drawn, drawn_engine

from rtface.config import BackendSettings
from rtface.core.errors import DataError, EngineError, UsageError
from rtface.core.records import Crop, Image
from rtface.track.backends import factory
from rtface.track.backends.base import BackendInfo
from rtface.track.parity import LIMITS, require_parity, store_parity
from rtface.track.store import Engine, load_engine
from rtface.track.verify import choose_reference, verify

OPENVINO = BackendSettings(name="openvino", threads=1)
TORCH = BackendSettings(name="torch", threads=1)
CROP = Crop(10, 2, 100, 50)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return drawn_engine(tmp_path / "engines" / "sound")


@pytest.fixture
def frames() -> dict[int, Image]:
    return {5 * number: frame.image for number, frame in enumerate(drawn(12).frames)}


def test_a_sound_engine_agrees_and_may_be_armed(engine: Engine, frames: dict[int, Image]) -> None:
    comparison, record = verify(engine, OPENVINO, frames, "day1.avi", crop=CROP)
    assert record.agrees
    assert 0 < record.shift_px.max < 0.01
    assert record.shift_px.n == 12 * 3 == comparison.shift_px.n
    assert (record.reference.engine, record.reference.engine_sha256) == ("sound", engine.sha256)
    assert (record.reference.ran.name, record.reference.ran.device) == ("torch", "cpu")
    assert (record.ran.name, record.ran.precision, record.ran.threads) == ("openvino", "f32", 1)
    assert record.frames.crop == (10, 2, 100, 50)
    assert (record.frames.source, record.frames.count) == ("day1.avi", 12)
    assert (record.frames.height, record.frames.width) == SHAPE
    expected = hashlib.sha256(b"".join(image.tobytes() for image in frames.values())).hexdigest()
    assert record.frames.sha256 == expected
    assert record.limits == LIMITS
    store_parity(record)
    assert require_parity(engine, _info(engine)) == record


def test_an_engine_whose_weights_are_a_little_off_is_refused(
    tmp_path: Path, frames: dict[int, Image]
) -> None:
    broken = drawn_engine(tmp_path / "engines" / "broken", off_by=0.05)
    _, record = verify(broken, OPENVINO, frames, "day1.avi")
    assert not record.agrees
    assert record.shift_px.p99 > LIMITS.p99_px
    assert record.shift_camera_px.max == pytest.approx(record.shift_px.max * SHAPE[1] / 64, rel=1e-3)
    store_parity(record)
    with pytest.raises(EngineError, match="does not agree with broken"):
        require_parity(broken, _info(broken))


def test_points_that_are_no_numbers_disagree(
    engine: Engine, frames: dict[int, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtface.track.backends.openvino import OpenvinoBackend

    sound = OpenvinoBackend.infer

    def lost(self: OpenvinoBackend, frame: Image, levels: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.full_like(sound(self, frame, levels), np.nan)

    monkeypatch.setattr(OpenvinoBackend, "infer", lost)
    _, record = verify(engine, OPENVINO, frames, "day1.avi")
    assert not record.agrees
    assert record.shift_px.p50 == 128
    assert record.score_shift.p50 == 1


def test_other_frames_have_another_hash(engine: Engine, frames: dict[int, Image]) -> None:
    _, first = verify(engine, OPENVINO, frames, "day1.avi")
    frames[5] = frames[5] ^ 1
    assert verify(engine, OPENVINO, frames, "day1.avi")[1].frames.sha256 != first.frames.sha256


def test_the_reference_is_torch_where_it_can_be_and_never_the_thing_itself(engine: Engine) -> None:
    def reference(settings: BackendSettings, *, has_torch: bool) -> str:
        chosen = choose_reference(engine, settings, has_torch=has_torch)
        assert chosen.engine == engine
        assert chosen.settings.precision == "f32"
        return chosen.settings.name

    assert reference(OPENVINO, has_torch=True) == "torch"
    assert reference(TORCH, has_torch=True) == "openvino"
    bf16 = OPENVINO.model_copy(update={"precision": "bf16"})
    assert reference(bf16, has_torch=False) == "openvino"
    with pytest.raises(UsageError, match=r"held against itself.*pip install '.\[train\]'"):
        choose_reference(engine, OPENVINO, has_torch=False)
    with pytest.raises(UsageError, match="held against itself"):
        choose_reference(engine, TORCH, "torch")


def test_the_reference_of_an_exported_engine_is_its_source() -> None:
    shipped = load_engine("face-2-int8")
    chosen = choose_reference(shipped, OPENVINO, has_torch=True)
    assert (chosen.engine.manifest.name, chosen.settings.name) == ("face-2", "torch")
    assert choose_reference(shipped, OPENVINO, has_torch=False).settings.name == "openvino"


def test_too_few_frames_prove_nothing(engine: Engine, frames: dict[int, Image]) -> None:
    few = dict(list(frames.items())[:7])
    with pytest.raises(DataError, match=r"day1\.avi: 7 frames are too few"):
        verify(engine, OPENVINO, few, "day1.avi")


def _info(engine: Engine) -> BackendInfo:
    from rtface.track.backends.factory import make_backend

    backend = make_backend(engine, OPENVINO)
    try:
        return backend.open()
    finally:
        backend.close()


@pytest.mark.parametrize("name", ["emulated-torch-cuda", "emulated-tensorrt", *REAL])
def test_a_gpu_in_half_precision_is_held_against_the_cpu(
    name: str,
    request: pytest.FixtureRequest,
    engine: Engine,
    frames: dict[int, Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runner = runner_of(name, request)
    if runner.gpu is not None:
        monkeypatch.setattr(factory, "find_spec", lambda package: package)  # all of it is installed
        monkeypatch.setattr(factory, "_torch_has_cuda", lambda: True)
    settings = BackendSettings.model_validate(runner.settings)
    comparison, record = verify(engine, settings, frames, "day1.avi", crop=CROP)
    assert record.agrees, record.in_words()
    assert record.shift_px.max > 0, "half precision is not exact"
    assert record.ran.precision == "f16"
    assert record.ran.device.startswith("cuda:0: ")
    assert "driver" in record.ran.device
    assert (record.ran.plan or "").endswith("one CUDA graph")
    assert record.reference.ran.device == "cpu"
    store_parity(record)
    info = comparison.backend
    assert require_parity(engine, info) == record
    with pytest.raises(EngineError, match="--precision f16 --device cuda:0 --frames VIDEO"):
        require_parity(engine, replace(info, device=info.device.replace("driver ", "driver 9")))


def test_it_is_told_how_many_frames_of_reference_and_engine_are_done(
    engine: Engine, frames: dict[int, Image]
) -> None:
    told: list[tuple[str, int, int]] = []
    verify(
        engine,
        OPENVINO,
        frames,
        "day1.avi",
        progress=lambda what, done, total, *, unit="frames": told.append((what, done, total)),
    )
    parts = ("the reference, sound", "the engine, sound")
    assert told == [(what, done, 12) for what in parts for done in range(13)]

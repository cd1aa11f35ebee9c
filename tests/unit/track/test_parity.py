"""What arming asks: is there a record that this engine, on what runs it now, agrees with its reference?"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rtface.core.errors import EngineError
from rtface.track import parity
from rtface.track.backends.base import BackendInfo
from rtface.track.parity import (
    LIMITS,
    ParityBackend,
    ParityFrames,
    ParityLimits,
    ParityRecord,
    ParityReference,
    ShiftSummary,
    find_parity,
    records_of,
    require_parity,
    store_parity,
)
from rtface.track.store import Engine, find_engine, load_engine

GPU = "cuda:1: NVIDIA RTX 4090 (sm_89, driver 570.86, CUDA 12.8)"
INFO = BackendInfo("tensorrt", "10.16 (tensorrt)", GPU, "f16", None, "asked for", "abc, one CUDA graph")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    return tmp_path / "engines" / "_parity"


@pytest.fixture
def engine() -> Engine:
    return load_engine("face-2-tiny")


def record(engine: Engine, info: BackendInfo = INFO, *, p50: float = 0.01, **changes: Any) -> ParityRecord:
    ran = ParityBackend.of(info)
    shift = ShiftSummary(n=1200, p50=p50, p99=0.2, max=0.9)
    fields: dict[str, Any] = {
        "engine": engine.manifest.name,
        "engine_sha256": engine.sha256,
        "preprocessing_sha256": engine.manifest.preprocessing_sha256,
        "ran": ran,
        "reference": ParityReference(engine="ref", engine_sha256="0" * 64, ran=ran),
        "frames": ParityFrames(
            source="day1.mp4", sha256="1" * 64, width=640, height=480, count=100, crop=(0, 0, 640, 480)
        ),
        "shift_px": shift,
        "shift_camera_px": shift,
        "score_shift": ShiftSummary(n=1200, p50=0.001, p99=0.01, max=0.1),
        "sure": 0.9,
        "limits": LIMITS,
        "agrees": p50 < LIMITS.p50_px,
        "date": "2026-11-25T12:00:00+00:00",
        "rtface": "0.1.0",
    }
    return ParityRecord(**(fields | changes))


def test_nothing_is_armed_that_was_never_verified(engine: Engine) -> None:
    command = r"rtface engines verify face-2-tiny --backend tensorrt --precision f16 --device cuda:1 --frames VIDEO$"
    with pytest.raises(EngineError, match=f"never held against its reference .*{command}"):
        require_parity(engine, INFO)


def test_what_agreed_is_found_again(engine: Engine, folder: Path) -> None:
    kept = record(engine)
    path = store_parity(kept)
    assert path.parent == folder / engine.sha256
    assert [each.name for each in path.parent.iterdir()] == [path.name], "nothing else is left there"
    assert require_parity(engine, INFO) == kept
    assert records_of(engine.sha256) == [kept]


def test_another_plan_or_reason_is_the_same_back_end(engine: Engine) -> None:
    store_parity(record(engine))
    assert require_parity(engine, replace(INFO, plan="def, plain launches", why="auto", threads=3)).agrees


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"precision": "f32"}, "precision was f16 and is f32"),
        ({"version": "11.4 (tensorrt)"}, r"version was 10\.16 \(tensorrt\) and is 11\.4"),
        ({"device": GPU.replace("570.86", "580.10")}, "driver 570.86, .* and is .*driver 580.10"),
        ({"device": GPU.replace("4090", "4080")}, "device was .*4090.* and is .*4080"),
        ({"name": "torch"}, "the back end was tensorrt and is torch"),
    ],
)
def test_what_has_changed_since_makes_it_stale(engine: Engine, change: dict[str, str], words: str) -> None:
    store_parity(record(engine))
    with pytest.raises(
        EngineError, match=rf"was verified on 2026-11-25.*, but .*{words}.*; run: rtface engines"
    ):
        require_parity(engine, replace(INFO, **change))  # type: ignore[arg-type]


def test_another_engine_has_no_part_in_it(engine: Engine) -> None:
    store_parity(record(load_engine("face-2")))
    assert find_parity(engine, INFO).record is None


def test_a_changed_engine_has_no_part_in_it(engine: Engine, folder: Path) -> None:
    store_parity(record(engine))
    changed = folder.parent / "face-2-tiny"
    shutil.copytree(find_engine("face-2-tiny"), changed)
    manifest = json.loads((changed / "manifest.json").read_text())
    (changed / "manifest.json").write_text(json.dumps(manifest | {"description": "another"}))
    other = load_engine("face-2-tiny")
    assert other.folder == changed
    assert find_parity(other, INFO).record is None


def test_what_disagreed_is_refused_with_its_figures(engine: Engine) -> None:
    store_parity(record(engine))
    store_parity(record(engine, p50=0.7))
    sought = find_parity(engine, INFO)
    assert sought.record is not None
    assert not sought.record.agrees
    assert not sought.why_none
    with pytest.raises(
        EngineError, match=r"does not agree with ref, .*median 0\.700 \(limit 0\.1\).*day1\.mp4"
    ):
        require_parity(engine, INFO)
    store_parity(record(engine))
    assert require_parity(engine, INFO).agrees, "the newest counts"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[:100], "is damaged: record: Invalid JSON"),
        (lambda text: "", "is damaged: record"),
        (lambda text: text.replace('"p50": 0.01', '"p50": 0.5', 1), "agrees is True, which its figures"),
        (lambda text: text.replace('"n": 1200', '"n": "many"', 1), r"is damaged: shift_px\.n"),
        (lambda text: text.replace("rtface.parity/1", "rtface.parity/9"), "is damaged: schema_version"),
        (lambda text: text.replace(INFO.version, "9.0"), "something else: it was moved or edited"),
        (lambda text: text.replace('"p99_px": 1.0', '"p99_px": 50.0'), "other limits than today's"),
    ],
)
def test_a_damaged_or_edited_record_arms_nothing(engine: Engine, damage: Any, words: str) -> None:
    path = store_parity(record(engine))
    text = path.read_text(encoding="utf-8")
    assert damage(text) != text
    path.write_text(damage(text), encoding="utf-8")
    with pytest.raises(EngineError, match=f"{words}.*; run: rtface engines verify"):
        require_parity(engine, INFO)


def test_a_record_moved_to_another_engine_arms_nothing(engine: Engine) -> None:
    path = store_parity(record(load_engine("face-2")))
    moved = path.parent.parent / engine.sha256 / path.name
    moved.parent.mkdir()
    path.rename(moved)
    with pytest.raises(EngineError, match="moved or edited"):
        require_parity(engine, INFO)


def test_records_judged_by_older_limits_do_not_hold(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store_parity(record(engine))
    monkeypatch.setattr(parity, "LIMITS", ParityLimits(p50_px=0.05))
    with pytest.raises(EngineError, match="judged by other limits"):
        require_parity(engine, INFO)


@pytest.mark.parametrize(
    "changes", [{"agrees": False}, {"shift_px": ShiftSummary(n=9, p50=0.0, p99=1.0, max=1.0)}]
)
def test_a_verdict_that_its_figures_contradict_cannot_be_made(
    engine: Engine, changes: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError, match="contradict"):
        record(engine, **changes)


def test_scores_are_judged_too(engine: Engine) -> None:
    far = ShiftSummary(n=1200, p50=0.0, p99=LIMITS.score_p99, max=0.5)
    assert not record(engine, score_shift=far, agrees=False).agrees


def test_a_point_that_is_sure_and_leapt_is_judged_alone(engine: Engine) -> None:
    far = ShiftSummary(n=900, p50=0.0, p99=0.1, max=98.0)
    assert not record(engine, sure_shift_px=far, agrees=False).agrees
    assert (
        "largest of those found 98.00 (limit 4)" in record(engine, sure_shift_px=far, agrees=False).in_words()
    )
    assert record(engine, sure_shift_px=None).agrees, "where nothing is found, nothing leaps"


def test_a_folder_that_cannot_be_written_keeps_the_earlier_record(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_parity(record(engine))

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(EngineError, match="cannot be written: No space left"):
        store_parity(record(engine, p50=0.7))
    assert require_parity(engine, INFO).agrees
    assert len(list((folder / engine.sha256).iterdir())) == 1


def test_the_command_names_a_folder_that_has_no_name_and_leaves_out_what_goes_without_saying(
    engine: Engine, tmp_path: Path
) -> None:
    shutil.copytree(engine.folder, tmp_path / "elsewhere")
    cpu = BackendInfo("openvino", "2026.4", "CPU: AMD", "int8", 2, "auto")
    with pytest.raises(EngineError) as refused:
        require_parity(load_engine(str(tmp_path / "elsewhere")), cpu)
    assert str(refused.value).endswith(
        f"rtface engines verify {tmp_path / 'elsewhere'} --backend openvino --frames VIDEO"
    )


def test_looking_up_needs_neither_torch_nor_the_learning_rooms() -> None:
    import subprocess
    import sys

    code = (
        "import sys, rtface.track.parity;"
        "sys.exit(any(name.split('.')[0] in ('torch', 'onnx') or name.startswith('rtface.learn') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

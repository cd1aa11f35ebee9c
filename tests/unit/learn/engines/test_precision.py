from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from support.spot_engine import NAMES, SHAPE, SpotNetwork, outlier, spot_engine, spot_frames

from rtface.config import BackendSettings
from rtface.core.errors import BackendError, DataError, EngineError
from rtface.core.records import Crop
from rtface.learn.engines.precision import export_engine
from rtface.learn.engines.quantise import Scheme, quantise
from rtface.track import comparison
from rtface.track.backends.openvino import OpenvinoBackend
from rtface.track.comparison import EngineComparison, compare
from rtface.track.gray_levels import levels
from rtface.track.parity import ParityLimits, ShiftSummary
from rtface.track.store import Engine, exported_from, load_engine

CROP = Crop(8, 4, 80, 70)
ONE_THREAD = BackendSettings(name="openvino", threads=1)

pytest.importorskip("onnxruntime")


@pytest.fixture
def source(tmp_path: Path) -> Engine:
    return spot_engine(tmp_path / "spot")


def found(engine: Engine, crop: Crop) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Run an engine by the back end alone: x, y in pixels of the network's input, score."""
    backend = OpenvinoBackend(engine, ONE_THREAD, "a test")
    backend.open()
    backend.prepare(SHAPE, crop)
    answers = [backend.infer(image, levels(image)).copy() for image in spot_frames().values()]
    backend.close()
    return np.stack(answers)


def test_an_int8_engine_runs_in_int8_and_agrees(source: Engine, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    made = export_engine(
        source,
        tmp_path / "spot-int8",
        "int8",
        spot_frames(),
        settings=ONE_THREAD,
        progress=lambda what, done, total, *, unit="frames": told.append((what, done, total)),
    )
    tested = made.comparison.frames
    assert list(dict.fromkeys((what, total) for what, _, total in told)) == [
        ("calibration", 6),
        ("the reference, spot", tested),
        ("the engine, spot-int8", tested),
        ("pictures without a face, and the view", 0),
    ]
    assert [done for what, done, _ in told if what == "calibration"] == [0, 1, 2, 3, 4, 5, 6]
    manifest = load_engine(str(tmp_path / "spot-int8")).manifest
    assert (manifest.name, manifest.precision, manifest.weights) == ("spot-int8", "int8", "int8")
    assert set(manifest.files) == {"model.onnx"}
    assert manifest.metrics["kept"] is True
    parity = manifest.metrics["parity"]
    assert parity["agrees"]
    assert parity["backend"]["precision"] == "int8"
    assert parity["reference_backend"]["precision"] == "f32"
    assert 0 < parity["shift_px"]["max"] < 0.1
    assert parity["calibration"] == {
        "frames": 6,
        "convolutions": 4,
        "plan": "all convolutions",
        "method": "MinMax",
        "scheme": "activations in u8 by their range, biases in int32",
    }
    assert made.comparison.frames == 18, "it must be judged on frames that it was not calibrated on"
    assert manifest.training["exported_from"] == "spot"


def test_for_tensorrt_integers_lie_about_zero_and_biases_stay_float(source: Engine, tmp_path: Path) -> None:
    """What TensorRT's parser takes; OpenVINO runs it in int8 too, or the export would be refused."""
    made = export_engine(
        source, tmp_path / "rt", "int8", spot_frames(), settings=ONE_THREAD, scheme=Scheme.TENSORRT
    )
    parity = made.engine.manifest.metrics["parity"]
    assert parity["calibration"]["scheme"].endswith("for TensorRT")
    assert parity["backend"]["precision"] == "int8"
    assert 0 < made.comparison.shift_px.max < 0.2
    model = onnx.load(str(made.engine.file("model.onnx")))
    values = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zeros = [values[node.input[2]] for node in nodes]
    assert {zero.dtype.name for zero in zeros} == {"int8"}
    assert not any(zero.any() for zero in zeros)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert all(values[node.input[2]].dtype == np.float32 for node in convolutions), "biases"
    weights = [values[node.input[0]] for node in nodes if node.input[0] in values]
    assert [each.dtype.name for each in weights] == ["int8"] * len(convolutions)
    scales = [values[node.input[1]] for node in nodes if node.input[0] in values]
    assert sorted(scale.size for scale in scales) == [3, 8, 8, 16], "one a channel"


def test_only_convolutions_are_quantised(source: Engine, tmp_path: Path) -> None:
    export_engine(source, tmp_path / "int8", "int8", spot_frames(), settings=ONE_THREAD)
    model = onnx.load(str(tmp_path / "int8" / "model.onnx"))
    dequantised = {
        output for node in model.graph.node if node.op_type == "DequantizeLinear" for output in node.output
    }
    takers = {node.op_type for node in model.graph.node if dequantised & set(node.input)}
    assert takers == {"Conv"}
    properties = {each.key: each.value for each in model.metadata_props}
    assert properties["rtface.schema"] == "rtface.engine/1"


def test_calibration_sees_what_the_network_will_see(source: Engine, tmp_path: Path) -> None:
    """The range of the first convolution's input is that of the crop, levelled by the whole frame."""
    image = np.zeros(SHAPE, np.uint8)
    image[:, 48:] = 200
    image[:, 20:48] = 100
    low_half = Crop(0, 0, 48, 80)
    quantise(
        source.file("model.onnx"),
        tmp_path / "out.onnx",
        {0: image},
        source.manifest.normalise,
        crop=low_half,
    )
    model = onnx.load(str(tmp_path / "out.onnx"))
    values = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    first = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    scale = float(values[first.input[1]])
    assert scale * 255 == pytest.approx(0.5, rel=1e-3)


@pytest.fixture
def nothing_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that no integer keeps to."""
    monkeypatch.setattr(comparison, "LIMITS", ParityLimits(p50_px=1e-9))


@pytest.mark.usefixtures("nothing_agrees")
def test_what_shifts_too_far_is_refused_and_nothing_is_left(source: Engine, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(
        EngineError, match=r"spot in int8 shifts too far .*limits: median 0\.1, p99 1,"
    ) as told:
        export_engine(source, tmp_path / "spot-int8", "int8", spot_frames(), settings=ONE_THREAD)
    words = str(told.value)
    tried = re.findall(r"all convolutions(?: but ([^:]+))?: shift of", words)
    assert [len(each.split(", ")) if each else 0 for each in tried] == [0, 1, 2], "up to half of the four"
    assert re.search(r"worst keypoints: (spot|spot again) \(p99 0\.\d+ px\), (spot|spot again) \(", words)
    assert re.search(r"worst frames: \d+ \([\w ]+ 0\.\d px, score \d\.\d+\)", words)
    assert "give more frames that look like the worst, or label them" in words
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_refused_engine_does_not_replace_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = spot_engine(tmp_path / "good")
    kept = export_engine(good, tmp_path / "int8", "int8", spot_frames(), settings=ONE_THREAD).engine.sha256
    monkeypatch.setattr(comparison, "LIMITS", ParityLimits(p50_px=1e-9))
    with pytest.raises(EngineError, match="refused"):
        export_engine(good, tmp_path / "int8", "int8", spot_frames(), settings=ONE_THREAD, overwrite=True)
    assert load_engine(str(tmp_path / "int8")).sha256 == kept


@pytest.mark.parametrize("spoilt", ["middle", "last"])
def test_the_convolution_that_eight_bits_spoil_stays_in_float_alone(tmp_path: Path, spoilt: str) -> None:
    source = spot_engine(tmp_path / "spot", outlier(SpotNetwork(), spoilt, 1e4))
    made = export_engine(source, tmp_path / "int8", "int8", spot_frames(), settings=ONE_THREAD)
    calibration = made.engine.manifest.metrics["parity"]["calibration"]
    assert calibration["convolutions"] == 3
    assert calibration["plan"].startswith("all convolutions but ")
    assert spoilt in calibration["plan"]
    assert made.comparison.agrees


def test_a_score_of_1_everywhere_does_not_hide_a_point_that_leapt(
    source: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One point of hundreds, 98 px away: no percentile and no score shows it."""
    real = comparison.track_pictures
    leaps = np.array([0.0])

    def certain(engine: Engine, *arguments: Any) -> Any:
        found = real(engine, *arguments)
        score = np.ones_like(found.score)
        xy = found.xy.copy()
        xy[3, 0, 0] += leaps[0] if engine is not source else 0
        return replace(found, xy=xy, score=score)

    monkeypatch.setattr(comparison, "track_pictures", certain)
    copy = export_engine(source, tmp_path / "copy", "f32", spot_frames(240), settings=ONE_THREAD).engine
    leaps[0] = 98 * 96 / 64
    parity = compare(source, copy, spot_frames(240), settings=ONE_THREAD)
    assert (parity.shift_px.p99, parity.score_shift.max) == (0, 0)
    assert parity.sure_shift_px is not None
    assert parity.sure_shift_px.max == pytest.approx(98, abs=0.1)
    assert not parity.agrees
    assert "of those found 98" in parity.in_words()


def test_the_figures_are_those_of_a_direct_calculation(source: Engine, tmp_path: Path) -> None:
    other = spot_engine(tmp_path / "other", outlier(SpotNetwork(), "middle", 50))
    int8 = export_engine(other, tmp_path / "int8", "int8", spot_frames(), settings=ONE_THREAD).engine
    parity = compare(source, int8, spot_frames(), crop=CROP, settings=ONE_THREAD)
    before, after = found(source, CROP)[:, [0, 2]], found(int8, CROP)[:, [0, 2]]
    shift = np.linalg.norm(after[..., :2] - before[..., :2], axis=2)
    score = np.abs(after[..., 2] - before[..., 2])
    assert parity.frames == 24
    assert parity.crop == (8, 4, 80, 70)
    assert parity.shift_px.n == parity.score_shift.n == 48
    for live, values in ((parity.shift_px, shift), (parity.score_shift, score)):
        np.testing.assert_allclose(
            (live.p50, live.p99, live.max),
            (np.median(values), np.percentile(values, 99), values.max()),
            atol=3e-5,
        )
    assert list(parity.by_keypoint) == [NAMES[0], NAMES[2]]
    assert parity.by_keypoint["spot again"].max == pytest.approx(shift[:, 1].max(), abs=3e-5)
    assert [each.frame for each in parity.worst] == list(3 * np.argsort(-shift.max(axis=1))[:5])
    assert parity.worst[0].shift_px == pytest.approx(shift.max(), abs=1e-3)
    assert parity.worst[0].keypoint == (NAMES[0], NAMES[2])[shift.max(axis=0).argmax()]


@pytest.mark.parametrize(
    ("p50", "p99", "agrees"),
    [(0.099, 0.99, True), (0.1, 0.5, False), (0.05, 1.0, False)],
)
def test_both_limits_bind(source: Engine, p50: float, p99: float, agrees: bool) -> None:
    same = compare(source, source, spot_frames(8), settings=ONE_THREAD)
    assert isinstance(same, EngineComparison)
    assert same.agrees
    far = ShiftSummary(n=1, p50=p50, p99=p99, max=99.0)
    assert same.model_copy(update={"shift_px": far}).agrees is agrees


def test_a_point_that_is_lost_is_no_agreement() -> None:
    with pytest.raises(ValueError, match="p50"):
        ShiftSummary.of(np.array([0.0, 0.0, np.nan]))


def test_f16_halves_the_file_and_changes_next_to_nothing(source: Engine, tmp_path: Path) -> None:
    made = export_engine(source, tmp_path / "half", "f16", spot_frames(), settings=ONE_THREAD)
    manifest = made.engine.manifest
    assert (manifest.precision, manifest.weights) == ("f32", "f16")
    assert made.comparison.shift_px.max < 0.01
    plain, half = (onnx.load(str(each.file("model.onnx"))) for each in (source, made.engine))
    weights = {each.name: each for each in half.graph.initializer}
    middle = "network_with_decode.network.middle.weight"
    assert weights[f"{middle}.half"].data_type == onnx.TensorProto.FLOAT16
    assert middle not in weights
    assert half.graph.input == plain.graph.input
    assert half.graph.output == plain.graph.output


def test_a_weight_beyond_float16_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = SpotNetwork()
    network.middle.weight.data[3] *= 1e7
    monkeypatch.setattr("rtface.learn.engines.bundle.held_back", lambda network, *_, **__: (network, {}))
    source = spot_engine(tmp_path / "spot", network)
    with pytest.raises(EngineError, match=r"middle\.weight are beyond the range of float16"):
        export_engine(source, tmp_path / "half", "f16", spot_frames(), settings=ONE_THREAD)


def test_bf16_is_the_same_file_with_another_arithmetic(source: Engine, tmp_path: Path) -> None:
    try:
        made = export_engine(source, tmp_path / "bf16", "bf16", spot_frames(), settings=ONE_THREAD)
    except BackendError as error:
        pytest.skip(f"this processor has no bf16: {error}")
    manifest = made.engine.manifest
    assert (manifest.precision, manifest.weights) == ("bf16", "f32")
    assert manifest.files == source.manifest.files
    assert manifest.metrics["parity"]["backend"]["precision"] == "bf16"
    assert made.comparison.shift_px.max > 0


def test_an_int8_engine_is_no_source_and_runs_in_nothing_else(source: Engine, tmp_path: Path) -> None:
    int8 = export_engine(source, tmp_path / "int8", "int8", spot_frames(), settings=ONE_THREAD).engine
    with pytest.raises(EngineError, match=r"int8 is not in float32.*export from"):
        export_engine(int8, tmp_path / "again", "f32", spot_frames())
    backend = OpenvinoBackend(int8, BackendSettings(name="openvino", precision="f32"), "a test")
    with pytest.raises(BackendError, match=r"int8 engine and cannot run in f32: set backend\.precision"):
        backend.open()


@pytest.mark.parametrize(("claimed", "message"), [("int8", "floating point only"), ("f32", "partly in int8")])
def test_a_manifest_that_lies_about_int8_is_found_out(
    source: Engine, tmp_path: Path, claimed: str, message: str
) -> None:
    int8 = export_engine(source, tmp_path / "int8", "int8", spot_frames(), settings=ONE_THREAD).engine
    true = source if claimed == "int8" else int8
    lie = Engine(true.folder, true.manifest.model_copy(update={"precision": claimed}))
    with pytest.raises(BackendError, match=message):
        OpenvinoBackend(lie, ONE_THREAD, "a test").open()


def test_engines_of_other_networks_are_not_compared(source: Engine, test_engine: str) -> None:
    with pytest.raises(EngineError, match="not of one network"):
        compare(source, load_engine(test_engine), spot_frames())


def test_too_few_frames_and_the_sources_own_name_are_refused(source: Engine, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"7 frames are too few .* 8 or more"):
        export_engine(source, tmp_path / "int8", "int8", spot_frames(7))
    with pytest.raises(EngineError, match="choose another name"):
        export_engine(source, source.folder, "int8", spot_frames(), overwrite=True)
    assert load_engine(str(source.folder)).sha256 == source.sha256


def test_the_reference_must_be_there_unchanged(
    source: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path))
    made = export_engine(source, tmp_path / "copy", "f32", spot_frames(), settings=ONE_THREAD).engine
    assert exported_from(made).folder == source.folder
    assert made.manifest.model_dump(include={"keypoints", "input", "decode", "score"}) == (
        source.manifest.model_dump(include={"keypoints", "input", "decode", "score"})
    )
    with pytest.raises(EngineError, match="spot was not exported from another"):
        exported_from(source)
    manifest = source.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace("finds a spot", "finds another"))
    with pytest.raises(EngineError, match="spot is not the engine that copy was exported from any more"):
        exported_from(made)

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.fakes import engine_fields

from rtface.config import BackendSettings
from rtface.core.errors import BackendError, EngineError
from rtface.core.records import Crop
from rtface.track.backends.openvino import OpenvinoBackend
from rtface.track.store import Engine, write_engine

FRAME = (100, 120)


def save_model(path: Path, *, image: str = "image") -> None:
    """A network whose one keypoint is the mean of the picture, and the levels."""
    nodes = [
        helper.make_node("Cast", [image], ["float"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["float"], ["mean"]),
        helper.make_node("Reshape", ["mean", "one"], ["x"]),
        helper.make_node("Reshape", ["levels", "two"], ["rest"]),
        helper.make_node("Concat", ["x", "rest"], ["points"], axis=2),
    ]
    constants = [
        helper.make_tensor("one", TensorProto.INT64, [3], [1, 1, 1]),
        helper.make_tensor("two", TensorProto.INT64, [3], [1, 1, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [
            helper.make_tensor_value_info(image, TensorProto.UINT8, [1, 1, "height", "width"]),
            helper.make_tensor_value_info("levels", TensorProto.FLOAT, [2]),
        ],
        [helper.make_tensor_value_info("points", TensorProto.FLOAT, [1, 1, 3])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def make_engine(folder: Path, *, image: str = "image", keypoints: int = 1) -> Engine:
    save_model(folder / "made.onnx", image=image)
    fields = engine_fields(keypoints=[(f"k{number}", True) for number in range(keypoints)])
    return write_engine(folder / "mean", {"model.onnx": folder / "made.onnx"}, fields)


def make(engine: Engine, **settings: object) -> OpenvinoBackend:
    return OpenvinoBackend(engine, BackendSettings.model_validate({"name": "openvino", **settings}), "a test")


def mean_of(crop: Crop) -> float:
    return float(frame()[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width].mean())


def frame() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, FRAME, np.uint8)


def test_it_shows_the_crop_to_the_network_and_says_what_runs(tmp_path: Path) -> None:
    backend = make(make_engine(tmp_path), threads=1)
    info = backend.open()
    assert (info.name, info.precision, info.threads, info.why) == ("openvino", "f32", 1, "a test")
    levels = np.array([3, 200], np.float32)
    for crop in (Crop(0, 0, 120, 100), Crop(10, 20, 50, 40), Crop(60, 5, 50, 40), Crop(10, 20, 51, 40)):
        backend.prepare(FRAME, crop)
        found = backend.infer(frame(), levels)
        np.testing.assert_allclose(found, [[mean_of(crop), 3, 200]], rtol=1e-5)
    backend.close()
    backend.close()


def test_a_crop_that_cannot_be_compiled_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = make(make_engine(tmp_path))
    backend.open()
    crop = Crop(10, 20, 50, 40)
    backend.prepare(FRAME, crop)

    def fail(*arguments: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(backend._openvino, "PartialShape", fail)
    with pytest.raises(BackendError, match="mean on CPU with a crop of 99x98: no memory"):
        backend.prepare(FRAME, Crop(0, 0, 99, 98))
    found = backend.infer(frame(), np.zeros(2, np.float32))
    assert found[0, 0] == pytest.approx(mean_of(crop), rel=1e-5)
    backend.close()


def test_a_network_that_is_not_what_its_manifest_says_is_refused(tmp_path: Path) -> None:
    backend = make(make_engine(tmp_path, keypoints=2))
    with pytest.raises(EngineError, match=r"gives \[\[1, 1, 3\]\], its manifest says \[\[1, 2, 3\]\]"):
        backend.open()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(EngineError, match=r"model\.onnx: the network's inputs are .*picture"):
        make(make_engine(other, image="picture")).open()


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "made.onnx").write_bytes(b"no network")
    engine = write_engine(tmp_path / "none", {"model.onnx": tmp_path / "made.onnx"}, engine_fields())
    with pytest.raises(BackendError, match="OpenVINO cannot run the engine none on CPU"):
        make(engine).open()


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="on NOWHERE"):
        make(make_engine(tmp_path), device="NOWHERE").open()

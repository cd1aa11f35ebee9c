"""The exported engine, run by OpenVINO, against the modules it was made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import torch
from numpy.typing import NDArray
from support.drawn_labels import SIZE, fresh

from rtface.core.errors import EngineError, UsageError
from rtface.learn.engines.onnx_export import columns, export_onnx
from rtface.networks.facemap import FacemapNetwork
from rtface.networks.graph import EngineGraph, FacemapDecode, NetworkWithDecode


@pytest.fixture(scope="module")
def facemap() -> NetworkWithDecode:
    torch.manual_seed(4)
    network = FacemapNetwork((4, 6, 8, 8, 10), 15)
    with torch.no_grad():
        for head in network.Conv2_1x1:
            head.weight.mul_(3.0)  # type: ignore[operator]
    return NetworkWithDecode(network, FacemapDecode()).eval()


@pytest.fixture(scope="module")
def model(facemap: NetworkWithDecode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine") / "model.onnx"
    return export_onnx(facemap, path, family="facemap", properties={"rtface.note": "made by a test"})


def _compile(model: Path, height: int, width: int) -> Any:
    core = openvino.Core()
    network = core.read_model(str(model))
    network.reshape({"image": [1, 1, height, width]})
    return core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.mark.parametrize(
    ("height", "width"), [(256, 256), (400, 400), (300, 401), (401, 300), (90, 57), (480, 800)]
)
def test_openvino_gives_what_torch_gives(
    facemap: NetworkWithDecode, model: Path, height: int, width: int
) -> None:
    generator = torch.Generator().manual_seed(height)
    image = torch.randint(0, 256, (1, 1, height, width), generator=generator, dtype=torch.uint8)
    levels = torch.tensor([12.0, 240.5])
    with torch.no_grad():
        expected = EngineGraph(facemap, 256)(image, levels).numpy()
    found = _compile(model, height, width)({"image": image.numpy(), "levels": levels.numpy()})["keypoints"]
    assert found.shape == (1, 15, 4)
    assert np.ptp(expected[0, :, :2]) > 10, "the points must differ for the comparison to mean something"
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.fixture(scope="module")
def small() -> NetworkWithDecode:
    network = fresh().eval()
    with torch.no_grad():
        network.network.heads.weight.mul_(20.0)  # type: ignore[operator, union-attr]
    network.load_state_dict({"decode.intercept": torch.tensor([-1.0, 0.0, 1.0])}, strict=False)
    return network


@pytest.fixture(scope="module")
def small_model(small: NetworkWithDecode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "model.onnx"
    return export_onnx(small, path, family="small", input_size=SIZE, square=False)


FRAME_SHAPES = [
    (64, 64),
    (400, 400),
    (646, 864),
    (864, 646),
    (301, 400),
    (90, 57),
    (480, 800),
    (33, 310),
    (310, 100),
    (16, 16),
]


@pytest.mark.parametrize("runner", ["openvino", "openvino, any shape", "onnxruntime"])
def test_a_network_that_is_not_square_is_the_same_for_frames_of_any_shape(
    small: NetworkWithDecode, small_model: Path, runner: str
) -> None:
    run = _runner(small_model, runner)
    inputs = set()
    graph = EngineGraph(small, SIZE, square=False).eval()
    for height, width in FRAME_SHAPES:
        generator = torch.Generator().manual_seed(height)
        image = torch.randint(0, 256, (1, 1, height, width), generator=generator, dtype=torch.uint8)
        levels = torch.tensor([12.0, 240.5])
        with torch.no_grad():
            expected = graph(image, levels).numpy()
            inputs.add(tuple(graph.prepare(image, levels).shape[2:]))
        assert np.ptp(expected[0, :, :2]) > 3, "the points must differ for the comparison to mean something"
        np.testing.assert_allclose(run(image.numpy(), levels.numpy()), expected, atol=2e-3)
    assert {(64, 64), (64, 32), (32, 64)} == inputs


def _runner(model: Path, name: str) -> Callable[[NDArray[np.uint8], NDArray[np.float32]], Any]:
    if name == "onnxruntime":
        session = pytest.importorskip("onnxruntime").InferenceSession(
            str(model), providers=["CPUExecutionProvider"]
        )
        return lambda image, levels: session.run(None, {"image": image, "levels": levels})[0]
    if name == "openvino":
        return lambda image, levels: _compile(model, *image.shape[2:])({"image": image, "levels": levels})[0]
    compiled = openvino.Core().compile_model(str(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda image, levels: compiled({"image": image, "levels": levels})[0]


@pytest.mark.parametrize("which", ["model", "small_model"])
def test_a_fixed_shape_leaves_no_shape_arithmetic(which: str, request: pytest.FixtureRequest) -> None:
    operations = _compile(request.getfixturevalue(which), 300, 401).get_runtime_model().get_ops()
    kinds = {operation.get_rt_info()["layerType"].astype(str) for operation in operations}
    assert not kinds & {"ShapeOf", "Range", "Pad", "NonZero", "Loop", "If"}
    assert "Convolution" in kinds


def test_a_black_frame_gives_finite_keypoints(model: Path) -> None:
    image, levels = np.zeros((1, 1, 120, 160), np.uint8), np.zeros(2, np.float32)
    found = _compile(model, 120, 160)({"image": image, "levels": levels})["keypoints"]
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("peaks", "expected"),
    [(((40, 2), (8, 50), (8, 33)), (33, 8)), (((0, 63), (63, 0)), (63, 0)), ((), (0, 0))],
)
def test_openvino_takes_the_first_of_equal_peaks(
    tmp_path: Path, peaks: tuple[tuple[int, int], ...], expected: tuple[int, int]
) -> None:
    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heat = torch.nn.Parameter(torch.zeros(1, 1, 64, 64))

        def forward(self, prepared: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            nothing = prepared.mean() * 0
            return self.heat + nothing, self.heat * 0 + nothing, self.heat * 0 + nothing

    network = Fixed()
    with torch.no_grad():
        for row, col in peaks:
            network.heat[0, 0, row, col] = 1.0
    path = export_onnx(NetworkWithDecode(network, FacemapDecode()), tmp_path / "ties.onnx", family="facemap")
    image, levels = np.full((1, 1, 256, 256), 9, np.uint8), np.array([0, 255], np.float32)
    found = _compile(path, 256, 256)({"image": image, "levels": levels})["keypoints"]
    assert tuple(found[0, 0, :2]) == (4 * expected[0], 4 * expected[1])


def test_the_file_says_what_it_is(model: Path) -> None:
    loaded = onnx.load(str(model))
    properties = {entry.key: entry.value for entry in loaded.metadata_props}
    assert properties == {
        "rtface.schema": "rtface.engine/1",
        "rtface.family": "facemap",
        "rtface.note": "made by a test",
    }
    assert loaded.opset_import[0].version >= 17
    image, levels = loaded.graph.input
    assert [image.name, levels.name] == ["image", "levels"]
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    sizes = [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim]
    assert sizes == [1, 1, "height", "width"]
    assert [output.name for output in loaded.graph.output] == ["keypoints"]


def test_the_output_must_have_the_familys_columns(tmp_path: Path, facemap: NetworkWithDecode) -> None:
    assert columns("facemap") == ("x", "y", "score", "likelihood")
    assert columns("own") == ("x", "y", "score")
    with pytest.raises(UsageError, match=r"'own' must give keypoints of shape \(1, K, 3\)"):
        export_onnx(facemap, tmp_path / "model.onnx", family="own")


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, facemap: NetworkWithDecode) -> None:
    with pytest.raises(EngineError, match="cannot write the engine"):
        export_onnx(facemap, tmp_path / "absent" / "model.onnx", family="facemap")

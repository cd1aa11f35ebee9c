"""The builder with the real TensorRT for RTX, which parses and builds on any machine; every engine that is shipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.backends import face, tiny_engine
from support.paths import REPOSITORY

from rtface.core.errors import BackendError, EngineError
from rtface.learn.engines.quantise import Scheme
from rtface.track.gpu.body import Body, body_of
from rtface.track.gpu.nvinfer import BuildOptions, Nvinfer
from rtface.track.manifest import MODEL_FILE
from rtface.track.store import Engine, load_engine, write_engine

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: pip install '.[rtx]'")
pytest.importorskip("onnx")

ENGINES = REPOSITORY / "engines"
SHIPPED = sorted(folder.name for folder in ENGINES.iterdir() if folder.is_dir())
FLOAT = [name for name in SHIPPED if load_engine(name).manifest.precision == "f32"]
ONE = BuildOptions(targets=("sm_89",))


@pytest.fixture(scope="module")
def nvinfer() -> Nvinfer:
    return Nvinfer()


def all_in_half(onnx: bytes) -> set[str]:
    """Return the dtypes of the weights of a network."""
    import onnx as package

    model = package.load_from_string(onnx)
    return {package.numpy_helper.to_array(each).dtype.name for each in model.graph.initializer}


def test_the_engines_that_are_shipped_are_all_here() -> None:
    assert {"face-2", "face-2-tiny"} <= set(FLOAT)
    assert "face-2-int8" in set(SHIPPED) - set(FLOAT)


@pytest.mark.parametrize("precision", ["f16", "f32"])
@pytest.mark.parametrize("name", FLOAT)
@pytest.mark.parametrize("shape", [(192, 256), (256, 256)], ids=str)
def test_every_float_engine_is_built(
    nvinfer: Nvinfer, name: str, precision: Any, shape: tuple[int, int]
) -> None:
    engine = load_engine(name)
    body = body_of(engine, shape, precision)
    assert body.map_shape == (len(engine.manifest.keypoints), shape[0] // 4, shape[1] // 4)
    assert not body.quantised
    plan = nvinfer.build(body.onnx, ONE).plan
    weights = engine.manifest.files["weights.pt"].bytes
    assert weights / (3 if precision == "f16" else 1.5) < len(plan) < 4 * weights, "it holds the weights"
    assert ("float16" in all_in_half(body.onnx)) == (precision == "f16")


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in FLOAT])
def test_an_engine_quantised_for_a_cpu_is_refused_and_the_way_out_named(name: str) -> None:
    with pytest.raises(
        EngineError, match=rf"{name} is quantised for a CPU.*engines export \S+ --precision int8 --for"
    ):
        body_of(load_engine(name), (192, 256), "f16")


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    folder = tmp_path_factory.mktemp("families")
    return {family: tiny_engine(folder / f"{family}-test", family) for family in ("small", "facemap")}


@pytest.mark.parametrize("precision", ["f16", "f32"])
@pytest.mark.parametrize("family", ["small", "facemap"])
def test_every_architecture_is_built(
    nvinfer: Nvinfer, families: dict[str, Engine], family: str, precision: Any
) -> None:
    body = body_of(families[family], (64, 64), precision)
    assert len(nvinfer.build(body.onnx, ONE).plan) > 10_000


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """face-2 in int8 as exported for TensorRT."""
    pytest.importorskip("onnxruntime")
    from rtface.learn.engines.quantise import quantise

    source, folder = load_engine("face-2"), tmp_path_factory.mktemp("int8")
    frames = {index: face((120, 160), index) for index in range(3)}
    made = folder / MODEL_FILE
    quantise(source.file(MODEL_FILE), made, frames, source.manifest.normalise, scheme=Scheme.TENSORRT)
    fields: dict[str, Any] = source.manifest.model_dump(
        exclude={"name", "files", "preprocessing_sha256", "rtface_engine"}
    )
    fields |= {"precision": "int8", "weights": "int8"}
    return write_engine(folder / "face-2-int8-tensorrt", {MODEL_FILE: made}, fields)


@pytest.mark.parametrize("precision", ["f16", "f32"])
def test_an_engine_quantised_for_tensorrt_is_built(
    nvinfer: Nvinfer, quantised: Engine, precision: Any
) -> None:
    body = body_of(quantised, (192, 256), precision)
    assert body.quantised
    assert {"int8"} < all_in_half(body.onnx)
    plan = nvinfer.build(body.onnx, ONE).plan
    as_float = nvinfer.build(body_of(load_engine("face-2"), (192, 256), precision).onnx, ONE).plan
    assert len(plan) > 500_000
    assert plan != as_float


def test_a_build_is_reproducible(nvinfer: Nvinfer, families: dict[str, Engine]) -> None:
    """With TensorRT for RTX, which times nothing; also in another process: see the test of the command."""
    body = body_of(families["small"], (64, 64), "f16")
    assert body == body_of(families["small"], (64, 64), "f16")
    assert nvinfer.build(body.onnx, ONE).plan == Nvinfer().build(body.onnx, ONE).plan


@pytest.fixture
def body(families: dict[str, Engine]) -> Body:
    return body_of(families["small"], (64, 64), "f16")


def test_progress_is_told(nvinfer: Nvinfer, body: Body) -> None:
    told: list[tuple[str, int, int]] = []

    def progress(phase: str, done: int, steps: int) -> bool:
        told.append((phase, done, steps))
        return True

    nvinfer.build(body.onnx, ONE, progress)
    assert len(told) > 10
    assert all(1 <= done <= steps and phase for phase, done, steps in told)


def test_a_build_is_stopped(nvinfer: Nvinfer, body: Body) -> None:
    steps: list[int] = []

    def progress(phase: str, done: int, steps_: int) -> bool:
        steps.append(done)
        return len(steps) < 3

    with pytest.raises(BackendError, match="the build of the plan was stopped"):
        nvinfer.build(body.onnx, ONE, progress)
    assert len(steps) == 3, "it is not asked again"
    nvinfer.build(body.onnx, ONE)


def test_what_progress_raises_comes_through(nvinfer: Nvinfer, body: Body) -> None:
    class Wish(BaseException):
        pass

    def progress(phase: str, done: int, steps: int) -> bool:
        raise Wish

    with pytest.raises(Wish):
        nvinfer.build(body.onnx, ONE, progress)


def of_no_kernel() -> bytes:
    """A network that is valid ONNX and that TensorRT has nothing for."""
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    node = helper.make_node("NoSuchOperation", ["x"], ["y"], name="/strange")
    graph = helper.make_graph([node], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    assert isinstance(model, onnx.ModelProto)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda onnx: b"rubbish", "cannot read the network: .*parse"),
        (lambda onnx: b"", "cannot build the network: .*at least one output"),
        (lambda onnx: onnx[: len(onnx) // 2], "cannot read the network: .*parse"),
        (lambda onnx: of_no_kernel(), "cannot read the network: .*NoSuchOperation"),
    ],
    ids=["rubbish", "nothing", "half", "unknown operation"],
)
def test_a_bad_network_is_told_with_tensorrts_reasons(
    nvinfer: Nvinfer, body: Body, make: Any, message: str
) -> None:
    with pytest.raises(BackendError, match=rf"^tensorrt_rtx \d+\.\S+ {message}"):
        nvinfer.build(make(body.onnx), ONE)
    nvinfer.build(body.onnx, ONE)


def test_targets(nvinfer: Nvinfer, body: Body) -> None:
    assert {"sm_86", "sm_89", "sm_120"} <= set(nvinfer.targets)
    assert "sm_90" not in nvinfer.targets, "then the decision page and the factory want a look"
    plans = {
        targets: nvinfer.build(body.onnx, BuildOptions(targets=targets)).plan
        for targets in (("sm_86",), ("sm_89",))
    }
    assert len(set(plans.values())) == 2
    with pytest.raises(BackendError, match=r"makes no plans for sm_90, H200; it makes them for sm_75, "):
        nvinfer.build(body.onnx, BuildOptions(targets=("sm_90", "sm_89", "H200")))


def test_a_plan_without_a_gpu_cannot_be_loaded_and_that_is_an_error(nvinfer: Nvinfer, body: Body) -> None:
    from rtface.track.gpu.libcuda import probe

    if probe().gpus:
        pytest.skip("there is a GPU")
    with pytest.raises(
        BackendError, match=r"tensorrt_rtx .* cannot load the plan on this GPU|does not start"
    ):
        nvinfer.load(nvinfer.build(body.onnx, ONE).plan)


def test_the_body_computes_what_the_whole_does(families: dict[str, Engine]) -> None:
    """The cut network, run by onnxruntime on what the whole graph's preparation gives, makes the same maps."""
    ort = pytest.importorskip("onnxruntime")
    torch = pytest.importorskip("torch")
    from rtface.track.torch_graph import torch_network

    for family, engine in families.items():
        network = torch_network(engine).network
        image = np.random.default_rng(0).random((1, 1, 64, 64), np.float32)
        with torch.inference_mode():
            maps = network(torch.from_numpy(image))
        expected = [each.numpy() for each in (maps if isinstance(maps, tuple) else (maps,))]
        for precision, kind, tolerance in (("f32", np.float32, 2e-4), ("f16", np.float16, 0.1)):
            body = body_of(engine, (64, 64), precision)  # type: ignore[arg-type]
            session = ort.InferenceSession(body.onnx, providers=["CPUExecutionProvider"])
            found = session.run(list(body.outputs), {body.input: image.astype(kind)})
            for one, other in zip(found, expected, strict=True):
                assert one.dtype == np.float32
                np.testing.assert_allclose(one, other, atol=tolerance, err_msg=f"{family} {precision}")

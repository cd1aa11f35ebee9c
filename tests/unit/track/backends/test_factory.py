from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.fakes import fake_engine

from rtface.config import BackendSettings
from rtface.core.errors import BackendError
from rtface.track.backends import factory
from rtface.track.backends.factory import (
    BACKENDS,
    DEFAULT_GPU_ENGINE,
    NOT_FOR_RTX,
    Installed,
    choose,
    engine_for,
    make_backend,
    possible_backends,
)
from rtface.track.gpu.libcuda import Gpu, Probe
from rtface.track.gpu.versions import BuiltFor
from rtface.track.store import Engine, load_engine

GPU_PARTS = ("tensorrt", "onnx")
RTX_PARTS = ("tensorrt_rtx", "onnx")
NONE = Probe((), "no NVIDIA driver is installed (libcuda.so.1 is not there)")


def card(
    index: int = 0,
    capability: tuple[int, int] = (8, 9),
    name: str = "RTX",
    driver: str = "580",
    cuda: tuple[int, int] = (13, 0),
) -> Gpu:
    return Gpu(index, name, capability, 8 << 30, driver, cuda)


def machine(
    *packages: str,
    gpus: tuple[Gpu, ...] = (),
    cuda: bool = False,
    built: dict[str, tuple[int, ...]] | None = None,
) -> Installed:
    """What is installed on a machine and for which CUDA, which GPUs are in it, and whether its torch knows CUDA."""
    known = {name: BuiltFor(name, "2.13", of) for name, of in (built or {}).items()}
    return Installed(
        lambda name: name in packages, lambda: cuda, lambda: Probe(gpus) if gpus else NONE, known.get
    )


def asked(**settings: Any) -> BackendSettings:
    return BackendSettings.model_validate(settings)


def of_precision(precision: str, scheme: str | None = None) -> Engine:
    engine = fake_engine()
    facts = {"calibration": {} if scheme is None else {"scheme": scheme}}
    changed = {"precision": precision, "metrics": {"parity": facts}}
    return replace(engine, manifest=engine.manifest.model_copy(update=changed))


CARD = (card(),)


@pytest.mark.parametrize(
    ("settings", "here", "attribute", "device", "why"),
    [
        # A CPU: OpenVINO, else torch.
        ({}, machine("openvino", "torch"), "OpenvinoBackend", None, "auto: openvino is the first .* installed"),
        ({}, machine("torch"), "TorchBackend", None, "auto: torch is the first that is installed"),
        ({}, machine("openvino", *GPU_PARTS), "OpenvinoBackend", None, "installed$"),
        # A GPU: TensorRT, TensorRT for RTX, torch for CUDA.
        ({}, machine("openvino", "torch", *GPU_PARTS, gpus=CARD, cuda=True), "TensorrtBackend", "cuda:0",
         "auto: cuda:0: RTX .sm_89, driver 580. is there, and tensorrt is installed"),
        ({}, machine("openvino", *RTX_PARTS, gpus=CARD), "TensorrtBackend", "cuda:0", "tensorrt_rtx is installed"),
        ({}, machine("tensorrt_rtx", *GPU_PARTS, gpus=CARD), "TensorrtBackend", "cuda:0", "and tensorrt is"),
        ({}, machine("openvino", "torch", gpus=CARD, cuda=True), "TorchCudaBackend", "cuda:0", "torch for CUDA"),
        # Parts of TensorRT are missing.
        ({}, machine("openvino", "tensorrt", gpus=CARD), "OpenvinoBackend", None,
         r"cuda:0: RTX .* is not used, for that pip install '.\[tensorrt\]'"),
        ({}, machine("torch", "tensorrt", gpus=CARD, cuda=True), "TorchCudaBackend", "cuda:0", "torch"),
        ({}, machine("openvino", "tensorrt_lean", "onnx", gpus=CARD), "OpenvinoBackend", None, "not used"),
        # torch is there, but not for CUDA.
        ({}, machine("openvino", "torch", gpus=CARD), "OpenvinoBackend", None, "not used"),
        # A card that TensorRT for RTX does not serve.
        ({}, machine("openvino", "torch", *RTX_PARTS, gpus=(card(0, (9, 0)),), cuda=True), "TorchCudaBackend",
         "cuda:0", "sm_90"),
        ({}, machine("openvino", *RTX_PARTS, gpus=(card(0, (7, 0)),)), "OpenvinoBackend", None, "not used"),
        ({}, machine("openvino", *GPU_PARTS, gpus=(card(0, (9, 0)),)), "TensorrtBackend", "cuda:0", "sm_90"),
        # The device decides.
        ({"device": "CPU"}, machine("openvino", *GPU_PARTS, gpus=CARD), "OpenvinoBackend", None, "installed$"),
        ({"device": "GPU.1"}, machine("openvino", *GPU_PARTS, gpus=CARD), "OpenvinoBackend", None, "installed$"),
        ({"device": "cuda"}, machine(*GPU_PARTS, gpus=CARD), "TensorrtBackend", "cuda:0", "cuda:0"),
        ({"device": "cuda:1"}, machine("torch", *RTX_PARTS, gpus=(card(0, (9, 0)), card(1)), cuda=True),
         "TensorrtBackend", "cuda:1", "auto: cuda:1: RTX"),
        ({"device": "cuda:1"}, machine("torch", *RTX_PARTS, gpus=(card(), card(1, (9, 0))), cuda=True),
         "TorchCudaBackend", "cuda:1", "cuda:1: RTX .sm_90"),
        # bf16 is a CPU's.
        ({"precision": "bf16"}, machine("openvino", *GPU_PARTS, gpus=CARD), "OpenvinoBackend", None,
         "cuda:0.*not used, as bf16 runs on a CPU alone"),
        # By name.
        ({"name": "openvino"}, machine("openvino", *GPU_PARTS, gpus=CARD), "OpenvinoBackend", None, "asked for"),
        ({"name": "torch"}, machine("torch", gpus=CARD, cuda=True), "TorchBackend", None, "asked for: torch"),
        ({"name": "torch", "device": "cuda:0"}, machine("torch", gpus=CARD, cuda=True), "TorchCudaBackend", None, "asked for"),
        ({"name": "tensorrt"}, machine(*RTX_PARTS, gpus=CARD), "TensorrtBackend", None, "asked for: tensorrt"),
    ],
)  # fmt: skip
def test_what_is_chosen_and_why(
    settings: dict[str, str], here: Installed, attribute: str, device: str | None, why: str
) -> None:
    choice = choose(asked(**settings), here)
    assert (choice.kind.attribute, choice.device) == (attribute, device)
    assert re.search(why, choice.why), choice.why
    assert choice.on_gpu == (attribute in ("TensorrtBackend", "TorchCudaBackend"))


@pytest.mark.parametrize(
    ("settings", "here", "message"),
    [
        ({}, machine(), "no back end is installed: pip install .*tensorrt.*; or pip install openvino; or"),
        ({}, machine(gpus=CARD), "no back end can run on this machine; cuda:0: RTX .* is not used, for that pip"),
        ({"device": "cuda:0"}, machine("openvino", *GPU_PARTS), "on cuda:0; no NVIDIA driver is installed"),
        ({"device": "cuda:0"}, machine("openvino", gpus=CARD), "on cuda:0; cuda:0: RTX .* for that pip install"),
        ({"device": "cuda:2"}, machine(*GPU_PARTS, gpus=(card(), card(1))), "cuda:2, but .*cuda:0: .*; cuda:1: "),
        ({"device": "cuda:x"}, machine(*GPU_PARTS, gpus=CARD), "'cuda:x'; a GPU is named cuda:0, cuda:1"),
        ({"name": "openvino"}, machine("torch"), "backend.name is openvino, but openvino is not installed: pip"),
        ({"name": "torch"}, machine("openvino"), r"but torch is not installed: pip install '.\[train\]'"),
        ({"name": "tensorrt"}, machine(*GPU_PARTS), "backend.name is tensorrt, but no NVIDIA driver is installed"),
        ({"name": "tensorrt"}, machine(), "backend.name is tensorrt, but no NVIDIA driver is installed"),
        ({"name": "tensorrt"}, machine(gpus=CARD), "but tensorrt and onnx are not installed: pip"),
        ({"name": "tensorrt"}, machine("tensorrt", gpus=CARD), "but onnx is not installed: pip install"),
        ({"name": "tensorrt"}, machine("tensorrt_lean", "onnx", gpus=CARD),
         "but tensorrt is not installed; TensorRT's lean runtime is there, but it cannot build plans: pip"),
        ({"name": "torch", "device": "cuda:0"}, machine("torch"), "is torch, but no NVIDIA driver is installed"),
        ({"name": "torch", "device": "cuda:0"}, machine("torch", gpus=CARD),
         "build for a CPU: pip install --force-reinstall torch"),
        # What is named is what this driver, or this board, can run.
        ({"name": "torch", "device": "cuda:0"}, machine("torch", gpus=(card(cuda=(12, 2)),)),
         "build for a CPU: pip install --force-reinstall 'torch<2.15' --index-url .*cu126"),
        ({"name": "torch", "device": "cuda:0"}, machine(gpus=(card(cuda=(11, 8)),)), "not installed: pip .*cu118"),
        ({"name": "tensorrt"}, machine(gpus=(card(cuda=(12, 2)),)),
         "not installed: pip install tensorrt-cu12 onnx, or for a GeForce or RTX card pip install tensorrt-rtx-cu12 onnx"),
        ({"name": "tensorrt"}, machine(gpus=(card(0, (8, 7), "Orin", cuda=(12, 6)),)), "on a Jetson it comes with Jet"),
        ({"device": "cuda:0"}, machine(gpus=(card(0, (8, 7), "Orin", cuda=(12, 6)),)), "for that on a Jetson it comes"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_an_error_that_says_what_to_do(
    settings: dict[str, str], here: Installed, message: str
) -> None:
    with pytest.raises(BackendError, match=message):
        choose(asked(**settings), here)


OLD = (card(driver="570.86, CUDA 12.8", cuda=(12, 8)),)
NEW_TORCH = (
    "torch 2.13 is built for CUDA 13.0, and the driver .570.86, CUDA 12.8. runs none newer than CUDA 12"
)


@pytest.mark.parametrize(
    ("here", "attribute", "why"),
    [
        # torch is newer than the driver: not chosen, and it says what to do.
        (machine("openvino", "torch", gpus=OLD, cuda=True, built={"torch": (13, 0)}), "OpenvinoBackend",
         rf"not used: {NEW_TORCH}: install a driver of 580.65 or newer, or torch for CUDA 12: pip install .*cu126"),
        # A newer minor version is served, and so is an older major one.
        (machine("openvino", "torch", gpus=OLD, cuda=True, built={"torch": (12, 9)}), "TorchCudaBackend", "auto"),
        (machine("openvino", "torch", gpus=CARD, cuda=True, built={"torch": (11, 8)}), "TorchCudaBackend", "auto"),
        # TensorRT is newer: torch is taken, if that is not.
        (machine("torch", *GPU_PARTS, gpus=OLD, cuda=True, built={"tensorrt": (13,), "torch": (12, 6)}),
         "TorchCudaBackend", "torch for CUDA"),
        (machine("openvino", "torch", *GPU_PARTS, gpus=OLD, cuda=True, built={"tensorrt": (13,), "torch": (13, 0)}),
         "OpenvinoBackend", rf"pip install tensorrt-cu12; {NEW_TORCH}"),
        (machine("openvino", *RTX_PARTS, gpus=OLD, built={"tensorrt_rtx": (13,)}), "OpenvinoBackend",
         "tensorrt_rtx 2.13 is built for CUDA 13, .* pip install tensorrt-rtx-cu12"),
        (machine("openvino", *RTX_PARTS, gpus=OLD, built={"tensorrt_rtx": (12,)}), "TensorrtBackend", "auto"),
        # A driver that is too old for rtface itself.
        (machine("openvino", *GPU_PARTS, gpus=(card(driver="460.32, CUDA 11.2", cuda=(11, 2)),)), "OpenvinoBackend",
         r"driver \(460.32, CUDA 11.2\) is older than rtface needs, which is CUDA 11.4: install a driver of 470"),
        # What did not come from pip does not say, and a driver may not either.
        (machine("openvino", *GPU_PARTS, gpus=OLD), "TensorrtBackend", "auto"),
        (machine("torch", gpus=(card(cuda=(0, 0)),), cuda=True, built={"torch": (13, 0)}), "TorchCudaBackend", ""),
    ],
)  # fmt: skip
def test_what_a_driver_cannot_run_is_not_chosen(here: Installed, attribute: str, why: str) -> None:
    choice = choose(asked(), here)
    assert choice.kind.attribute == attribute
    assert re.search(why, choice.why), choice.why
    named = {
        "TensorrtBackend": {"name": "tensorrt"},
        "TorchCudaBackend": {"name": "torch", "device": "cuda:0"},
    }
    assert choice.on_gpu == (attribute in named)
    if choice.on_gpu:
        assert choose(asked(**named[attribute]), here).on_gpu
    possible = {str(each): each.why_not for each in possible_backends(here)}
    assert (not possible["tensorrt on a GPU"]) == (attribute == "TensorrtBackend")
    assert (not possible["torch on a GPU"]) or not choice.on_gpu or attribute == "TensorrtBackend"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "torch", "device": "cuda:0"}, rf"backend.name is torch, but {NEW_TORCH}: install"),
        (
            {"name": "tensorrt"},
            "backend.name is tensorrt, but tensorrt 2.13 is built for CUDA 13, and the driver",
        ),
        ({"device": "cuda:0"}, rf"no back end can run on cuda:0; .* is not used: .*{NEW_TORCH}"),
    ],
)
def test_what_a_driver_cannot_run_is_refused_by_name(settings: dict[str, str], message: str) -> None:
    here = machine(
        "torch", "openvino", *GPU_PARTS, gpus=OLD, cuda=True, built={"torch": (13, 0), "tensorrt": (13,)}
    )
    with pytest.raises(BackendError, match=message):
        choose(asked(**settings), here)


def test_an_engine_in_int8_for_a_cpu_is_not_sent_to_the_gpu() -> None:
    here = machine("openvino", "torch", *GPU_PARTS, gpus=CARD, cuda=True)
    for scheme in (None, "activations in u8 by their range, biases in int32"):
        choice = choose(asked(), here, of_precision("int8", scheme))
        assert choice.kind is BACKENDS["openvino"]
        assert "is not used, as fake is quantised for a CPU" in choice.why
    assert choose(asked(), here, of_precision("f32")).on_gpu


def test_an_engine_in_int8_for_tensorrt_runs_there_or_on_the_cpu_but_not_in_torch() -> None:
    from rtface.learn.engines.quantise import Scheme

    engine = of_precision("int8", Scheme.TENSORRT.value)
    with_all = machine("openvino", "torch", *GPU_PARTS, gpus=CARD, cuda=True)
    assert choose(asked(), with_all, engine).kind is BACKENDS["tensorrt"]
    without = machine("openvino", "torch", gpus=CARD, cuda=True)
    assert choose(asked(), without, engine).kind is BACKENDS["openvino"]
    assert not Scheme.CPU.value.endswith(factory.FOR_TENSORRT)


def test_the_cards_that_tensorrt_for_rtx_does_not_serve_are_those_it_says() -> None:
    """Held against the real list, where it is installed."""
    pytest.importorskip("tensorrt_rtx")
    from rtface.track.gpu.nvinfer import Nvinfer

    served = {(int(name[3:-1]), int(name[-1])) for name in Nvinfer().targets}
    assert min(served) == factory.OLDEST_FOR_RTX
    assert not served & NOT_FOR_RTX


class Made:
    def __init__(self, engine: Engine, settings: BackendSettings, why: str) -> None:
        self.engine, self.settings, self.why = engine, settings, why


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a stand-in in the place of a back end's class."""

    def put(module_name: str, attribute: str) -> None:
        module: Any = ModuleType(module_name)
        setattr(module, attribute, type(attribute, (Made,), {}))
        monkeypatch.setitem(sys.modules, module_name, module)

    return put


def test_the_back_end_is_made_of_engine_settings_and_reason(made_up: Callable[[str, str], None]) -> None:
    made_up("rtface.track.backends.tensorrt", "TensorrtBackend")
    engine = fake_engine()
    made: Any = make_backend(engine, asked(threads=3), machine(*GPU_PARTS, gpus=(card(), card(1))))
    assert type(made).__name__ == "TensorrtBackend"
    assert made.engine is engine
    assert (made.settings.device, made.settings.threads) == ("cuda:0", 3)
    assert made.why.startswith("auto: cuda:0")


def test_a_device_that_was_asked_for_is_handed_on_as_it_is(made_up: Callable[[str, str], None]) -> None:
    made_up("rtface.track.backends.torch_cuda", "TorchCudaBackend")
    settings = asked(name="torch", device="cuda:1")
    made: Any = make_backend(fake_engine(), settings, machine("torch", gpus=(card(), card(1)), cuda=True))
    assert made.settings == settings


def test_the_default_engine_is_the_float_one_where_a_gpu_runs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(factory, "Installed", lambda: machine("openvino", *GPU_PARTS, gpus=CARD))
    assert engine_for("default", asked()).manifest.name == DEFAULT_GPU_ENGINE
    assert engine_for("default", asked(name="openvino")).manifest.name == load_engine("default").manifest.name
    assert engine_for("face-2-tiny", asked()).manifest.name == "face-2-tiny"
    assert load_engine(DEFAULT_GPU_ENGINE).manifest.precision == "f32"
    monkeypatch.setattr(factory, "Installed", lambda: machine("openvino"))
    assert engine_for("default", asked()).manifest.precision == "int8"


def test_finding_out_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx", "pycuda", "torch", "openvino"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    before = set(sys.modules)
    choose(asked(), replace(Installed(), present=lambda name: name == "openvino"))
    choose(asked(name="openvino"))
    assert not {"tensorrt", "tensorrt_rtx", "pycuda", "torch", "openvino"} & (set(sys.modules) - before)


@pytest.mark.parametrize("found", [True, False])
def test_torch_for_cuda_is_known_by_its_libraries(
    found: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "torch"
    (package / "lib").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('must not be imported')")
    (package / "lib" / ("libtorch_cuda.so" if found else "libtorch_cpu.so")).touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert Installed().torch_has_cuda() is found


def test_every_name_of_the_configuration_is_known() -> None:
    assert set(BACKENDS) | {"auto"} == set(BackendSettings.model_json_schema()["properties"]["name"]["enum"])

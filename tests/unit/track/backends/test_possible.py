"""What could run here, and why the others could not: asked of made-up machines."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rtface.track.backends.factory import Installed, possible_backends
from rtface.track.gpu.libcuda import Gpu, Probe

RTX = Gpu(0, "NVIDIA GeForce RTX 4090", (8, 9), 24 << 30, "570.86, CUDA 12.8")
H200 = Gpu(0, "NVIDIA H200", (9, 0), 141 << 30, "570.86, CUDA 12.8")
NO_DRIVER = Probe((), "no NVIDIA driver is installed")


def machine(*packages: str, gpu: Gpu | None = None, torch_has_cuda: bool = False) -> dict[str, str]:
    installed = Installed(
        present=lambda package: package in packages,
        torch_has_cuda=lambda: torch_has_cuda,
        gpus=lambda: NO_DRIVER if gpu is None else Probe((gpu,)),
        built_for=lambda package: None,
    )
    return {str(each): each.why_not for each in possible_backends(installed)}


def test_a_machine_without_a_gpu() -> None:
    assert machine("openvino", "tensorrt", "onnx") == {
        "tensorrt on a GPU": "no NVIDIA driver is installed",
        "torch on a GPU": "no NVIDIA driver is installed",
        "openvino on the CPU": "",
        "torch on the CPU": "torch is not installed: pip install '.[train]' in a checkout of rtface",
    }


def test_a_gpu_that_has_all() -> None:
    found = machine("openvino", "tensorrt", "onnx", "torch", gpu=RTX, torch_has_cuda=True)
    assert set(found.values()) == {""}


@pytest.mark.parametrize(
    ("packages", "what", "words"),
    [
        (
            ("openvino",),
            "tensorrt on a GPU",
            "tensorrt and onnx are not installed: pip install '.[tensorrt]'",
        ),
        (("tensorrt",), "tensorrt on a GPU", "onnx is not installed"),
        (
            ("tensorrt_lean", "onnx"),
            "tensorrt on a GPU",
            "lean runtime is there, but it cannot build",
        ),
        (("torch",), "torch on a GPU", "its build for a CPU"),
    ],
)
def test_a_gpu_that_lacks_something(packages: tuple[str, ...], what: str, words: str) -> None:
    assert words in machine(*packages, gpu=RTX)[what]


def test_tensorrt_for_rtx_does_not_serve_hopper() -> None:
    assert (
        "makes no plans for cuda:0: NVIDIA H200"
        in machine("tensorrt_rtx", "onnx", gpu=H200)["tensorrt on a GPU"]
    )
    assert machine("tensorrt_rtx", "onnx", gpu=RTX)["tensorrt on a GPU"] == ""
    assert machine("tensorrt", "onnx", gpu=H200)["tensorrt on a GPU"] == ""


def test_nothing_is_imported_to_find_out() -> None:
    code = (
        "import sys; from rtface.track.backends.factory import possible_backends; assert len(possible_backends()) == 4;"
        "sys.exit(bool({'torch', 'openvino', 'tensorrt', 'tensorrt_rtx', 'pycuda', 'onnx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""What is asked of the driver before anything is imported, and how its errors are told."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from support.emulated_cuda import Emulator
from support.emulated_gpu import NO_DEVICE, EmulatedGpu

from rtface.core.errors import BackendError
from rtface.track.gpu import libcuda
from rtface.track.gpu.libcuda import Libcuda, choose_gpu, device_index, probe


@pytest.fixture
def gpu(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> EmulatedGpu:
    made = EmulatedGpu(emulator, name="RTX 4090", count=2)
    monkeypatch.setattr(Libcuda, "load", classmethod(lambda cls: cls(made)))
    return made


def test_the_gpus_are_listed_and_no_context_is_made(gpu: EmulatedGpu) -> None:
    found = probe()
    assert [each.index for each in found.gpus] == [0, 1]
    assert found.why_none == ""
    first = found.gpus[0]
    assert (first.name, first.architecture, first.memory_bytes) == ("RTX 4090", "sm_89", 8 << 30)
    assert str(first).startswith("cuda:0: RTX 4090 (sm_89, driver ")
    assert first.driver.endswith("CUDA 12.4")
    assert not gpu.left


@pytest.mark.parametrize(("there", "expected"), [(True, "580.65.06, CUDA 12.4"), (False, "CUDA 12.4")])
def test_the_drivers_version_is_read_where_it_has_a_file(
    gpu: EmulatedGpu, there: bool, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "version"
    if there:
        file.write_text("580.65.06\n")
    monkeypatch.setattr(libcuda, "_DRIVER_VERSION", file)
    assert probe().gpus[0].driver == expected


@pytest.mark.parametrize(
    ("fails", "why"),
    [
        ({"cuInit": [NO_DEVICE]}, "the NVIDIA driver finds no GPU"),
        ({"cuInit": [999]}, "the NVIDIA driver does not start: error 999"),
        ({"cuDeviceGetCount": [1]}, "refused cuDeviceGetCount: CUDA_ERROR_INVALID_VALUE (1)"),
        ({"cuDeviceGetName": [None, 1]}, "refused cuDeviceGetName: CUDA_ERROR_INVALID_VALUE (1)"),
    ],
)
def test_a_driver_that_does_not_work_is_a_reason_and_no_error(
    gpu: EmulatedGpu, fails: dict[str, list[int | None]], why: str
) -> None:
    gpu.fails = fails
    found = probe()
    assert found.gpus == ()
    assert why in found.why_none


def test_without_a_gpu_behind_the_driver(gpu: EmulatedGpu) -> None:
    gpu.count = 0
    assert probe().why_none == "the NVIDIA driver finds no GPU"


def test_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert probe().why_none == "no NVIDIA driver is installed (libcuda.so.1 is not there)"
    with pytest.raises(BackendError, match="no GPU can be used: no NVIDIA driver is installed"):
        choose_gpu(None)


def test_the_one_that_is_named_is_taken(gpu: EmulatedGpu) -> None:
    assert choose_gpu(None)[1].index == choose_gpu("cuda")[1].index == choose_gpu("CUDA:0")[1].index == 0
    assert choose_gpu("cuda:1")[1].index == 1
    with pytest.raises(BackendError, match=r"cuda:2, but .* are: cuda:0: RTX 4090 .*; cuda:1: RTX 4090"):
        choose_gpu("cuda:2")


@pytest.mark.parametrize("device", ["CPU", "cuda:", "cuda:-1", "cuda:one", "cuda0", "", "gpu:0"])
def test_what_names_no_gpu(device: str) -> None:
    with pytest.raises(BackendError, match="a GPU is named cuda:0, cuda:1"):
        device_index(device)


def test_a_driver_that_is_too_old_is_told(gpu: EmulatedGpu) -> None:
    gpu.lacks = {"cuGraphUpload"}
    with pytest.raises(BackendError, match=r"too old: it has no cuGraphUpload, which needs CUDA 11.4"):
        Libcuda(gpu).call("cuGraphUpload", None, None)

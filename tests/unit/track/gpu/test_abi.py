"""Every call of NVIDIA's driver, through ctypes into a C library whose functions the toolkit's own header declares."""

from __future__ import annotations

import ast
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.backends import Runner, face, levels_for, reference, runner_of, tiny_engine
from support.paths import REPOSITORY
from support.stubs import Stub, build

from rtface.core.records import Crop
from rtface.track.gpu.driver import library, lost
from rtface.track.gpu.driver.declarations import DECLARATIONS
from rtface.track.gpu.driver.library import ORDER, Driver
from rtface.track.gpu.driver.nvml import MANAGEMENT, Nvml
from rtface.track.gpu.libcuda import Libcuda

TELLING: dict[Any, int] = {
    ctypes.c_int: -5,
    ctypes.c_uint: 0xFFFF_FF00,
    ctypes.c_size_t: 0x1_0000_0003,
    ctypes.c_ulonglong: 0x8000_0000_0000_0001,
    ctypes.c_void_p: 0x7FFF_0000_1234_5678,
}
"""Values that do not fit into a type that is too small, or lose their sign in a wrong one."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("libcuda", "nvidia-cuda-runtime", "cuda.h", tmp_path_factory.mktemp("stub"))


@pytest.fixture
def stub(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setattr(lost, "_why", "")
    made = Stub(path, DECLARATIONS, lambda name, *arguments: 0)
    yield made
    made.close()
    assert not made.wrong, made.wrong


def test_all_that_is_declared_is_in_the_library(stub: Stub) -> None:
    assert [name for name in DECLARATIONS if not hasattr(stub.library, name)] == []


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_call_arrives_as_it_was_made(stub: Stub, name: str) -> None:
    declared, given, expected = DECLARATIONS[name], list[Any](), list[int]()
    kept: list[Any] = []
    for place, kind in enumerate(declared.arguments):
        if kind in TELLING:
            value = TELLING[kind] + place
            given.append(value)
            expected.append(value % 2**64)
        elif kind is ctypes.c_char_p:
            kept.append(ctypes.create_string_buffer(b"text", 96))
            given.append(kept[-1])
            expected.append(ctypes.addressof(kept[-1]))
        else:
            kept.append(kind._type_())
            given.append(ctypes.byref(kept[-1]))
            expected.append(ctypes.addressof(kept[-1]))
    Driver(stub.library, stub.at_once).call(name, *given)
    ((called, _, values, locked),) = stub.calls
    assert (called, values) == (name, expected)
    assert locked is not declared.waits, "Python's lock is kept by what returns at once, and by nothing else"


KEEP_THE_LOCK = {
    "cuLaunchKernel", "cuGraphLaunch", "cuMemcpyHtoDAsync_v2", "cuMemsetD32Async", "cuEventRecord",
    "cuEventRecordWithFlags", "cuCtxGetCurrent",
}  # fmt: skip
"""What is called for each frame, but for the wait."""

GIVE_IT_FREE = {
    "cuInit", "cuDevicePrimaryCtxRetain", "cuMemAlloc_v2", "cuMemFree_v2", "cuMemHostRegister_v2", "cuEventSynchronize",
    "cuModuleLoadDataEx", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphUpload",
}  # fmt: skip
"""What may take long: another thread of Python must not stand still meanwhile."""


@pytest.mark.parametrize("name", sorted(KEEP_THE_LOCK | GIVE_IT_FREE))
def test_the_driver_that_is_loaded_keeps_pythons_lock_for_what_only_enqueues(
    stub: Stub, path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "LIBRARY", str(path))
    library._libraries.cache_clear()
    driver = Libcuda.load()
    assert driver is not None
    nothing = [kind() if kind in TELLING else None for kind in DECLARATIONS[name].arguments]
    stub.answer_only = 0
    driver.call(name, *nothing)
    library._libraries.cache_clear()
    ((_, _, _, locked),) = stub.calls
    assert locked is (name in KEEP_THE_LOCK)


def test_a_call_with_too_few_arguments_is_refused(stub: Stub) -> None:
    with pytest.raises(TypeError, match="at least 4"):
        Driver(stub.library, stub.at_once).call("cuMemsetD32Async", 1, 2, 3)
    assert not stub.calls


def calls_in_the_sources() -> dict[str, set[int]]:
    """Return every function of the driver that the package calls, with the counts of arguments that it is called with."""
    found: dict[str, set[int]] = {}
    for path in (REPOSITORY / "rtface/track").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            first = node.args[0]
            if (
                isinstance(first, ast.Constant)
                and str(first.value).startswith("cu")
                and first.value in DECLARATIONS
            ):
                starred = any(isinstance(each, ast.Starred) for each in node.args)
                found.setdefault(first.value, set()).update(() if starred else {len(node.args) - 1})
    return found


def test_every_call_has_as_many_arguments_as_the_function() -> None:
    called = calls_in_the_sources()
    assert set(called) >= set(DECLARATIONS) - {"cuModuleLoadDataEx", "cuGetErrorName"}, (
        "nothing is declared in vain"
    )
    refused = {"cuModuleLoadDataEx"}  # also named in errors
    for name, counts in called.items():
        if name not in refused:
            assert counts <= {len(DECLARATIONS[name].arguments), 0}, name


def test_a_back_end_lives_through_the_library_and_finds_what_it_should(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every call of a life goes through C, to the emulated GPU behind it."""
    runner: Runner = runner_of("emulated-tensorrt-rtx", request)
    gpu = runner.gpu
    assert gpu is not None
    stub = Stub(path, DECLARATIONS, lambda name, *arguments: getattr(gpu, name)(*arguments))
    monkeypatch.setattr(Libcuda, "load", classmethod(lambda cls: cls(stub.library, stub.at_once)))
    engine = tiny_engine(tmp_path / "small-test", "small", size=32)
    shape, crop = (64, 72), Crop(5, 4, 50, 40)
    frame = face(shape)
    with runner.running(engine, shape, crop, precision="f32") as find:
        np.testing.assert_allclose(find(frame), reference(engine, frame, crop), atol=2e-3)
    backend: Any = runner.make(engine)
    backend.open()
    backend.prepare(shape, crop)
    assert set(backend.itemise(frame)) >= {"copy_in", "network"}
    backend.infer(frame, levels_for(engine, frame))
    assert backend.memory_used() > 0
    backend.close()
    stub.close()
    assert not stub.wrong, stub.wrong
    assert not gpu.left
    gone_through = {name for name, *_ in stub.calls}
    assert len(gone_through) > 30
    assert (
        gone_through
        == {name for name in gpu.log if name.startswith("cu")} | {"cuGetErrorName"} & gone_through
    )


def test_the_library_is_found_by_its_name_and_gpus_are_numbered_as_nvidia_smi_numbers_them(
    path: Path, tmp_path: Path
) -> None:
    shutil.copy(path, tmp_path / "libcuda.so.1")
    code = (
        "import os; from rtface.track.gpu.libcuda import probe; "
        f"print(probe().why_none, os.environ[{ORDER!r}], sep='; ')"
    )

    def run(**changes: str) -> str:
        kept = {name: value for name, value in os.environ.items() if name != ORDER}
        environment = kept | {"LD_LIBRARY_PATH": str(tmp_path)} | changes
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert run() == "the NVIDIA driver finds no GPU; PCI_BUS_ID"
    assert run(**{ORDER: "FASTEST_FIRST"}).endswith("; FASTEST_FIRST"), "what was set is not changed"


@pytest.fixture(scope="module")
def management_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("libnvidia-ml", "nvidia-nvml-dev", "nvml.h", tmp_path_factory.mktemp("stub"))


@pytest.mark.parametrize("name", MANAGEMENT)
def test_a_call_of_the_management_library_arrives_as_it_was_made(management_path: Path, name: str) -> None:
    stub = Stub(management_path, MANAGEMENT, lambda name, *arguments: 0)
    given, expected, kept = list[Any](), list[int](), list[Any]()
    for place, kind in enumerate(MANAGEMENT[name].arguments):
        if kind in TELLING:
            given.append(TELLING[kind] + place)
            expected.append(TELLING[kind] + place)
            continue
        kept.append(ctypes.create_string_buffer(b"text", 96) if kind is ctypes.c_char_p else kind._type_())
        given.append(kept[-1] if kind is ctypes.c_char_p else ctypes.byref(kept[-1]))
        expected.append(ctypes.addressof(kept[-1]))
    assert Nvml(stub.library).has_done(name, *given)
    stub.close()
    ((called, _, values, locked),) = stub.calls
    assert (called, values, locked) == (name, expected, False)
    assert not stub.wrong, stub.wrong


def test_what_is_not_declared_cannot_be_called(stub: Stub) -> None:
    with pytest.raises(KeyError):
        Driver(stub.library).call("cuCtxDestroy_v2", None)
    assert library.LIBRARY == "libcuda.so.1"

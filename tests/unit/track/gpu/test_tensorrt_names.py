"""Every name of TensorRT's that rtface uses, held against the bindings of releases 10 and 11 and of TensorRT for RTX."""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from support import tensorrt_names
from support.tensorrt_names import RECORD, Names

from rtface.track.gpu import callbacks, nvinfer

SOURCES = (nvinfer, callbacks)

CLASS_OF = {
    "trt": "module",
    "self._trt": "module",
    "builder": "Builder",
    "config": "IBuilderConfig",
    "at_run": "IRuntimeConfig",
    "cache": "IRuntimeCache",
    "self._cache": "IRuntimeCache",
    "config.get_timing_cache()": "ITimingCache",
    "context": "IExecutionContext",
    "self._open()": "IExecutionContext",
    "self._engine": "ICudaEngine",
    "self._engine.get_tensor_dtype(name)": "DataType",
    "error": "ParserError",
    "parser": "OnnxParser",
    "runtime": "Runtime",
    "strategy": "ExecutionContextAllocationStrategy",
    "trt.BuilderFlag": "BuilderFlag",
    "trt.ComputeCapability": "ComputeCapability",
    "trt.ILogger": "ILogger",
    "trt.MemoryPoolType": "MemoryPoolType",
    "trt.NetworkDefinitionCreationFlag": "NetworkDefinitionCreationFlag",
    "trt.TensorIOMode": "TensorIOMode",
}
"""What TensorRT's objects are called in the source."""

OURS = {
    *(
        "_log",
        "importlib",
        "logging",
        "logger",
        "members",
        "monitor",
        "name",
        "options",
        "self",
        "told",
        "_DTYPES",
    ),
    *("bool", "dict", "kind", "progress", "super()", "', '", "'; '"),
    *("logger.messages", "self.messages", "self._logger", "self._logger.messages", "self._steps", "parts"),
    "f'{error.node_operator()} {error.node_name()}'",
}
"""What is not TensorRT's: nothing else may have attributes, so that no name is overlooked."""

RTX_ALONE = {
    ("module", "ComputeCapability"),
    ("BuilderFlag", "REQUIRE_USER_ALLOCATION"),
    ("IBuilderConfig", "num_compute_capabilities"),
    ("IBuilderConfig", "set_compute_capability"),
    ("IExecutionContext", "is_stream_capturable"),
    ("IRuntimeCache", "deserialize"),
    ("IRuntimeCache", "serialize"),
    ("IRuntimeConfig", "create_runtime_cache"),
    ("IRuntimeConfig", "set_runtime_cache"),
}
"""Stand behind a ``hasattr``, or are used where one was answered."""

USED_WITH_RTX = RTX_ALONE | {
    ("ICudaEngine", "create_runtime_config"),
    ("ICudaEngine", "device_memory_size_v2"),
    ("IExecutionContext", "set_device_memory"),
    ("IRuntimeConfig", "set_execution_context_allocation_strategy"),
}
"""The last four the full TensorRT has in later releases."""


def attributes() -> Iterator[tuple[str, str]]:
    for module in SOURCES:
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                yield ast.unparse(node.value), node.attr
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr":
                yield ast.unparse(node.args[0]), ast.literal_eval(node.args[1])


def used() -> set[tuple[str, str]]:
    return {
        (CLASS_OF[owner], name)
        for owner, name in attributes()
        if owner in CLASS_OF and not name.startswith("__")
    }


def recorded() -> dict[str, Names]:
    packed = json.loads(RECORD.read_text(encoding="utf-8"))
    return {
        release: {each: names.split() for each, names in classes.items()}
        for release, classes in packed.items()
    }


RELEASES = recorded()


def missing(names: Names) -> set[tuple[str, str]]:
    return {(owner, name) for owner, name in used() if name not in names.get(owner, [])}


def test_no_attribute_is_overlooked() -> None:
    assert {owner for owner, _ in attributes()} - set(CLASS_OF) - OURS == set()
    assert len(used()) > 45


def test_the_record_holds_both_majors_and_rtx() -> None:
    assert {release.partition(".")[0] for release in RELEASES} == {
        "tensorrt 10",
        "tensorrt 11",
        "tensorrt_rtx 1",
    }


@pytest.mark.parametrize("release", RELEASES)
def test_every_name_is_in_every_release(release: str) -> None:
    assert missing(RELEASES[release]) <= (set() if "rtx" in release else USED_WITH_RTX)


def test_names_of_rtx_alone_are_in_no_other() -> None:
    """Else a release would be taken for the one for RTX; what tells them apart is the compute capabilities."""
    for release, names in RELEASES.items():
        if "rtx" not in release:
            assert {(o, n) for o, n in RTX_ALONE if n in names.get(o, [])} == set(), release


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_every_name_is_in_the_installed_module(name: str) -> None:
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    module = importlib.import_module(name)
    assert missing(tensorrt_names.names_of(module)) <= (set() if "rtx" in name else USED_WITH_RTX)


@pytest.mark.parametrize("rtx", [False, True])
def test_the_emulated_module_has_no_name_that_the_real_one_lacks(rtx: bool) -> None:
    from support.emulated_tensorrt import tensorrt_module

    emulated = tensorrt_module(None, rtx=rtx)  # type: ignore[arg-type]
    for release, names in RELEASES.items():
        if rtx == ("rtx" in release):
            own = {each for each in vars(emulated) if not each.startswith("_")}
            assert own <= set(names["module"]), release
            for kind in own & set(tensorrt_names.CLASSES):
                assert set(getattr(getattr(emulated, kind), "__members__", {})) <= set(names[kind]), release

"""What a lab gets: vendors' packages imported in one file each, and kernels and engines in the wheel."""

from __future__ import annotations

import ast
import zipfile
from pathlib import Path

import pytest
from support.paths import REPOSITORY

SOURCES = sorted((REPOSITORY / "rtface").rglob("*.py"))
BY_NAME = {
    "rtface/__init__.py",
    "rtface/acquire/outside/child.py",
    "rtface/track/gpu/nvinfer.py",
    "rtface/track/backends/factory.py",
}
"""Import by name: TensorRT, which may be one of two modules; and modules of rtface's own."""


def imports(path: Path) -> set[str]:
    """Return the packages that a file imports with a statement."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def by_name(path: Path) -> list[ast.Call]:
    """Return a file's imports by name."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__")
    ]


def test_pycuda_and_tensorrt_are_imported_in_one_file_each() -> None:
    users = {str(path.relative_to(REPOSITORY)): imports(path) for path in SOURCES}
    assert [path for path, names in users.items() if "pycuda" in names] == [
        "rtface/track/gpu/driver/by_pycuda.py"
    ]
    assert not [
        path for path, names in users.items() if names & {"tensorrt", "tensorrt_rtx", "tensorrt_lean"}
    ]
    assert {str(path.relative_to(REPOSITORY)) for path in SOURCES if by_name(path)} == BY_NAME


def test_the_factory_imports_none_but_our_own_by_name() -> None:
    from rtface.track.backends import factory

    (call,) = by_name(REPOSITORY / "rtface/track/backends/factory.py")
    assert ast.unparse(call) == "import_module(kind.module)"
    kinds = [*factory.BACKENDS.values(), factory._TORCH_ON_GPU]
    assert all(kind.module.startswith("rtface.track.backends.") for kind in kinds)


def test_kernels_and_engines_are_in_the_wheel(tmp_path: Path) -> None:
    build = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    if not (REPOSITORY / "pyproject.toml").is_file():
        pytest.skip("not in a checkout")
    (made,) = build.WheelBuilder(str(REPOSITORY)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(made) as wheel:
        names = set(wheel.namelist())
        assert (
            wheel.read("rtface/track/gpu/kernels.ptx")
            == (REPOSITORY / "rtface/track/gpu/kernels.ptx").read_bytes()
        )
    assert "rtface/track/gpu/kernels.cu" in names
    assert {
        f"rtface/engines/{name}/manifest.json"
        for name in ("face-2", "face-2-int8", "face-2-tiny", "face-3", "face-3-int8")
    } <= names
    assert not [name for name in names if name.startswith("tests")]

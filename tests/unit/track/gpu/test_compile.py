"""The shipped PTX: made from the shipped source, valid, and of arithmetic that rounds as the host's."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest

from rtface.core.errors import UsageError
from rtface.core.records import Crop
from rtface.track.gpu import compile as compiling
from rtface.track.gpu import kernels
from rtface.track.gpu.kernels import Launch
from rtface.track.manifest import LevelsSpec

SHAPE, CROP = (48, 64), Crop(0, 0, 64, 48)
LAUNCHES = (
    kernels.histogram(0, 0, SHAPE, 2),
    kernels.prepare(0, 0, 0, SHAPE, CROP, 64, True, LevelsSpec(), False),
    kernels.prepare(0, 0, 0, SHAPE, CROP, 64, False, LevelsSpec(), True),
    kernels.decode_small(0, 0, 1.0, 0, 15, 12, 16),
    kernels.decode_facemap(0, 0, 0, 0, 15, 12, 16),
)
SIZES = {"uint64": "u64", "int32": "u32", "float32": "f32"}


@pytest.fixture(scope="module")
def nvcc() -> str:
    found = compiling.compiler()
    if found is None:
        pytest.skip("nvcc, of NVIDIA's CUDA toolkit, is not on this machine")
    return found


@pytest.fixture(scope="module")
def text() -> str:
    return kernels.ptx().rstrip(b"\0").decode()


def entry(text: str, name: str) -> tuple[str, str]:
    """Return a kernel's parameters and body."""
    found = re.search(rf"^\.visible \.entry {name}\((.*?)\)(.*?)^}}", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the PTX has no kernel {name}"
    return found[1], found[2]


def test_the_shipped_text_was_made_from_the_shipped_source(text: str) -> None:
    assert f"sha256 {compiling.source_hash()}\n" in text, "run python -m rtface.track.gpu.compile"


def test_the_shipped_text_asks_for_no_newer_driver_or_card_than_promised(text: str) -> None:
    assert re.findall(r"^\.(version|target) (\S+)", text, re.MULTILINE) == [
        ("version", compiling.PTX_VERSION),
        ("target", f"sm_{compiling.OLDEST}"),
    ]


def test_the_driver_finds_the_end_of_the_text() -> None:
    assert kernels.ptx().find(b"\0") == len(kernels.ptx()) - 1


@pytest.mark.parametrize("launch", LAUNCHES, ids=lambda launch: launch.function)
def test_arguments_are_of_the_sizes_and_the_order_that_the_kernel_takes(text: str, launch: Launch) -> None:
    parameters, _ = entry(text, launch.function)
    taken = re.findall(r"\.param \.(\w+)", parameters)
    assert [SIZES[argument.dtype.name] for argument in launch.arguments] == taken


def test_the_text_holds_no_other_kernels(text: str) -> None:
    assert sorted(re.findall(r"\.entry (\w+)", text)) == sorted({launch.function for launch in LAUNCHES})


@pytest.mark.parametrize("name", ["prepare_f32", "prepare_f16"])
def test_preparing_rounds_each_product_and_each_sum(text: str, name: str) -> None:
    """Instructions with an explicit rounding are never joined by the assembler; there is no fused one either."""
    _, body = entry(text, name)
    arithmetic = re.findall(r"\b((?:mul|add|sub|div|fma|mad|rcp)\S*\.f(?:32|64)) ", body)
    assert {operation.split(".")[0] for operation in arithmetic} >= {"mul", "add", "sub"}
    assert set(arithmetic) <= {"mul.rn.f32", "add.rn.f32", "sub.rn.f32", "div.rn.f32", "rcp.rn.f32"}


def test_the_shipped_text_is_what_nvcc_makes_of_the_source(nvcc: str, text: str) -> None:
    made = compiling.build(nvcc)
    if made.splitlines()[2] != text.splitlines()[2]:
        pytest.skip(f"nvcc is of another release: {made.splitlines()[2]}, not {text.splitlines()[2]}")
    assert made == text


def test_the_shipped_text_assembles_for_every_card_that_is_promised(nvcc: str, text: str) -> None:
    compiling.assemble(text, nvcc)


def test_the_check_passes_what_is_shipped_and_nothing_else(
    nvcc: str, text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiling.build(nvcc).splitlines()[2] != text.splitlines()[2]:
        pytest.skip("nvcc is of another release")
    compiling.main("--check")
    assert "as shipped" in capsys.readouterr().out
    changed = tmp_path / "kernels.ptx"
    changed.write_text(text.replace("ld.global.nc", "ld.global", 1), encoding="utf-8")
    monkeypatch.setattr(compiling, "TEXT", changed)
    before = changed.read_bytes()
    with pytest.raises(SystemExit, match=r"is not what .* makes of kernels\.cu"):
        compiling.main("--check")
    assert changed.read_bytes() == before


def test_nvcc_is_taken_from_the_package_before_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packaged = tmp_path / "nvcc"
    packaged.write_text("#!/bin/sh\n")
    packaged.chmod(0o755)

    class Here(PurePosixPath):
        def locate(self) -> Path:
            return tmp_path / self.name

    files = [Here("nvidia/cu13/bin/nvcc.profile"), Here("nvidia/cu13/bin/nvcc")]
    monkeypatch.setattr(compiling.metadata, "files", lambda name: files)
    assert compiling.compiler() == str(packaged)
    packaged.unlink()
    monkeypatch.setattr(compiling.shutil, "which", lambda name: "/elsewhere" if name == "nvcc" else None)
    assert compiling.compiler() == "/elsewhere"


def test_text_that_is_not_valid_is_refused(nvcc: str, text: str) -> None:
    with pytest.raises(UsageError, match="ptxas failed"):
        compiling.assemble(text.replace("ld.global.nc", "ld.globe", 1), nvcc)

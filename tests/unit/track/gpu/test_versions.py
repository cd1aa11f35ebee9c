"""Which CUDA packages were built for, read from packages that are laid out as pip lays them out, and from the real ones."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest
from support.paths import REPOSITORY

from rtface.track.gpu import versions
from rtface.track.gpu.libcuda import Gpu
from rtface.track.gpu.versions import BuiltFor, built_for, torch_without_gpu, why_too_old


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of packages, which hides what is installed."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in ("torch", "tensorrt", "tensorrt_rtx"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def torch(site: Path, text: str) -> None:
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").write_text("raise ImportError('must not be imported')")
    (site / "torch" / "version.py").write_text(text)


def distribution(site: Path, name: str, version: str, requires: str | None = None) -> None:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    needed = "" if requires is None else f"Requires-Dist: {requires}\n"
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{needed}")


@pytest.mark.parametrize(
    ("cuda", "expected"),
    [
        ("cuda: Optional[str] = '13.0'", (13, 0)),
        ("cuda = '12.6'", (12, 6)),
        ("cuda: Optional[str] = None", None),
        ("hip = '6.4'", None),
    ],
)
def test_torch_says_it_in_a_file(site: Path, cuda: str, expected: tuple[int, int] | None) -> None:
    torch(site, f"from typing import Optional\n__version__ = '2.13.0'\n{cuda}\n")
    found = built_for("torch")
    assert found == (None if expected is None else BuiltFor("torch", "2.13.0", expected))


def test_what_is_not_there_or_cannot_be_read_is_not_known(site: Path) -> None:
    assert [built_for(name) for name in ("torch", "tensorrt", "tensorrt_rtx")] == [None] * 3
    torch(site, "this is no Python")
    assert built_for("torch") is None


@pytest.mark.parametrize("package", ["tensorrt", "tensorrt_rtx"])
def test_tensorrt_says_it_in_the_name_of_the_package_that_holds_it(site: Path, package: str) -> None:
    distribution(site, f"{package}_cu12", "10.9.0")
    assert built_for(package) == BuiltFor(package, "10.9.0", (12,))


def test_of_two_that_are_there_the_one_that_was_asked_for_counts(site: Path) -> None:
    distribution(site, "tensorrt", "11.4.0", "tensorrt_cu12==11.4.0")
    for name in ("tensorrt_cu12", "tensorrt_cu13"):
        distribution(site, name, "11.4.0")
    found = built_for("tensorrt")
    assert found is not None
    assert found.cuda == (12,)


def test_jetpacks_own_does_not_say(site: Path) -> None:
    distribution(site, "tensorrt", "10.3.0")
    assert built_for("tensorrt") is None


def test_the_real_ones_are_read_right() -> None:
    pytest.importorskip("tensorrt_rtx")
    found = built_for("tensorrt_rtx")
    assert found is not None
    assert found.version == metadata.version(f"tensorrt_rtx_cu{found.cuda[0]}")
    real = pytest.importorskip("torch")
    taken = built_for("torch")
    assert (None if taken is None else ".".join(map(str, taken.cuda))) == real.version.cuda


def card(*cuda: int) -> Gpu:
    return Gpu(0, "RTX", (8, 9), 8 << 30, "535.1, CUDA 12.2", (cuda[0], cuda[1]))


@pytest.mark.parametrize(
    ("built", "cuda", "words"),
    [
        (BuiltFor("torch", "2.13", (13, 2)), (11, 8), ["driver of 580.65 or newer", "'torch<2.8'", "cu118"]),
        (BuiltFor("torch", "2.7", (12, 8)), (11, 8), ["driver of 525.60 or newer"]),
        (BuiltFor("tensorrt", "11", (13,)), (11, 8), ["'tensorrt-cu11<10.14'"]),
        (BuiltFor("torch", "4", (14, 0)), (13, 0), ["a newer driver"]),
    ],
)
def test_what_to_do_is_named(built: BuiltFor, cuda: tuple[int, int], words: list[str]) -> None:
    told = why_too_old(card(*cuda), built)
    for word in (*words, str(built), "535.1, CUDA 12.2"):
        assert word in told


def test_tensorrt_for_rtx_has_nothing_for_a_driver_of_cuda_11() -> None:
    told = why_too_old(card(11, 8), BuiltFor("tensorrt_rtx", "1.7", (13,)))
    assert told.endswith("install a driver of 580.65 or newer")


def test_the_page_has_the_same_drivers_and_commands() -> None:
    page = (REPOSITORY / "docs/gpu.md").read_text(encoding="utf-8")
    commands = [*versions._TORCH_FOR.values(), *versions._TENSORRT_FOR.values()]
    drivers = [versions.LOWEST_DRIVER[12], versions.LOWEST_DRIVER[13], versions._OURS]
    assert [each for each in (*commands, *drivers) if each not in page] == []


def test_a_torch_that_finds_no_gpu_is_not_told_to_be_what_it_is() -> None:
    assert "its build for a CPU" in torch_without_gpu("2.13.0+cpu", None)
    told = torch_without_gpu("2.13.0", "13.0")
    assert "CUDA_VISIBLE_DEVICES" in told
    assert "pip install" not in told

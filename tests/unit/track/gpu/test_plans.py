"""The cache of plans, with a builder that makes none."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.waits import finishes

from rtface.core.errors import BackendError
from rtface.track.gpu.body import Body
from rtface.track.gpu.nvinfer import BuildOptions, Built
from rtface.track.gpu.plans import Plan, plan_for

BODY = Body("net", b"network", (48, 64), (3, 12, 16), "f16", False, "prepared", ("logits",), None)


@dataclass(frozen=True)
class ModelCard:
    name: str = "RTX 4090"
    architecture: str = "sm_89"
    driver: str = "580, CUDA 13.0"


HERE = ModelCard()


@dataclass
class FakeBuilder:
    module: str = "tensorrt"
    version: str = "10.16"
    targets: tuple[str, ...] = ()
    timings: bytes | None = None
    meanwhile: Callable[[], object] = lambda: None
    builds: list[tuple[bytes, BuildOptions, bytes | None]] = field(default_factory=list)

    def open(self) -> tuple[str, str]:
        return self.module, self.version

    def build(self, onnx: bytes, options: BuildOptions, progress: Any, timings: bytes | None) -> Built:
        self.builds.append((onnx, options, timings))
        self.meanwhile()
        return Built(b"plan %d of " % len(self.builds) + onnx, self.timings)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTFACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "plans"


@pytest.fixture
def builder() -> FakeBuilder:
    return FakeBuilder()


def made(builder: FakeBuilder, body: Body = BODY, card: ModelCard | None = HERE, **how: Any) -> Plan:
    return plan_for(body, card, builder, **how)


def test_a_plan_is_built_once_and_then_found(builder: FakeBuilder, cache: Path) -> None:
    first, second = made(builder), made(builder)
    assert (first.built, second.built, len(builder.builds)) == (True, False, 1)
    assert first.data == second.data == b"plan 1 of network"
    assert (first.key, first.sha256, first.path) == (second.key, second.sha256, second.path)
    assert first.path.read_bytes() == first.data
    assert second.facts == first.facts
    assert first.facts["seconds"] >= 0
    assert first.facts["bytes"] == len(first.data)
    assert "net" in first.what
    assert "RTX 4090" in first.what
    assert {path.suffix for path in cache.iterdir()} == {".plan", ".json"}, "nothing half-written is left"


@pytest.mark.parametrize(
    "changed",
    [
        {"body": replace(BODY, onnx=b"another")},
        {"body": replace(BODY, shape=(64, 64))},
        {"body": replace(BODY, precision="f32")},
        {"card": ModelCard(name="RTX 5090")},
        {"card": ModelCard(architecture="sm_120")},
        {"card": ModelCard(driver="581")},
        {"options": BuildOptions(level=5)},
        {"options": BuildOptions(workspace_bytes=1 << 20)},
    ],
    ids=str,
)
def test_whatever_a_plan_depends_on_makes_another(builder: FakeBuilder, changed: dict[str, Any]) -> None:
    first = made(builder)
    assert made(builder, **changed).key != first.key
    assert len(builder.builds) == 2
    assert made(builder).data == first.data


@pytest.mark.parametrize("changed", [{"module": "tensorrt_rtx", "targets": ("sm_89",)}, {"version": "11.4"}])
def test_another_tensorrt_makes_another(builder: FakeBuilder, changed: dict[str, Any]) -> None:
    first = made(builder)
    other = FakeBuilder(**changed)
    assert made(other).key != first.key
    assert len(other.builds) == 1


def test_it_is_built_anew_when_that_is_wanted(builder: FakeBuilder) -> None:
    made(builder)
    again = made(builder, rebuild=True)
    assert again.built
    assert again.data == made(builder).data == b"plan 2 of network"


def damage_record(cache: Path) -> None:
    (record,) = cache.glob("*.json")
    record.write_bytes(record.read_bytes()[:-40])


def strip_record(cache: Path) -> None:
    (record,) = cache.glob("*.json")
    record.write_text(json.dumps({"plan_sha256": "0" * 64}))


def list_record(cache: Path) -> None:
    (record,) = cache.glob("*.json")
    record.write_text("[]")


def cut_plan(cache: Path) -> None:
    (plan,) = cache.glob("*.plan")
    plan.write_bytes(plan.read_bytes()[:-1])


def lose_plan(cache: Path) -> None:
    (plan,) = cache.glob("*.plan")
    plan.unlink()


@pytest.mark.parametrize("harm", [damage_record, strip_record, list_record, cut_plan, lose_plan])
def test_a_damaged_cache_is_mended_and_it_says_so(
    builder: FakeBuilder, cache: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    made(builder)
    harm(cache)
    with caplog.at_level(logging.WARNING):
        assert made(builder).built
    assert "built anew" in caplog.text
    caplog.clear()
    assert not made(builder).built
    assert not caplog.records


def test_a_plan_that_was_moved_from_another_machine_is_refused(builder: FakeBuilder, cache: Path) -> None:
    """Its record, under this machine's name: as when a cache is copied and a name is forged or clashes."""
    made(builder)
    (record,) = cache.glob("*.json")
    facts = json.loads(record.read_text())
    record.write_text(json.dumps(facts | {"gpu": "A100", "architecture": "sm_80"}))
    with pytest.raises(
        BackendError, match=r"of another plan \(gpu A100, architecture sm_80\).*cannot be moved"
    ):
        made(builder)


def test_two_that_build_the_same_at_once_leave_one_whole_plan(cache: Path) -> None:
    together = threading.Barrier(2, timeout=20)
    builders = [FakeBuilder(meanwhile=together.wait) for _ in range(2)]
    builders[1].builds.append((b"", BuildOptions(), None))  # so that their plans differ, as timed kernels may
    plans: list[Plan] = []
    other = threading.Thread(target=lambda: plans.append(made(builders[0])))
    other.start()
    plans.append(finishes(lambda: made(builders[1])))
    other.join()
    assert {plan.data for plan in plans} == {b"plan 1 of network", b"plan 2 of network"}
    kept = made(FakeBuilder())
    assert not kept.built
    assert kept.data in {plan.data for plan in plans}
    assert not list(cache.glob(".*"))


def test_a_cache_that_cannot_be_written_is_told(
    builder: FakeBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RTFACE_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        BackendError, match=r"cache of plans cannot be read|the plan cannot be kept.*RTFACE_CACHE"
    ):
        made(builder)


def test_a_full_disk_leaves_nothing_half_written(
    builder: FakeBuilder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BackendError, match="No space left on device; RTFACE_CACHE names another"):
        made(builder)
    assert list(cache.iterdir()) == []


def test_times_of_kernels_are_kept_for_the_next_network_of_the_same_gpu(builder: FakeBuilder) -> None:
    builder.timings = b"times"
    made(builder)
    made(builder, replace(BODY, onnx=b"another"))
    made(builder, card=ModelCard(driver="581"))
    assert [timings for _, _, timings in builder.builds] == [None, b"times", None]


def test_the_full_tensorrt_builds_only_on_a_gpu(builder: FakeBuilder) -> None:
    with pytest.raises(BackendError, match=r"10.16 builds plans only on the GPU that runs them.*'.\[rtx\]'"):
        made(builder, card=None)


def test_for_rtx_a_plan_is_for_the_gpu_that_is_there_or_for_all() -> None:
    builder = FakeBuilder(module="tensorrt_rtx", targets=("sm_86", "sm_89"))
    here, ahead = made(builder), made(builder, card=None)
    assert [options.targets for _, options, _ in builder.builds] == [("sm_89",), ("sm_86", "sm_89")]
    assert here.key != ahead.key
    assert ahead.facts["gpu"] is None
    assert "sm_86, sm_89" in ahead.what
    with pytest.raises(BackendError, match=r"makes no plans for H200 \(sm_90\), only for sm_86, sm_89"):
        made(builder, card=ModelCard("H200", "sm_90"))


# ------------------------------------------------------------------- what TensorRT itself is told, by a stand-in


def test_times_go_into_tensorrt_and_out_of_it_again(
    emulator: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from support.emulated_gpu import EmulatedGpu, install

    from rtface.track.gpu.nvinfer import Nvinfer

    gpu = EmulatedGpu(emulator)
    install(gpu, monkeypatch, tmp_path)
    gpu.stack.append(gpu.retain(0))
    nvinfer = Nvinfer()
    first = nvinfer.build(b"network", BuildOptions())
    assert first.timings == b"+timed"
    assert nvinfer.build(b"network", BuildOptions(), None, first.timings).timings == b"+timed+timed"
    for refusing in ("trt.create_timing_cache", "trt.set_timing_cache"):  # those of another release
        gpu.fails = {refusing: [True]}
        assert nvinfer.build(b"network", BuildOptions(), None, b"foreign").timings == b"+timed"


def test_for_rtx_nothing_is_timed(emulator: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from support.emulated_gpu import EmulatedGpu, install

    from rtface.track.gpu.nvinfer import Nvinfer

    install(EmulatedGpu(emulator), monkeypatch, tmp_path, rtx=True)
    assert Nvinfer().build(b"network", BuildOptions(), None, b"times").timings is None

"""`rtface engines build`: with TensorRT for RTX on this machine, and on an emulated GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.backends import tiny_engine
from support.emulated_cuda import Emulator
from support.emulated_gpu import EmulatedGpu, install
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.core.errors import BackendError, DataError, RtfaceError
from rtface.track.gpu import libcuda
from rtface.track.gpu.libcuda import Libcuda

pytest.importorskip("onnx")


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine that is called small-test, and a cache of its own."""
    pytest.importorskip("torch")
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    monkeypatch.setenv("RTFACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "engines").mkdir()
    return tiny_engine(tmp_path / "engines" / "small-test", "small").folder


def build(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["engines", "build", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def facts(*arguments: str) -> dict[str, Any]:
    code, output = build(*arguments, "--json")
    assert code == 0, output
    told: dict[str, Any] = json.loads(output[output.index("{") :])
    return told


@pytest.fixture
def rtx() -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: pip install '.[rtx]'")
    if libcuda.probe().gpus:
        pytest.skip("there is a GPU: these are for a machine without one")


@pytest.mark.usefixtures("rtx")
def test_a_plan_is_built_for_all_rtx_cards_found_again_and_rebuilt_the_same(tmp_path: Path) -> None:
    first = facts("small-test")
    assert first["built"]
    assert first["gpu"] is None
    assert "sm_89" in first["options"]["targets"]
    assert Path(first["path"]).is_relative_to(tmp_path / "cache" / "plans")
    second = facts("small-test")
    assert not second["built"]
    third = facts("small-test", "--rebuild")
    assert third["built"]
    assert first["plan_sha256"] == second["plan_sha256"] == third["plan_sha256"]


@pytest.mark.usefixtures("rtx")
def test_a_build_is_the_same_in_another_process(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "rtface",
        "engines",
        "build",
        "small-test",
        "--target",
        "sm_89",
        "--json",
    ]
    told = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"RTFACE_CACHE": str(tmp_path / "2")},
    )
    assert json.loads(told.stdout)["plan_sha256"] == facts("small-test", "--target", "sm_89")["plan_sha256"]


@pytest.mark.usefixtures("rtx")
def test_it_is_said_in_words_and_written_where_it_is_wanted(tmp_path: Path) -> None:
    out = tmp_path / "small.plan"
    code, output = build(
        *("small-test", "--target", "sm_89", "--target", "sm_86", "--target", "sm_89"),
        *("--frame", "200x100", "--crop", "10,10,64,64", "--precision", "f32", "--out", str(out)),
    )
    assert code == 0, output
    assert "small-test in f32, input of 64x64 pixels, for sm_89, sm_86" in output
    assert f"{out.stat().st_size} bytes, built in" in output
    assert "sha256 " in output
    with pytest.raises(DataError, match=r"the plan cannot be written to .*: No such file"):
        build("small-test", "--target", "sm_89", "--out", str(tmp_path / "no" / "x.plan"))


@pytest.mark.usefixtures("rtx")
def test_the_default_is_the_network_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    told = facts("--target", "sm_89", "--frame", "640x480")
    assert (told["network"], told["shape"], told["precision"]) == ("face-3", [192, 256], "f16")


@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["small-test", "--target", "sm_90"], 6, "makes no plans for sm_90; it makes them for sm_75"),
        (["small-test", "--frame", "640"], 2, "--frame takes WIDTHxHEIGHT in pixels, not '640'"),
        (["small-test", "--frame", "0x480"], 2, "WIDTH and HEIGHT are 1 or more"),
        (["small-test", "--crop", "600,0,100,100"], 2, "crop"),
        (["small-test", "--device", "cuda:0"], 6, "no GPU can be used: no NVIDIA driver is installed"),
        (["face-2-int8"], 5, "face-2-int8 is quantised for a CPU"),
        (["no-such-engine"], 5, "no-such-engine"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_built_is_told(arguments: list[str], code: int, message: str) -> None:
    with pytest.raises(RtfaceError, match=message) as told:
        build(*arguments)
    assert told.value.exit_code == code


PRESSING = """
import os, signal, sys
from rtface.cli.app import app
from rtface.track.gpu import callbacks, nvinfer

real, presses = callbacks.make_monitor, []

def pressing(trt, progress):
    def press(phase, done, steps):
        if not presses:
            presses.append(phase)
            os.kill(os.getpid(), signal.SIGINT)
        return progress(phase, done, steps)
    return real(trt, press)

nvinfer.make_monitor = pressing
sys.argv = ["rtface", "engines", "build", "small-test", "--target", "sm_89"]
app()
"""
"""`rtface engines build`, where somebody presses Ctrl-C at the first step; in a process of its own, as signals are its."""


@pytest.mark.usefixtures("rtx")
def test_ctrl_c_stops_the_build_and_keeps_nothing(tmp_path: Path) -> None:
    stopped = subprocess.run([sys.executable, "-c", PRESSING], capture_output=True, text=True, check=False)
    assert stopped.returncode == 130, stopped.stderr
    assert not list((tmp_path / "cache").rglob("*.plan"))


# ------------------------------------------------------------------------------------------- an emulated GPU


@pytest.fixture(params=[False, True], ids=["tensorrt", "tensorrt_rtx"])
def gpu(
    request: pytest.FixtureRequest, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> EmulatedGpu:
    made = EmulatedGpu(emulator, count=2)
    install(made, monkeypatch, tmp_path / "cache", rtx=request.param)
    from rtface.cli.engines import build as command

    monkeypatch.setattr(command, "probe", Libcuda(made).probe)  # type: ignore[arg-type]
    return made


def test_on_a_gpu_the_plan_is_the_one_that_arming_takes(gpu: EmulatedGpu) -> None:
    from rtface.config import BackendSettings
    from rtface.core.records import Crop
    from rtface.track.backends.tensorrt import TensorrtBackend
    from rtface.track.store import load_engine

    told = facts("small-test", "--frame", "160x120", "--crop", "10,20,64,64")
    assert told["built"]
    assert told["gpu"] == "Emulated GPU"
    assert not gpu.left
    builds = gpu.log.count("trt.build_serialized_network")
    backend = TensorrtBackend(load_engine("small-test"), BackendSettings(name="tensorrt"), "asked for")
    backend.open()
    backend.prepare((120, 160), Crop(10, 20, 64, 64))
    assert str(backend.plan).startswith(told["plan_sha256"][:12])
    backend.close()
    assert gpu.log.count("trt.build_serialized_network") == builds == 1


def test_on_a_gpu_it_is_given_back_after_an_error(gpu: EmulatedGpu) -> None:
    gpu.fails = {"trt.build_serialized_network": [True]}
    with pytest.raises(
        BackendError, match="cannot build the network: build_serialized_network was told to fail"
    ):
        build("small-test", "--device", "cuda:1")
    assert not gpu.left
    if "pycuda.Stream" in gpu.log:
        assert gpu.taken == [1], "the full TensorRT tries kernels on the GPU that it builds for"
    with pytest.raises(BackendError, match=r"cuda:2, but the GPUs of this machine are: cuda:0: .*; cuda:1: "):
        build("small-test", "--device", "cuda:2")

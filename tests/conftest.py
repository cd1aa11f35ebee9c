"""What all tests share: the real recordings, and a watch that nothing outlives its test."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import gentl_producer as test_producer
from support.documents import checked
from support.emulated_cuda import Emulator
from support.leftovers import nothing_left_behind

from rtface.cli.terminal.documents import Schema

# Tests that use OpenVINO directly must not report to its makers either; rtface's back end sees to itself.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# Tiny networks learn no faster on several threads, and much slower where something else wants the cores: threads that
# wait for each other do so by spinning. Set before torch is imported; processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says how busy the machine is, not whether the example holds.
settings.register_profile("rtface", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rtface")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the checkout; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("RTFACE_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the real recordings (../shared/data or RTFACE_SHARED_DATA) are not on this machine")
    return folder


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread, a child process, a ZeroMQ context or a listening socket behind."""
    with nothing_left_behind():
        yield


@pytest.fixture(autouse=True)
def _what_is_printed_as_json_fits_its_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test in whose process a command prints with ``--json`` what its schema does not promise."""
    monkeypatch.setattr(Schema, "document", checked(Schema.document))


TEST_ENGINE = "test-engine"
WIDTHS = [2, 4, 4, 4, 4]


@pytest.fixture(scope="session")
def engines_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of engines with one of random weights: real graph, real back end, a millisecond a frame."""
    torch = pytest.importorskip("torch")
    from rtface.learn.engines.facemap_import import import_facemap
    from rtface.networks.facemap import FacemapNetwork

    folder = tmp_path_factory.mktemp("engines")
    torch.manual_seed(0)
    weights = folder / "weights.pt"
    torch.save(FacemapNetwork(WIDTHS, 15).state_dict(), weights)
    import_facemap(weights, None, folder / TEST_ENGINE)
    return folder


@pytest.fixture
def test_engine(engines_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of the test engine, found like one of the user's own."""
    monkeypatch.setenv("RTFACE_ENGINES", str(engines_folder))
    return TEST_ENGINE


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    """What runs the CUDA kernels on the CPU."""
    compiler = shutil.which("g++")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the kernels are run on the CPU with g++ on Linux, which is not on this machine")
    return Emulator(compiler, tmp_path_factory.mktemp("emulator"))


@pytest.fixture(scope="session")
def gentl_producer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GenTL producer of `tests/gentl`, with simulated cameras that misbehave on demand."""
    if sys.platform != "linux" or shutil.which("cc") is None or shutil.which("make") is None:
        pytest.skip("the test producer needs Linux, make and a C compiler, which are not on this machine")
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # the one of all workers
    return test_producer.build(folder / "gentl")

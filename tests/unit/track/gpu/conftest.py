from __future__ import annotations

import shutil
import sys

import pytest
from emulated import Emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    compiler = shutil.which("g++")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the kernels are run on the CPU with g++ on Linux, which is not on this machine")
    return Emulator(compiler, tmp_path_factory.mktemp("emulator"))

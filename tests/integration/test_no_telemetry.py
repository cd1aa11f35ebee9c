"""A rig reports nothing to anyone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys, threading
from rtface.config import BackendSettings
from rtface.track.backends.factory import make_backend
from rtface.track.store import load_engine
backend = make_backend(load_engine("test-engine"), BackendSettings(name="openvino"))
backend.open()
loaded = [name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module]
print(json.dumps({"modules": loaded, "threads": [thread.name for thread in threading.enumerate()]}))
backend.close()
"""


def test_opening_openvino_loads_no_telemetry_and_leaves_no_thread(engines_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"RTFACE_ENGINES": str(engines_folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    seen = json.loads(done.stdout)
    assert seen == {"modules": [], "threads": ["MainThread"]}

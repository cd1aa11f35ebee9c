"""Rigs that decide, for the tests of the pages: a simulated mouse, a rule, and an output that makes no light."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from rtface.bench.agreed import ensure_parity
from rtface.config import NullOutputSettings, Rig
from rtface.config.rigfile import load_rig
from rtface.core.files import folder_written_whole
from rtface.live import selftest
from rtface.live.service import Service

FREE = "tcp://127.0.0.1:*"
RULES = """\
features:
  nose: {kind: position, point: nose(tip), min_score: 0}
rules:
  often:
    when: nose.x > -1000
    repeat: true
    refractory_ms: 200
    min_score: 0
    max_age_ms: 10000
    max_gap_frames: 1000
    pulse: {width_ms: 5}
  never:
    when: nose.x > 100000
    pulse: {width_ms: 5}
"""
BLIND = RULES.replace(
    "    pulse: {width_ms: 5}\n  never",
    "    pulse: {width_ms: 5}\n    schedule: {kind: mixed, sham: 0.5, block: 4, seed: 1, blind: true}\n  never",
)


def deciding_rig(
    engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch, rules: str = RULES, **changes: Any
) -> Rig:
    """Return a rig of `folder` whose engine agrees with its reference here, and whose output writes into a file.

    A machine that is busy with other things loses frames: they are nothing here that speaks against arming.
    """
    monkeypatch.setattr(selftest, "_RATE_TOLERANCE", 1e9)
    settings = {
        "camera": {"kind": "simulated", "width": 96, "height": 80, "rate_hz": 5},
        "engine": engine,
        "backend": {"name": "openvino"},
        "rules": "rules.yaml",
        "output": {"kind": "log", "path": "light.jsonl", "liveness_ms": 5000},
        "session": {"folder": "sessions", "frames": "none", "min_free_gb": 0},
        "arming": {"frame_timeout_ms": 5000},
        "publish": {"keypoints": FREE, "control": FREE},
    } | changes
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    path.with_name("rules.yaml").write_text(rules, encoding="utf-8")
    rig = load_rig(path)
    shutil.copytree(_agreed_engines(rig, monkeypatch), folder / "engines")
    monkeypatch.setenv("RTFACE_ENGINES", str(folder / "engines"))
    return rig


def _agreed_engines(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of engines with the proof that the rig's agrees with its reference here; made once a test run."""
    source = Path(os.environ["RTFACE_ENGINES"])
    agreed = source.with_name(f"{source.name}-agreed-{rig.engine}")
    if not agreed.exists():
        with folder_written_whole(agreed) as fresh:
            shutil.copytree(source, fresh, dirs_exist_ok=True)
            monkeypatch.setenv("RTFACE_ENGINES", str(fresh))
            bare = {"session": None, "rules": None, "output": NullOutputSettings()}
            with Service(rig.model_copy(update=bare)) as service:
                ensure_parity(service.engine, rig.backend, rig.camera)
    return agreed

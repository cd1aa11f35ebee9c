from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.core.errors import EngineError
from rtface.encode.architecture import layout
from rtface.encode.bundle import EncoderBundle, check_new, load_encoder, write_encoder
from rtface.encode.manifest import MANIFEST_FILE, READOUT_FILE, WEIGHTS_FILE

ARCHITECTURE = {"name": "causal", "inputs": 5, "outputs": 4, "fast_taps": 6, "slow_taps": 9, "units": 3}
NEURONS = 7


def parts(**fields: Any) -> dict[str, Any]:
    random = np.random.default_rng(0)
    plan = layout(ARCHITECTURE)
    return {
        "fields": {
            "description": "made up",
            "created": "2026-01-01",
            "licence": "none",
            "architecture": ARCHITECTURE,
            "keypoints": ("nose", "eye"),
            "extras": ("run",),
            "frame_rate_hz": 50.0,
            "neural_rate_hz": 3.0,
            "past_frames": plan.past,
            "look_ahead_frames": plan.look_ahead,
            "normalise": {
                "jump_px": 25,
                "deviation_px": 25,
                "median_frames": 50,
                "memory_s": None,
                "reference_s": 60,
                "limit": 6,
            },
            "targets": {"kind": "components", "count": 4, "neurons": NEURONS},
            "latents": plan.latents,
            **fields,
        },
        "weights": {
            name: random.normal(size=shape).astype(np.float32) for name, shape in plan.shapes.items()
        },
        "inputs": {
            "mean": np.arange(5.0),
            "sd": np.ones(5),
            "usual_mean": np.zeros(5, np.float32),
            "usual": np.eye(5, dtype=np.float32),
            "usual_limit": np.asarray(3.0),
        },
        "readout": {
            "mean": np.zeros(NEURONS, np.float32),
            "sd": np.ones(NEURONS, np.float32),
            "basis": random.normal(size=(NEURONS, 4)).astype(np.float32),
            "residual_sd": np.ones(4, np.float32),
        },
    }


@pytest.fixture
def bundle(tmp_path: Path) -> EncoderBundle:
    return write_encoder(tmp_path / "enc", **parts())


def test_what_was_written_is_loaded(bundle: EncoderBundle) -> None:
    given = parts()
    loaded = load_encoder(bundle.folder)
    assert loaded.manifest == bundle.manifest
    assert loaded.manifest.name == "enc"
    assert loaded.sha256 == bundle.sha256
    for name, array in given["weights"].items():
        np.testing.assert_array_equal(loaded.weights[name], array)
    assert loaded.readout.basis is not None
    np.testing.assert_array_equal(loaded.readout.basis, given["readout"]["basis"])
    inputs = loaded.normaliser().step(np.array([0.0, 1, 2, 3, 5]))
    np.testing.assert_allclose(inputs, [0, 0, 0, 0, 1])
    assert loaded.inputs.distance(np.full(5, 2, np.float32)) == pytest.approx(2)
    assert not list(bundle.folder.parent.glob(".new*"))


def test_loading_needs_no_torch_and_no_training_code(bundle: EncoderBundle) -> None:
    code = (
        "import sys; from pathlib import Path; from rtface.encode.bundle import load_encoder;"
        f"load_encoder(Path({str(bundle.folder)!r}));"
        "print([name for name in ('torch', 'scipy', 'sklearn', 'rtface.learn') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_one_changed_byte_is_found(bundle: EncoderBundle) -> None:
    path = bundle.folder / WEIGHTS_FILE
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(EngineError, match=r"weights\.npz does not have the hash"):
        load_encoder(bundle.folder)
    path.write_bytes(data[:-1])
    with pytest.raises(EngineError, match=r"weights\.npz has \d+ bytes"):
        load_encoder(bundle.folder)
    path.unlink()
    with pytest.raises(EngineError, match=r"weights\.npz is missing"):
        load_encoder(bundle.folder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("past_frames", 3, "past_frames is 3, but its architecture has 13"),
        ("look_ahead_frames", 2, "look_ahead_frames is 2"),
        ("keypoints", ["nose"], "the number of inputs is 3"),
        ("keypoints", ["nose", "nose"], "names must differ"),
        ("latents", 9, "latents is 9"),
        ("targets", {"kind": "components", "count": 5, "neurons": NEURONS}, r"targets\.count is 5"),
        ("targets", {"kind": "neurons", "count": 4, "neurons": NEURONS}, "4 outputs are not 7 neurons"),
        ("rtface_encoder", 2, "rtface_encoder"),
        ("colour", "red", "colour"),
        ("frame_rate_hz", 0, "frame_rate_hz"),
        ("architecture", {**ARCHITECTURE, "name": "other"}, "'other' is unknown"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    bundle: EncoderBundle, field: str, value: Any, message: str
) -> None:
    path = bundle.folder / MANIFEST_FILE
    told = json.loads(path.read_text())
    told[field] = value
    path.write_text(json.dumps(told))
    with pytest.raises(EngineError, match=message) as caught:
        load_encoder(bundle.folder)
    assert field == "architecture" or MANIFEST_FILE in str(caught.value)


@pytest.mark.parametrize("what", ["shape", "nan", "missing", "unknown", "words"])
def test_arrays_that_do_not_fit_make_no_encoder(tmp_path: Path, what: str) -> None:
    given = parts()
    weights = given["weights"]
    if what == "shape":
        weights["fast.bias"] = weights["fast.bias"][:-1]
    elif what == "nan":
        weights["fast.bias"][0] = np.nan
    elif what == "missing":
        del weights["fast.bias"]
    elif what == "unknown":
        weights["slow.bias"] = weights["fast.bias"]
    else:
        weights["fast.bias"] = np.array(["a", "b", "c"])
    with pytest.raises(EngineError, match=r"weights\.npz.*(fast|slow)\.bias"):
        write_encoder(tmp_path / "enc", **given)
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_is_replaced_only_if_that_is_asked_for(bundle: EncoderBundle) -> None:
    with pytest.raises(EngineError, match="exists already"):
        write_encoder(bundle.folder, **parts())
    again = write_encoder(bundle.folder, **parts(licence="other"), overwrite=True)
    assert again.manifest.licence == "other"
    assert not list(bundle.folder.parent.glob(".new*"))


def test_what_is_no_encoder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    with pytest.raises(EngineError, match="is no encoder"):
        check_new(tmp_path / "thesis", overwrite=True)
    with pytest.raises(EngineError, match="an encoder is a folder with that file"):
        load_encoder(tmp_path / "thesis")


def test_neurons_as_targets_need_no_basis(tmp_path: Path) -> None:
    given = parts(targets={"kind": "neurons", "count": 4, "neurons": 4})
    given["readout"] = {
        "mean": np.zeros(4),
        "sd": np.ones(4),
        "residual_sd": np.ones(4),
    }
    assert write_encoder(tmp_path / "enc", **given).readout.basis is None
    given["readout"]["basis"] = np.ones((4, 4))
    with pytest.raises(EngineError, match=f"{READOUT_FILE} has the unknown basis"):
        write_encoder(tmp_path / "other", **given)

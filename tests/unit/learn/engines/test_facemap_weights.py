"""Reading Facemap's files: what is accepted, and that everything else is named and refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rtface.core.errors import EngineError
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.learn.engines.facemap_weights import load_facemap_weights, network_from_weights
from rtface.networks.facemap import FacemapNetwork

CHANNELS = (3, 5, 7, 11, 13)
State = dict[str, Any]


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


@pytest.fixture
def state() -> State:
    torch.manual_seed(0)
    return dict(FacemapNetwork(CHANNELS, 15).state_dict())


def _save(content: object, folder: Path, name: str = "state.pt") -> Path:
    torch.save(content, folder / name)
    return folder / name


def _params(folder: Path, **params: object) -> Path:
    return _save({"params": params}, folder, "params.pth")


def test_widths_and_names_come_from_the_tensors_alone(state: State, tmp_path: Path) -> None:
    weights = load_facemap_weights(_save(state, tmp_path))
    assert weights.channels == CHANNELS
    assert weights.bodyparts == FACEMAP_KEYPOINTS
    assert all(torch.equal(state[name], tensor) for name, tensor in weights.state_dict.items())


def test_a_loaded_network_computes_what_the_saved_one_does(state: State, tmp_path: Path) -> None:
    network = FacemapNetwork(CHANNELS, 15)
    network.load_state_dict(state)
    loaded = network_from_weights(load_facemap_weights(_save(state, tmp_path)))
    image = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = loaded.decode(*network.eval()(image))
        torch.testing.assert_close(loaded(image), expected, atol=1e-3, rtol=0)


def test_half_precision_files_become_float32(state: State, tmp_path: Path) -> None:
    half = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
    loaded = load_facemap_weights(_save(half, tmp_path)).state_dict
    assert {t.dtype for t in loaded.values()} == {torch.float32, torch.int64}


def test_the_parameter_file_agrees(state: State, tmp_path: Path) -> None:
    params = _params(tmp_path, channels=list(CHANNELS), bodyparts=list(FACEMAP_KEYPOINTS), other=1)
    weights = load_facemap_weights(_save(state, tmp_path), params)
    assert (weights.channels, weights.bodyparts) == (CHANNELS, FACEMAP_KEYPOINTS)


def test_old_names_of_the_whiskers_are_renewed(state: State, tmp_path: Path) -> None:
    old = [*FACEMAP_KEYPOINTS[:12], "whisker(c1)", "whisker(d2)", "whisker(d1)"]
    weights = load_facemap_weights(_save(state, tmp_path), _params(tmp_path, bodyparts=old))
    assert weights.bodyparts == FACEMAP_KEYPOINTS


def test_other_numbers_of_keypoints_need_their_names(tmp_path: Path) -> None:
    path = _save(FacemapNetwork(CHANNELS, 2).state_dict(), tmp_path)
    with pytest.raises(EngineError, match="2 keypoints and not Facemap's 15: give the parameter file"):
        load_facemap_weights(path)
    assert load_facemap_weights(path, _params(tmp_path, bodyparts=["a", "b"])).bodyparts == ("a", "b")
    with pytest.raises(EngineError, match=r"names 3 keypoints, but .* has 2"):
        load_facemap_weights(path, _params(tmp_path, bodyparts=["a", "b", "c"]))


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"params": {"channels": [3, 5, 7, 11, 14]}}, r"states the widths .*14\].*do not belong together"),
        ({"params": {"channels": "wide"}}, '"channels" is not a list'),
        ({"params": {"channels": 16}}, '"channels" is not a list'),
        ({"params": {"bodyparts": ["nose", "nose"]}}, '"bodyparts" is not a list of different names'),
        ({"params": {"bodyparts": "nose"}}, '"bodyparts" is not a list of different names'),
        ({"params": {"bodyparts": [["nose"]]}}, '"bodyparts" is not a list of different names'),
        ({"param": {}}, 'has no "params"'),
        ([1, 2], 'has no "params"'),
    ],
)
def test_a_wrong_parameter_file_is_named(state: State, tmp_path: Path, params: object, reason: str) -> None:
    path = _save(params, tmp_path, "params.pth")
    with pytest.raises(EngineError, match=reason) as caught:
        load_facemap_weights(_save(state, tmp_path), path)
    assert str(path) in str(caught.value)


def test_code_in_a_file_is_never_run(state: State, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = _save({**state, "extra": Trap(marker)}, tmp_path)
    with pytest.raises(EngineError, match="pickled objects other than tensors") as caught:
        load_facemap_weights(path)
    assert str(path) in str(caught.value)
    params = _params(tmp_path, channels=Trap(marker))
    with pytest.raises(EngineError, match="pickled objects other than tensors"):
        load_facemap_weights(_save(state, tmp_path), params)
    assert not marker.exists()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"weight file .*absent\.pt does not exist"):
        load_facemap_weights(tmp_path / "absent.pt")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_file(state: State, tmp_path: Path, share: float) -> None:
    path = _save(state, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(EngineError, match=r"state\.pt: it is truncated, or not a file saved by torch"):
        load_facemap_weights(path)


@pytest.mark.parametrize(
    "content", [b"<html>not found</html>", b"\x80\x02", b"PK\x03\x04" + bytes(50), bytes(300)]
)
def test_a_file_that_is_not_of_torch(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"cannot read the weight file .*state\.pt"):
        load_facemap_weights(path)


def _without_heads(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if "Conv2_1x1" not in name}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: [1, 2], "holds a list, not the state_dict"),
        (lambda s: {}, r"lacks Conv\.conv0\.conv\.conv_0\.0\.weight, .* and 87 more"),
        (_without_heads, r"lacks Conv2_1x1\.conv0\.weight, .* and 3 more"),
        (lambda s: {**s, "fc.weight": torch.zeros(1)}, r"has the unknown fc\.weight"),
        (lambda s: {**s, "Conv2_1x1.conv0.bias": 3}, r"lacks Conv2_1x1\.conv0\.bias"),
        (lambda s: {"layer1.weight": torch.zeros(1)}, r"lacks .* and has the unknown layer1\.weight"),
        (lambda s: {**s, "Conv2_1x1.conv0.bias": torch.tensor(1.0)}, "impossible widths"),
        (
            lambda s: {**s, "Up_conv.upconv0.conv.conv_0.2.weight": torch.zeros(11, 23, 3, 3)},
            r"conv_0\.2\.weight has the shape \(11, 23, 3, 3\), but \(11, 24, 3, 3\)",
        ),
        (lambda s: {**s, "Conv2_1x1.conv1.bias": torch.full((15,), torch.nan)}, r"conv1\.bias has values"),
        (lambda s: {**s, "Conv2_1x1.conv2.bias": torch.full((15,), torch.inf)}, r"conv2\.bias has values"),
        (
            lambda s: {**s, "Conv.conv1.conv.conv_0.0.running_var": torch.full((3,), -1.0)},
            "negative variances",
        ),
        (lambda s: {**s, "Conv2_1x1.conv0.bias": torch.zeros(15, dtype=torch.int32)}, "has the kind"),
        (lambda s: {**s, "Conv2_1x1.conv0.bias": torch.zeros(15).to_sparse()}, "has the kind"),
    ],
)
def test_a_foreign_or_spoilt_state_is_named(
    state: State, tmp_path: Path, change: Callable[[State], object], reason: str
) -> None:
    path = _save(change(state), tmp_path)
    with pytest.raises(EngineError, match=reason) as caught:
        load_facemap_weights(path)
    assert str(path) in str(caught.value)

"""Training: the loss, and that a small network learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rtface.learn.samples import Augmentation, Picture, prepare
from rtface.learn.train import Recipe, keypoint_loss, train, write_run
from rtface.networks.small import SmallDecode, SmallNetwork
from rtface.records import FACEMAP_KEYPOINTS

GENTLE = Augmentation(
    rotation_deg=5, zoom=1.05, shift=0.15, flip=0, contrast=0.1, gamma=1.1, blur=0, noise=0.01, occlusion=0
)
RECIPE = Recipe(steps=60, batch=4, size=64, learning_rate=1e-2, averaging=0.9, augmentation=GENTLE)


def pictures(count: int = 6) -> list[Picture]:
    """Frames with one spot, the first keypoint; no other has a label."""
    random = np.random.default_rng(0)
    made = []
    for _ in range(count):
        image = random.integers(0, 30, (96, 96)).astype(np.uint8)
        x, y = random.integers(24, 72, 2)
        image[y - 3 : y + 4, x - 3 : x + 4] = 255
        xy = np.full((len(FACEMAP_KEYPOINTS), 2), np.nan, np.float32)
        xy[0] = x, y
        made.append(prepare(image, xy))
    return made


def network() -> SmallNetwork:
    torch.manual_seed(0)
    return SmallNetwork(len(FACEMAP_KEYPOINTS), channels=(6, 8, 8, 8), depths=(1, 1, 1), head=8)


def logits_at(x: float, y: float, cells: int = 16) -> Tensor:
    pixels = torch.arange(cells, dtype=torch.float32) * 4 + 1.5
    square = (pixels[None, :] - x) ** 2 + (pixels[:, None] - y) ** 2
    return -square / (2 * (RECIPE.sigma * 4) ** 2)


def test_the_loss_is_least_where_the_label_is() -> None:
    xy = torch.tensor([[[21.0, 30.0]]])
    losses = {
        x: float(keypoint_loss(logits_at(x, 30.0)[None, None], xy, RECIPE))
        for x in (13.0, 19.0, 21.0, 23.0, 29.0)
    }
    assert min(losses, key=losses.__getitem__) == 21.0
    assert losses[13.0] > losses[19.0]
    assert losses[29.0] > losses[23.0]


def test_missing_labels_give_no_loss_and_no_gradient() -> None:
    logits = torch.stack([logits_at(20, 20), logits_at(40, 40)])[None].requires_grad_()
    xy = torch.tensor([[[22.0, 20.0], [float("nan"), float("nan")]]])
    keypoint_loss(logits, xy, RECIPE).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert float(logits.grad[0, 0].abs().max()) > 0
    assert float(logits.grad[0, 1].abs().max()) == 0
    nothing = keypoint_loss(logits.detach(), torch.full((1, 2, 2), torch.nan), RECIPE)
    assert float(nothing) == 0


def test_a_network_learns_to_find_the_spot() -> None:
    losses: list[float] = []
    trained = train(network(), pictures(), [], RECIPE, progress=lambda step, loss: losses.append(loss))
    assert len(losses) == RECIPE.steps
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10]), "the targets' own entropy is 3.2"
    image = np.zeros((64, 64), np.float32)
    image[38:43, 20:25] = 1.0
    with torch.no_grad():
        found = SmallDecode()(trained(torch.from_numpy(image)[None, None]))[0, 0]
    assert found[:2].tolist() == pytest.approx([22, 40], abs=4)
    assert not trained.training


def test_the_same_seed_gives_the_same_weights() -> None:
    brief = Recipe(steps=3, batch=2, size=64, augmentation=GENTLE)
    first, second = (train(network(), pictures(), pictures(2), brief).state_dict() for _ in range(2))
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_a_masked_keypoint_teaches_nothing() -> None:
    losses: list[float] = []
    train(
        network(),
        pictures(),
        [],
        Recipe(steps=3, batch=2, size=64),
        masked=(0,),
        progress=lambda step, loss: losses.append(loss),
    )
    assert losses == [0.0, 0.0, 0.0]


def test_a_run_tells_what_was_done(tmp_path: Path) -> None:
    write_run(tmp_path / "run", RECIPE, {"frames": 6}, [3.0, 2.0, 1.0])
    read = {path.name: json.loads(path.read_text()) for path in (tmp_path / "run").iterdir()}
    assert read["recipe.json"]["steps"] == 60
    assert read["recipe.json"]["augmentation"]["zoom"] == 1.05
    assert read["facts.json"] == {"frames": 6}
    assert len(read["losses.json"]) == 3
    assert read["losses.json"] == sorted(read["losses.json"], reverse=True)

"""What training makes small: least at the label, silent without one, weighted."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rtface.learn.tracker.losses import LOSSES, MEAN_WEIGHT, SIGMA, facemap_loss, small_loss
from rtface.networks.graph import FACEMAP_OFFSET, FacemapDecode
from rtface.networks.small import SmallDecode

ROWS, COLS = 12, 20
NAN = float("nan")


def _away(x: float, y: float, shift: float) -> tuple[Tensor, Tensor]:
    """Columns and rows of the cells, less a point's, in cells."""
    right = torch.arange(COLS, dtype=torch.float32) - (x - shift) / 4
    below = torch.arange(ROWS, dtype=torch.float32) - (y - shift) / 4
    return right.expand(ROWS, COLS), below[:, None].expand(ROWS, COLS)


def small_maps(*points: tuple[float, float]) -> Tensor:
    """The small network's best answer for each point in pixels, shape (1, K, rows, cols)."""
    away = [_away(x, y, 1.5) for x, y in points]
    return torch.stack([-(right**2 + below**2) / (2 * SIGMA**2) for right, below in away])[None]


def facemap_maps(*points: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Facemap's best answer, three of shape (1, K, rows, cols)."""
    away = [_away(x, y, 0.0) for x, y in points]
    heat = torch.stack([torch.exp(-(right**2 + below**2) / (2 * 3.0**2)) for right, below in away])
    right, below = (torch.stack(each) for each in zip(*away, strict=True))
    return heat[None], below[None] / FACEMAP_OFFSET, right[None] / FACEMAP_OFFSET


MAPS: dict[str, Any] = {"small": small_maps, "facemap": facemap_maps}
both = pytest.mark.parametrize("name", sorted(LOSSES))


def loss_of(name: str, maps: Any, *labels: tuple[float, float], weight: Tensor | None = None) -> Tensor:
    xy = torch.tensor([labels])
    return LOSSES[name](maps, xy, torch.ones(xy.shape[:2]) if weight is None else weight)


def grown(name: str, *points: tuple[float, float]) -> Any:
    """Maps that can be differentiated by."""
    made = MAPS[name](*points)
    return made.requires_grad_() if isinstance(made, Tensor) else tuple(e.requires_grad_() for e in made)


def gradients(maps: Any) -> list[Tensor]:
    each = [maps] if isinstance(maps, Tensor) else list(maps)
    assert all(one.grad is not None for one in each)
    return [one.grad for one in each]


@both
def test_the_loss_is_least_where_the_label_is(name: str) -> None:
    label = (33.3, 21.8)
    places = [(label[0] + dx, label[1] + dy) for dx in (-9, -1, 0, 1, 9) for dy in (-9, -1, 0, 1, 9)]
    losses = {place: float(loss_of(name, MAPS[name](place), label)) for place in places}
    assert min(losses, key=losses.__getitem__) == label
    for axis in (0, 1):
        for far, near in ((-9, -1), (9, 1)):
            moved = [list(label), list(label)]
            moved[0][axis] += far
            moved[1][axis] += near
            assert losses[tuple(moved[0])] > losses[tuple(moved[1])] + 0.1  # type: ignore[index]


def test_what_the_losses_ask_for_decodes_to_the_label() -> None:
    label = (33.3, 21.8)
    assert SmallDecode(1)(small_maps(label))[0, 0, :2].tolist() == pytest.approx(label, abs=0.05)
    assert FacemapDecode()(*facemap_maps(label))[0, 0, :2].tolist() == pytest.approx(label, abs=1e-3)
    assert float(loss_of("facemap", facemap_maps(label), label)) == pytest.approx(0, abs=1e-3)


@both
def test_a_missing_label_gives_no_loss_and_no_gradient(name: str) -> None:
    maps = grown(name, (22, 20), (50, 30))
    loss = loss_of(name, maps, (26, 22), (NAN, NAN))
    assert float(loss.detach()) == pytest.approx(
        float(loss_of(name, MAPS[name]((22, 20)), (26, 22))), rel=1e-5
    )
    loss.backward()  # type: ignore[no-untyped-call]
    for gradient in gradients(maps):
        assert float(gradient[0, 0].abs().max()) > 0
        assert float(gradient[0, 1].abs().max()) == 0


@both
def test_no_label_at_all_is_no_loss_and_no_nan(name: str) -> None:
    maps = grown(name, (22, 20))
    loss = loss_of(name, maps, (NAN, NAN))
    assert float(loss.detach()) == 0
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(float(gradient.abs().max()) == 0 for gradient in gradients(maps))


@both
def test_weights_say_how_much_a_label_counts(name: str) -> None:
    points, labels = ((22, 20), (50, 30)), ((26, 22), (50, 36))
    one, other = (
        float(loss_of(name, MAPS[name](point), label)) for point, label in zip(points, labels, strict=True)
    )
    assert one != pytest.approx(other, rel=0.05)
    weighted = float(loss_of(name, MAPS[name](*points), *labels, weight=torch.tensor([[3.0, 1.0]])))
    assert weighted == pytest.approx((3 * one + other) / 4, rel=1e-5)
    maps = grown(name, *points)
    loss_of(name, maps, *labels, weight=torch.tensor([[1.0, 0.0]])).backward()  # type: ignore[no-untyped-call]
    assert all(float(gradient[0, 1].abs().max()) == 0 for gradient in gradients(maps))


def test_an_even_map_costs_its_entropy_and_the_distance_of_its_middle() -> None:
    label = (13.5, 33.5)  # the cell in column 3, row 8
    apart = abs((COLS - 1) / 2 - 3), abs((ROWS - 1) / 2 - 8)
    loss = float(loss_of("small", torch.zeros(1, 1, ROWS, COLS), label))
    expected = math.log(ROWS * COLS) + MEAN_WEIGHT * sum(each - 0.5 for each in apart)
    assert loss == pytest.approx(expected, rel=1e-4)


def test_two_far_modes_cost_more_than_the_mean_of_them_would_say() -> None:
    """The mean of two peaks may lie on the label: the cross entropy must see that neither does."""
    label = (40.0, 24.0)
    split = torch.logsumexp(torch.stack([small_maps((16, 24)), small_maps((64, 24))]), dim=0)
    assert float(loss_of("small", split, label)) > float(loss_of("small", small_maps((46, 24)), label))


def test_both_are_there_for_every_architecture() -> None:
    assert {"small": small_loss, "facemap": facemap_loss} == LOSSES

"""The CUDA kernels that find keypoints in maps, run on the CPU from the shipped source, against torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.emulated_cuda import Emulator

from rtface.core.records import FloatArray
from rtface.track.gpu import kernels
from rtface.track.gpu.kernels import Launch

torch = pytest.importorskip("torch")

from rtface.networks.graph import FacemapDecode  # noqa: E402
from rtface.networks.small import SmallDecode  # noqa: E402

RUBBISH = -123.0

seeds = st.integers(0, 2**32 - 1)
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def decoded_small(emulator: Emulator, logits: FloatArray, intercept: FloatArray, slope: float) -> FloatArray:
    def launch(logits_at: int, intercept_at: int, out_at: int) -> Launch:
        return kernels.decode_small(logits_at, intercept_at, slope, out_at, *logits.shape)

    out: FloatArray = emulator.run(
        [logits, intercept], np.full((len(logits), 3), RUBBISH, np.float32), launch
    )
    return out


def agree_on_logits(emulator: Emulator, logits: FloatArray, seed: int = 0) -> None:
    chance = np.random.default_rng(seed)
    decode = SmallDecode(len(logits))
    decode.slope.fill_(float(chance.uniform(0.3, 3)))
    decode.intercept.copy_(torch.from_numpy(chance.uniform(-2, 2, len(logits)).astype(np.float32)))
    expected = decode(torch.from_numpy(logits)[None])[0].numpy()
    found = decoded_small(emulator, logits, decode.intercept.numpy(), float(decode.slope))
    np.testing.assert_allclose(found[:, :2], expected[:, :2], rtol=2e-6, atol=2e-4)
    np.testing.assert_allclose(found[:, 2], expected[:, 2], rtol=2e-5, atol=2e-6)


cells = st.integers(1, 24)


@given(st.integers(1, 5), cells, cells, seeds, st.sampled_from([0.0, 0.1, 1.0, 8.0, 1e3, 1e30]))
@quickly
def test_maps_of_logits_are_decoded_as_torch_does(
    emulator: Emulator, keypoints: int, rows: int, cols: int, seed: int, strength: float
) -> None:
    noise = np.random.default_rng(seed).normal(0, 1, (keypoints, rows, cols))
    agree_on_logits(emulator, (noise * strength).astype(np.float32), seed)


def peaks(shape: tuple[int, int, int], seed: int, height: float) -> FloatArray:
    """Gaussian peaks about points anywhere near the maps, each with a lower one elsewhere."""
    chance = np.random.default_rng(seed)
    keypoints, rows, cols = shape
    maps = chance.normal(0, 0.2, shape)
    for share in (1.0, 0.8):
        down, across = chance.uniform(-2, rows + 2, keypoints), chance.uniform(-2, cols + 2, keypoints)
        square = (np.arange(rows)[:, None] - down[:, None, None]) ** 2
        square = square + (np.arange(cols) - across[:, None, None]) ** 2
        maps += share * height * np.exp(-square / 6)
    return maps.astype(np.float32)


@pytest.mark.parametrize("height", [2.0, 9.0, 30.0])
def test_peaks_in_maps_of_the_networks_shape_are_decoded_as_torch_does(
    emulator: Emulator, height: float
) -> None:
    agree_on_logits(emulator, peaks((15, 48, 64), 11, height), 11)


def test_of_equal_peaks_the_first_in_row_order_is_taken(emulator: Emulator) -> None:
    logits = np.zeros((3, 40, 40), np.float32)
    logits[1, [30, 9, 9], [2, 33, 20]] = 50
    logits[2, 39, 39] = 50
    agree_on_logits(emulator, logits)
    found = decoded_small(emulator, logits, np.zeros(3, np.float32), 1.0)
    assert found[1, :2].tolist() == pytest.approx([20 * 4 + 1.5, 9 * 4 + 1.5], abs=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [np.s_[0, 0], np.s_[19, 6], np.s_[:, :], np.s_[:, 3]], ids=str)
def test_logits_that_are_no_numbers_give_what_torch_gives(
    emulator: Emulator, value: float, where: tuple[int | slice, int | slice]
) -> None:
    logits = peaks((2, 20, 21), 4, 6.0)
    logits[1][where] = value
    agree_on_logits(emulator, logits)
    found = decoded_small(emulator, logits, np.zeros(2, np.float32), 1.0)
    assert np.isfinite(found[0]).all()
    if value != -np.inf or where == np.s_[:, :]:
        assert np.isnan(found[1]).all()


def agree_on_facemaps(emulator: Emulator, heat: FloatArray, seed: int = 0) -> FloatArray:
    def launch(heat_at: int, row_at: int, col_at: int, out_at: int) -> Launch:
        return kernels.decode_facemap(heat_at, row_at, col_at, out_at, *heat.shape)

    offsets = np.random.default_rng(seed).normal(0, 0.3, (2, *heat.shape)).astype(np.float32)
    maps = [heat, *offsets]
    found: FloatArray = emulator.run(maps, np.full((len(heat), 4), RUBBISH, np.float32), launch)
    expected = FacemapDecode()(*(torch.from_numpy(array)[None] for array in maps))[0].numpy()
    np.testing.assert_array_equal(found[:, :2], expected[:, :2])
    np.testing.assert_allclose(found[:, 2:], expected[:, 2:], rtol=2e-5, atol=2e-6)
    return found


@given(st.integers(1, 5), cells, cells, seeds, st.sampled_from([0.0, 0.1, 1.0, 1e3]))
@quickly
def test_facemaps_maps_are_decoded_as_torch_does(
    emulator: Emulator, keypoints: int, rows: int, cols: int, seed: int, strength: float
) -> None:
    noise = np.random.default_rng(seed).normal(0, 1, (keypoints, rows, cols))
    agree_on_facemaps(emulator, (np.maximum(noise, 0) * strength).astype(np.float32), seed)


def test_facemaps_peaks_in_maps_of_the_networks_shape_are_decoded_as_torch_does(emulator: Emulator) -> None:
    heat = np.maximum(peaks((15, 64, 64), 5, 2.0), 0)
    heat[0] = 0
    heat[1, [60, 7, 7], [1, 50, 40]] = 9
    heat[2] = -heat[2] - 1
    heat[3] -= 1.9
    found = agree_on_facemaps(emulator, heat)
    assert found[0, 2] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_heat_that_is_no_number_gives_what_torch_gives(emulator: Emulator, value: float) -> None:
    heat = np.maximum(peaks((3, 20, 21), 4, 2.0), 0)
    heat[1, [11, 3], [2, 17]] = value
    heat[2] = value
    agree_on_facemaps(emulator, heat)

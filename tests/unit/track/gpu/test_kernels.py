"""The CUDA kernels, run on the CPU from the shipped source, against numpy and torch."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.emulated_cuda import Emulator, EmulatorError, Memory

from rtface.core.geometry import NetworkFrame, whole_frame
from rtface.core.records import Crop, FloatArray, Image
from rtface.simulate.face import MouseFace
from rtface.track.gpu import kernels
from rtface.track.gpu.kernels import Launch
from rtface.track.gray_levels import levels
from rtface.track.manifest import LevelsSpec

torch = pytest.importorskip("torch")

from rtface.networks.graph import PadResize  # noqa: E402

RUBBISH = -123.0
DEFAULT = LevelsSpec()


def counted(emulator: Emulator, frame: Image, row_step: int, before: int = 0) -> NDArray[np.uint32]:
    def launch(frame_at: int, counts_at: int) -> Launch:
        return kernels.histogram(frame_at, counts_at, frame.shape, row_step)

    counts: NDArray[np.uint32] = emulator.run([frame], np.full(256, before, np.uint32), launch)
    return counts


def prepared(
    emulator: Emulator,
    frame: Image,
    crop: Crop,
    size: int,
    square: bool,
    spec: LevelsSpec = DEFAULT,
    half: bool = False,
) -> NDArray[np.floating]:
    def launch(frame_at: int, counts_at: int, out_at: int) -> Launch:
        return kernels.prepare(frame_at, counts_at, out_at, frame.shape, crop, size, square, spec, half)

    shape = NetworkFrame(crop, size, True, square).shape
    out = np.full(shape, RUBBISH, np.float16 if half else np.float32)
    counts = np.bincount(frame[:: spec.row_step].ravel(), minlength=256).astype(np.uint32)
    return emulator.run([frame, counts], out, launch)


def by_torch(frame: Image, crop: Crop, size: int, square: bool, spec: LevelsSpec = DEFAULT) -> FloatArray:
    image = frame[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width].copy()
    level = levels(frame, spec.low, spec.high, spec.row_step)
    result = PadResize(size, square)(torch.from_numpy(image)[None, None], torch.from_numpy(level))
    out: FloatArray = result[0, 0].numpy()
    return out


def picture(shape: tuple[int, int], seed: int) -> Image:
    """Noise about a gray level, few levels or many, by the seed."""
    chance = np.random.default_rng(seed)
    spread = chance.choice([0.0, 0.7, 3.0, 40.0, 200.0])
    return np.clip(chance.normal(chance.uniform(0, 255), spread, shape), 0, 255).astype(np.uint8)


sides = st.integers(1, 70)
seeds = st.integers(0, 2**32 - 1)
quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(sides, st.integers(1, 130), st.integers(1, 16), seeds, st.integers(0, 3))
@quickly
def test_a_histogram_counts_every_pixel_of_the_rows_looked_at(
    emulator: Emulator, height: int, width: int, row_step: int, seed: int, before: int
) -> None:
    frame = picture((height, width), seed)
    expected = np.bincount(frame[::row_step].ravel(), minlength=256) + before
    np.testing.assert_array_equal(counted(emulator, frame, row_step, before), expected)


@pytest.mark.parametrize("row_step", [1, 2])
def test_a_histogram_of_more_pixels_than_one_pass_of_the_grid(emulator: Emulator, row_step: int) -> None:
    frame = picture((1301, 1003), 7)
    launch = kernels.histogram(0, 0, frame.shape, row_step)
    assert launch.grid[0] * kernels.THREADS * 16 < frame[::row_step].size
    expected = np.bincount(frame[::row_step].ravel(), minlength=256)
    np.testing.assert_array_equal(counted(emulator, frame, row_step), expected)


@st.composite
def crops(draw: st.DrawFn) -> tuple[tuple[int, int], Crop]:
    height, width = draw(sides), draw(sides)
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    crop = Crop(x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y)))
    return (height, width), crop


@given(crops(), st.sampled_from([32, 48, 64]), st.booleans(), seeds, st.booleans())
@quickly
def test_any_crop_is_prepared_as_torch_does_to_the_last_bit(
    emulator: Emulator, placed: tuple[tuple[int, int], Crop], size: int, square: bool, seed: int, half: bool
) -> None:
    shape, crop = placed
    frame = picture(shape, seed)
    expected = by_torch(frame, crop, size, square)
    found = prepared(emulator, frame, crop, size, square, half=half)
    np.testing.assert_array_equal(found, expected.astype(found.dtype))


@given(sides, sides, seeds, st.floats(0, 100), st.floats(0, 100), st.integers(1, 16))
@quickly
def test_any_percentiles_are_those_of_the_host_to_the_last_bit(
    emulator: Emulator, height: int, width: int, seed: int, low: float, high: float, row_step: int
) -> None:
    assume(high - low > 1e-3)  # nearer percentiles scale a frame beyond what float32 keeps to the last bit
    frame = picture((height, width), seed)
    spec = LevelsSpec(low=low, high=high, row_step=row_step)
    crop = whole_frame(width, height)
    found = prepared(emulator, frame, crop, 32, True, spec)
    np.testing.assert_array_equal(found, by_torch(frame, crop, 32, True, spec))


@pytest.mark.parametrize("value", [0, 1, 255])
@pytest.mark.parametrize("square", [False, True])
def test_a_flat_frame_is_all_zero(emulator: Emulator, value: int, square: bool) -> None:
    frame = np.full((50, 40), value, np.uint8)
    assert not prepared(emulator, frame, whole_frame(40, 50), 32, square).any()


@pytest.mark.parametrize("crop", [Crop(0, 0, 640, 480), Crop(121, 33, 401, 298)], ids=["whole", "crop"])
@pytest.mark.parametrize(("square", "half"), [(True, False), (False, True)])
def test_a_face_is_prepared_as_torch_does_to_the_last_bit(
    emulator: Emulator, crop: Crop, square: bool, half: bool
) -> None:
    frame = np.empty((480, 640), np.uint8)
    MouseFace(640, 480, 100.0, 3).render(5, frame)
    spec = LevelsSpec(row_step=4)
    expected = by_torch(frame, crop, 256, square, spec)
    assert np.ptp(expected) > 0.5
    found = prepared(emulator, frame, crop, 256, square, spec, half)
    np.testing.assert_array_equal(found, expected.astype(found.dtype))


LENGTHS = (*range(1, 41), 64, 127, 255, 256, 257, 333, 480, 512, 640, 646, 864, 1023, 1280, 2047)


@pytest.mark.parametrize(
    ("size", "square"), [(32, True), (256, True), (32, False), (256, False), (100, False)]
)
def test_neighbours_and_weights_of_every_shape_are_torchs(
    emulator: Emulator, size: int, square: bool
) -> None:
    """Of each with each other one of the small lengths, and of several pairs for all."""
    resize = PadResize(size, square)
    device = torch.device("cpu")
    pairs = set(product(LENGTHS[:40], LENGTHS[:40])) | set(pairwise(LENGTHS))
    pairs |= {(tall, LENGTHS[(7 * index) % len(LENGTHS)]) for index, tall in enumerate(LENGTHS)}
    for height, width in pairs:
        launch = kernels.prepare(
            *(0, 0, 0, (height, width), whole_frame(width, height), size, square, DEFAULT, False)
        )
        longer, shorter = torch.tensor(max(height, width)), torch.tensor(min(height, width))
        for axis, length in enumerate((height, width)):
            first, second, weight, rest = resize._taps(torch.tensor(length), longer, shorter, device)
            neighbours, weights = emulator.taps(axis, launch)
            shown = f"axis {axis} of {height} x {width}"
            np.testing.assert_array_equal(neighbours, torch.stack((first, second)).numpy(), shown)
            np.testing.assert_array_equal(weights, torch.stack((weight, rest)).numpy(), shown)


def test_the_stand_in_for_half_precision_rounds_as_numpy(emulator: Emulator) -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = np.sort(every[np.isfinite(every)].astype(np.float32))
    middles = (every[1:] + every[:-1]) / 2
    near = [np.nextafter(middles, np.float32(sign * np.inf)) for sign in (-1, 1)]
    edges = np.array([65519.9, 65520, 1e30, -1e30, np.inf, 1e-30, -1e-30, 2**-25], np.float32)
    values = np.concatenate((every, middles, *near, edges))
    with np.errstate(over="ignore", under="ignore"):
        np.testing.assert_array_equal(emulator.half(values), values.astype(np.float16))


def test_the_emulator_notices_what_a_gpu_would_not(emulator: Emulator) -> None:
    frame, counts = np.ones((40, 40), np.uint8), np.zeros(256, np.uint32)
    with Memory(at_end=True) as memory:
        frame_at, _ = memory.put(frame)
        counts_at, _ = memory.put(counts, writable=True)
        emulator.launch(kernels.histogram(frame_at, counts_at, (40, 40), 1))
        with pytest.raises(EmulatorError, match="Segmentation"):
            emulator.launch(kernels.histogram(frame_at, counts_at, (41, 40), 1))
        with pytest.raises(EmulatorError, match="Segmentation"):
            emulator.launch(kernels.histogram(frame_at, frame_at, (40, 40), 1))
        wrong = Launch("decode_small", (1, 1, 1), (256, 1, 1), (np.uint64(frame_at), np.int32(1)))
        with pytest.raises(EmulatorError, match="u8i4, the kernel takes u8u8u8i4i4f4"):
            emulator.launch(wrong)
        emulator.launch(kernels.histogram(frame_at, counts_at, (40, 40), 1))

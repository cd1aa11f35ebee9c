from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtface.core.errors import UsageError
from rtface.core.geometry import NetworkFrame, SensorRegion, check_crop, outside, whole_frame
from rtface.core.records import Crop, FloatArray

crops = st.builds(
    Crop, st.integers(0, 4000), st.integers(0, 4000), st.integers(1, 4096), st.integers(1, 4096)
)


def points(*pairs: tuple[float, float]) -> FloatArray:
    return np.array(pairs, np.float32)


@given(
    crop=crops,
    size=st.integers(32, 1024),
    half_pixel=st.booleans(),
    square=st.booleans(),
    pairs=st.lists(st.tuples(st.floats(-2, 3), st.floats(-2, 3)), min_size=1, max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_to_network_and_to_camera_are_inverse(
    crop: Crop, size: int, half_pixel: bool, square: bool, pairs: list[tuple[float, float]]
) -> None:
    frame = NetworkFrame(crop, size, half_pixel, square)
    camera = points(*pairs) * max(crop.width, crop.height) + points((crop.x, crop.y))
    there = frame.to_network(camera)
    back = frame.to_camera(there)
    assert there.dtype == back.dtype == np.float32
    assert there.shape == back.shape == camera.shape
    np.testing.assert_allclose(back, camera, rtol=0, atol=1e-6 * 2e4)
    again = frame.to_network(back)
    np.testing.assert_allclose(again, there, rtol=0, atol=1e-6 * 2e4 / frame.scale + 1e-3)


@pytest.mark.parametrize("half_pixel", [False, True])
def test_a_square_crop_of_the_networks_size_is_only_shifted(half_pixel: bool) -> None:
    xy = points((0, 0), (12.25, 255), (-3, 300))
    np.testing.assert_array_equal(NetworkFrame(Crop(0, 0, 256, 256), 256, half_pixel).to_camera(xy), xy)
    shifted = NetworkFrame(Crop(7, 11, 256, 256), 256, half_pixel)
    np.testing.assert_array_equal(shifted.to_camera(xy), xy + points((7, 11)))


@pytest.mark.parametrize(
    ("width", "height", "side", "left", "top"),
    [
        (100, 100, 100, 0, 0),
        (100, 60, 100, 0, 20),
        (60, 100, 100, 20, 0),
        (101, 100, 102, 0, 1),
        (100, 101, 102, 1, 0),
        (7, 2, 8, 0, 3),
        (2, 7, 8, 3, 0),
        (1, 1, 1, 0, 0),
    ],
)
def test_padding_is_centred_and_an_odd_difference_makes_the_square_one_larger(
    width: int, height: int, side: int, left: int, top: int
) -> None:
    frame = NetworkFrame(Crop(5, 6, width, height), 64, True)
    assert (frame.scale * 64, *frame.padding) == (side, left, top)
    assert frame.shape == (64, 64)
    assert 0 <= side - left - width <= left + 1
    assert 0 <= side - top - height <= top + 1


@pytest.mark.parametrize(
    ("width", "height", "shape", "padding"),
    [
        (864, 646, (192, 256), (0, 1.0)),
        (640, 480, (192, 256), (0, 0)),
        (480, 640, (256, 192), (0, 0)),
        (800, 480, (160, 256), (0, 10.0)),
        (480, 480, (256, 256), (0, 0)),
        (1000, 1, (32, 256), (0, 62.0)),
    ],
)
def test_the_shorter_side_alone_is_padded_to_a_multiple_of_32(
    width: int, height: int, shape: tuple[int, int], padding: tuple[float, float]
) -> None:
    frame = NetworkFrame(Crop(5, 6, width, height), 256, True, square=False)
    assert frame.shape == shape
    assert frame.padding == padding
    assert frame.scale == max(width, height) / 256
    corners = frame.to_network(points((5, 6), (5 + width - 1, 6 + height - 1)))
    rows, columns = shape
    assert (corners[0] + corners[1]).tolist() == pytest.approx([columns - 1, rows - 1], abs=1e-3)


@given(crop=crops, size=st.integers(32, 1024))
@settings(max_examples=100, deadline=None)
def test_without_the_half_pixel_the_formula_is_facemaps(crop: Crop, size: int) -> None:
    """coords *= postpad_size / size; subtract the pads on the left and at the top; add the crop's corner."""
    frame = NetworkFrame(crop, size, half_pixel=False)
    xy = points((0, 0), (size / 3, size - 1))
    side = max(crop.width, crop.height) + (crop.width - crop.height) % 2
    pads = (side - np.array([crop.width, crop.height])) // 2
    wanted = xy.astype(float) * side / size - pads + [crop.x, crop.y]
    np.testing.assert_allclose(frame.to_camera(xy), wanted, rtol=1e-6, atol=2e-3)


def test_facemaps_points_lie_to_the_left_and_above_of_the_true_ones() -> None:
    crop = Crop(10, 20, 640, 480)
    xy = points((31, 77))
    difference = NetworkFrame(crop, 256, True).to_camera(xy) - NetworkFrame(crop, 256, False).to_camera(xy)
    np.testing.assert_allclose(difference, [[(640 / 256 - 1) / 2] * 2])
    assert (difference > 0).all()


@pytest.mark.parametrize("size", [64, 96, 250])
@pytest.mark.parametrize("crop", [Crop(40, 30, 200, 200), Crop(3, 70, 310, 131), Crop(90, 8, 121, 220)])
def test_the_half_pixel_is_what_a_bilinear_resize_does(crop: Crop, size: int) -> None:
    """Resize a picture whose gray is x (or y) of the camera: a network pixel then shows where it came from."""
    rows, columns = np.mgrid[0:260, 0:330].astype(np.float32)
    frame = NetworkFrame(crop, size, half_pixel=True)
    network_y, network_x = np.mgrid[0:size, 0:size]
    xy = np.stack([network_x, network_y], axis=-1).reshape(-1, 2).astype(np.float32)
    mapped = frame.to_camera(xy).reshape(size, size, 2)
    inside = (
        (mapped[..., 0] > crop.x + 1)
        & (mapped[..., 0] < crop.x + crop.width - 2)
        & (mapped[..., 1] > crop.y + 1)
        & (mapped[..., 1] < crop.y + crop.height - 2)
    )
    assert inside.sum() > 500
    for axis, picture in enumerate((columns, rows)):
        padded = centred(picture[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width], frame)
        seen = cv2.resize(padded, (size, size), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(mapped[..., axis][inside], seen[inside], atol=0.02)


def test_a_blob_is_found_again_where_it_was() -> None:
    crop, size, centre = Crop(21, 34, 301, 180), 128, (140.0, 110.0)
    rows, columns = np.mgrid[0:260, 0:400].astype(np.float32)
    blob = np.exp(-((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2) / (2 * 15.0**2))
    frame = NetworkFrame(crop, size, half_pixel=True)
    padded = centred(blob[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width], frame)
    small = cv2.resize(padded, (size, size), interpolation=cv2.INTER_LINEAR)
    y, x = np.mgrid[0:size, 0:size]
    found = points(((small * x).sum() / small.sum(), (small * y).sum() / small.sum()))
    np.testing.assert_allclose(frame.to_camera(found), [centre], atol=0.02)


def centred(part: FloatArray, frame: NetworkFrame) -> FloatArray:
    side, (left, top) = round(frame.scale * frame.size), map(int, frame.padding)
    padded = np.zeros((side, side), np.float32)
    padded[top : top + part.shape[0], left : left + part.shape[1]] = part
    return padded


def test_a_point_is_outside_half_a_pixel_beyond_the_last_centre() -> None:
    xy = points(
        (-0.5, -0.5), (639.5, 479.5), (-0.51, 0), (0, -0.51), (639.51, 0), (0, 479.51), (np.nan, np.nan),
        (np.nan, 5), (np.inf, 0), (0, -np.inf),
    )  # fmt: skip
    flags = outside(xy, 640, 480)
    assert flags.dtype == np.bool_
    assert flags.tolist() == [False, False, True, True, True, True, False, False, True, True]


def test_a_crop_that_fits_is_returned() -> None:
    for crop in (Crop(0, 0, 640, 480), Crop(639, 479, 1, 1), Crop(16, 16, 100, 50)):
        assert check_crop(crop, 640, 480) is crop
    assert whole_frame(640, 480) == Crop(0, 0, 640, 480)
    assert Crop(1, 2, 30, 40).shape == (40, 30)


@pytest.mark.parametrize("crop", [Crop(-1, 0, 5, 5), Crop(0, -1, 5, 5), Crop(0, 0, 0, 5), Crop(0, 0, 5, -5)])
def test_a_crop_that_is_no_rectangle_is_refused(crop: Crop) -> None:
    with pytest.raises(UsageError, match=f"x={crop.x}, y={crop.y}.*not a rectangle of whole pixels"):
        check_crop(crop, 640, 480)


@pytest.mark.parametrize("crop", [Crop(1, 0, 640, 480), Crop(0, 1, 640, 480), Crop(640, 0, 1, 1)])
def test_a_crop_beyond_the_frame_is_refused(crop: Crop) -> None:
    with pytest.raises(UsageError, match=f"x={crop.x} y={crop.y} .*beyond.*640x480"):
        check_crop(crop, 640, 480)


def test_a_binned_region_lies_on_its_sensor() -> None:
    region = SensorRegion(offset_x=10, offset_y=4, binning_x=2, decimation_y=3)
    np.testing.assert_allclose(region.to_sensor(points((0, 0), (3, 2))), [[20.5, 12], [26.5, 18]])


def test_a_mirrored_one_is_counted_from_the_sensors_other_side() -> None:
    region = SensorRegion(sensor_width=800, offset_x=10, reverse_x=True)
    np.testing.assert_allclose(region.to_sensor(points((0, 5), (1, 5))), [[789, 5], [788, 5]])
    with pytest.raises(UsageError, match="how large its sensor"):
        SensorRegion(reverse_y=True).to_sensor(points((0, 0)))


def test_a_region_is_read_out_of_a_cameras_settings_if_they_tell_it() -> None:
    assert SensorRegion.of({"Width": 640, "offset_x": 8, "reverse_x": False}) == SensorRegion(offset_x=8)
    assert SensorRegion.of({"Width": 640}) is None

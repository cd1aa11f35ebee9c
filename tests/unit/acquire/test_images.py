from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.acquire.base import EndOfStream
from rtface.acquire.images import ImagesCamera, natural_key
from rtface.config import ImagesCameraSettings
from rtface.core.clock import ManualClock
from rtface.core.errors import CameraError, CameraLostError


def write(path: Path, value: int, shape: tuple[int, ...] = (20, 30)) -> None:
    assert cv2.imwrite(str(path), np.full(shape, value, np.uint8))


def camera_for(folder: Path, **settings: object) -> ImagesCamera:
    merged = {"kind": "images", "path": folder, **settings}
    return ImagesCamera(ImagesCameraSettings.model_validate(merged), ManualClock(1))


def test_images_of_all_kinds_come_in_natural_order(tmp_path: Path) -> None:
    for value, name in enumerate(["im1.png", "im2.JPG", "im3.jpeg", "im10.tif", "im11.tiff", "im100.bmp"]):
        write(tmp_path / name, 40 * value)
    (tmp_path / "notes.txt").write_text("no image")
    camera = camera_for(tmp_path)
    info = camera.open()
    assert (info.width, info.height, info.frames, info.live) == (30, 20, 6, False)
    camera.start()
    out = np.empty((20, 30), np.uint8)
    for value in range(6):
        assert camera.fill(out, 1.0) is not None
        assert (out == 40 * value).all()
    with pytest.raises(EndOfStream):
        camera.fill(out, 1.0)
    camera.close()


def test_colour_becomes_gray_and_16_bits_become_8(tmp_path: Path) -> None:
    colour = np.zeros((20, 30, 3), np.uint8)
    colour[..., 2] = 200
    cv2.imwrite(str(tmp_path / "1.png"), colour)
    cv2.imwrite(str(tmp_path / "2.png"), np.full((20, 30), 0x8123, np.uint16))
    camera = camera_for(tmp_path)
    camera.open()
    camera.start()
    out = np.empty((20, 30), np.uint8)
    camera.fill(out, 1.0)
    assert (out == round(0.299 * 200)).all()
    camera.fill(out, 1.0)
    assert (out == 0x81).all()
    camera.close()


def test_paced_images_come_at_the_rate_asked_for(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"{number}.png", number)
    camera = camera_for(tmp_path, paced=True, rate_hz=10, loop=True)
    info = camera.open()
    assert (info.rate_hz, info.live, info.frames) == (10, True, None)
    camera.start()
    out = np.empty((20, 30), np.uint8)
    metas = [camera.fill(out, 1.0) for _ in range(6)]
    assert [meta.exposure_ns for meta in metas if meta] == [1 + number * 100_000_000 for number in range(6)]
    assert [meta.camera_ns for meta in metas if meta] == [
        0,
        100_000_000,
        200_000_000,
        300_000_000,
        0,
        100_000_000,
    ]
    assert (out == 1).all()
    camera.close()


def test_images_that_are_not_paced_have_the_times_of_their_rate_too(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.png", number)
    camera = camera_for(tmp_path, paced=False, rate_hz=50)
    assert camera.open().rate_hz == 50
    camera.start()
    metas = [camera.fill(np.empty((20, 30), np.uint8), 1.0) for _ in range(3)]
    assert [meta.camera_ns for meta in metas if meta] == [0, 20_000_000, 40_000_000]
    camera.close()


@pytest.mark.parametrize("bad", ["size", "content", "empty"])
def test_an_image_that_does_not_fit_is_named_where_it_comes(tmp_path: Path, bad: str) -> None:
    write(tmp_path / "1.png", 1)
    if bad == "size":
        write(tmp_path / "2.png", 1, (20, 31))
    else:
        (tmp_path / "2.png").write_bytes(b"junk" if bad == "content" else b"")
    write(tmp_path / "3.png", 1)
    camera = camera_for(tmp_path)
    camera.open()
    camera.start()
    out = np.empty((20, 30), np.uint8)
    assert camera.fill(out, 1.0) is not None
    for _ in range(2):
        with pytest.raises(CameraLostError, match=r"2\.png"):
            camera.fill(out, 1.0)
    camera.close()


def test_a_folder_without_a_first_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="absent"):
        camera_for(tmp_path / "absent").open()
    with pytest.raises(CameraError, match="no images"):
        camera_for(tmp_path).open()
    (tmp_path / "1.png").write_bytes(b"junk")
    with pytest.raises(CameraError, match=r"1\.png"):
        camera_for(tmp_path).open()


def test_names_sort_by_the_numbers_in_them() -> None:
    names = ["b1", "a10", "a9", "a09b", "10", "9", "a"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "a09b", "a9", "a10", "b1"]


def played(camera: ImagesCamera) -> list[int]:
    """Return the first pixel of every image until the end."""
    info = camera.open()
    camera.start()
    values = []
    out = np.empty((info.height, info.width), np.uint8)
    try:
        while camera.fill(out, 1.0) is not None:
            values.append(int(out[0, 0]))
    except EndOfStream:
        pass
    camera.close()
    return values


def test_a_stack_is_as_many_images_as_it_has_pages(tmp_path: Path) -> None:
    pages = [np.full((20, 30), 10 * page, np.uint8) for page in range(5)]
    assert cv2.imwritemulti(str(tmp_path / "1.tif"), pages)
    write(tmp_path / "2.png", 99)
    camera = camera_for(tmp_path)
    assert camera.open().frames == 6
    camera.close()
    assert played(camera_for(tmp_path)) == [0, 10, 20, 30, 40, 99]


def test_hidden_companions_of_macos_are_no_images(tmp_path: Path) -> None:
    write(tmp_path / "1.png", 7)
    (tmp_path / "._1.png").write_bytes(b"\0\5\x16\7")
    assert played(camera_for(tmp_path)) == [7]


@pytest.mark.parametrize("bits", [12, 14, 16])
def test_16_bit_files_are_scaled_by_the_bits_in_use(tmp_path: Path, bits: int) -> None:
    for number in range(3):
        deep = np.full((20, 30), (50 + 50 * number) << (bits - 8), np.uint16)
        deep[-1, -1] = (1 << bits) - 1
        cv2.imwrite(str(tmp_path / f"{number}.png"), deep)
    assert played(camera_for(tmp_path)) == [50, 100, 150]


def test_an_image_beyond_the_bits_in_use_is_named(tmp_path: Path) -> None:
    for number in range(40):
        value = 60000 if number == 1 else 4000
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((20, 30), value, np.uint16))
    camera = camera_for(tmp_path)
    camera.open()
    camera.start()
    out = np.empty((20, 30), np.uint8)
    camera.fill(out, 1.0)
    with pytest.raises(CameraLostError, match=r"1\.png.*60000.*12 bits"):
        camera.fill(out, 1.0)

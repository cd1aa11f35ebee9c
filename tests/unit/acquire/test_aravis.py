"""The camera behind Aravis, on the camera that the library simulates, and on one that it puts on a network of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from rtface.acquire.aravis import library
from rtface.acquire.aravis.camera import AravisCamera, list_aravis
from rtface.acquire.aravis.library import AravisRefusal
from rtface.config import AravisCameraSettings
from rtface.core.clock import ManualClock
from rtface.core.errors import CameraError, CameraLostError, CameraSettingError
from rtface.core.records import CameraInfo, FrameMeta, Image, TriggerInfo

WIDTH, HEIGHT = 128, 104
GIVE_UP_S = 20.0
FAKE = "arv-fake-gv-camera-0.8"
Open = Callable[..., tuple[AravisCamera, CameraInfo]]

needs_library = pytest.mark.skipif(find_library("aravis-0.8") is None, reason="Aravis is not installed")


def settings(**changes: Any) -> AravisCameraSettings:
    asked = {"simulated": True, "width": WIDTH, "height": HEIGHT, "rate_hz": 100, **changes}
    return AravisCameraSettings.model_validate({"kind": "aravis", **asked})


@pytest.fixture
def opened() -> Iterator[Open]:
    cameras = []

    def open_camera(**changes: Any) -> tuple[AravisCamera, CameraInfo]:
        camera = AravisCamera(settings(**changes))
        cameras.append(camera)
        return camera, camera.open()

    yield open_camera
    for camera in cameras:
        camera.close()


def take(camera: AravisCamera, out: Image | None = None) -> FrameMeta:
    meta = camera.fill(np.empty((HEIGHT, WIDTH), np.uint8) if out is None else out, GIVE_UP_S)
    assert meta is not None, "no frame came"
    return meta


@needs_library
def test_the_simulated_camera_is_listed_by_itself() -> None:
    (found,) = list_aravis(simulated=True)
    assert (found.identity, found.vendor, found.serial, found.protocol) == ("Fake_1", "Aravis", "1", "Fake")


@needs_library
def test_settings_are_made_and_read_back(opened: Open) -> None:
    _, info = opened(exposure_us=2000, offset_x=16, nodes={"GainRaw": 3})
    assert (info.width, info.height, info.rate_hz) == (WIDTH, HEIGHT, 100.0)
    assert info.settings["ExposureTime"] == 2000.0, "by the name that devices of before the standard have"
    assert (info.settings["GainRaw"], info.settings["offset_x"], info.settings["serial"]) == (3, 16, "1")


@needs_library
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 5000}, "Width cannot be set to 5000 .possible: 1 to 2048"),
        ({"pixel_format": "Mono12p"}, "PixelFormat cannot be set to 'Mono12p' .possible: .*Mono8, .*Mono16"),
        ({"pixel_format": "YUV422_8"}, "'YUV422_8' cannot be read; possible with this camera: .*Mono8"),
        ({"gain": 1.0}, "has no feature 'Gain'"),
        ({"nodes": {"OffsetX": 1.5}}, "OffsetX cannot be set to 1.5"),
        ({"nodes": {"TriggerSoftware": 1}}, "TriggerSoftware is a command"),
        ({"rate_hz": 100, "exposure_us": 20_000}, "allows 50 frames per second at most"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing_open(
    opened: Open, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(CameraSettingError, match=words):
        opened(**changes)
    opened()


@needs_library
def test_a_serial_that_is_not_there_is_named_with_those_that_are(opened: Open) -> None:
    with pytest.raises(CameraError, match="serial '77'; found: 1"):
        opened(serial="77")
    _, by_name = opened(serial="Fake_1")
    assert by_name.settings["serial"] == "1"


@needs_library
@pytest.mark.parametrize("pixel_format", ["Mono8", "Mono16", "BayerRG8", "RGB8"])
def test_each_format_that_it_has_is_read(opened: Open, pixel_format: str) -> None:
    camera, _ = opened(pixel_format=pixel_format)
    camera.start()
    first, second = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    take(camera, first)
    take(camera, second)
    assert len(np.unique(first)) > 2
    assert (first != second).any(), "the pattern moves"


@needs_library
def test_a_camera_that_waits_for_a_software_trigger_gets_it(opened: Open) -> None:
    camera, info = opened(rate_hz=None, trigger={"source": "Software", "rate_hz": 20, "longest_pause_s": 1})
    assert info.trigger == TriggerInfo("Software", 20.0, 1.0)
    camera.start()
    numbers = [take(camera).frame_id for _ in range(3)]
    assert numbers == list(range(numbers[0], numbers[0] + 3))


@needs_library
def test_what_the_library_counts_is_in_its_status(opened: Open) -> None:
    camera, _ = opened()
    camera.start()
    take(camera)
    assert camera.status.readings["frames_without_buffer"] >= 0


def test_a_library_that_is_not_there_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "ARAVIS", "libnothing-of-this-name.so.0")
    with pytest.raises(CameraError, match="sudo apt install libaravis"):
        library.Aravis()


def test_chunks_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="are not read by kind: aravis"):
        settings(chunks=["frame"])


# On a network of its own

ON_A_NETWORK = """
import json, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
from rtface.acquire.aravis.camera import AravisCamera, list_aravis
from rtface.acquire.aravis.library import AravisRefusal
from rtface.config import AravisCameraSettings
from rtface.core.errors import CameraLostError
import numpy as np
fake = subprocess.Popen([sys.argv[1], "-i", "127.0.0.1", "-r", "10"], stdout=subprocess.DEVNULL)
try:
    while not list_aravis():
        pass
    camera = AravisCamera(AravisCameraSettings(kind="aravis", width=128, height=104, rate_hz=100))
    info = camera.open()
    camera.start()
    out, numbers = np.empty((104, 128), np.uint8), []
    while len(numbers) < 150:
        meta = camera.fill(out, 20.0)
        numbers.append(meta.frame_id)
    lost = camera.lost_at_camera + camera.lost_in_transport
    fake.kill()
    try:
        while True:
            camera.fill(out, 0.5)
    except CameraLostError as error:
        why = str(error)
    camera.close()
finally:
    fake.kill()
print(json.dumps([info.settings["tl_type"], numbers, lost, why]))
"""


@needs_library
def test_a_gige_camera_that_loses_packets_and_is_unplugged() -> None:
    """Of a thousand packets ten do not arrive: those frames are lost, counted, and never taken."""
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which(FAKE) is None or shutil.which("ip") is None:
        pytest.skip(f"{FAKE} or ip is not installed")
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no network of its own can be had here")
    command = [*alone, sys.executable, "-c", ON_A_NETWORK, FAKE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    transport, numbers, lost, why = json.loads(done.stdout.splitlines()[-1])
    assert transport == "GigEVision"
    assert numbers == sorted(set(numbers))
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    assert 0 < missing <= lost, "what was lost behind the last one that was taken is counted, too"
    assert "was lost" in why


@needs_library
def test_a_software_trigger_that_is_refused_for_a_moment_is_no_loss(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, _ = opened(rate_hz=None, trigger={"source": "Software", "rate_hz": 50, "longest_pause_s": 1})
    camera.start()
    take(camera)
    given, refused = camera._software, []

    class Refusing:
        def give(self, now_ns: int) -> None:
            refused.append(now_ns)
            if len(refused) <= 3:
                raise AravisRefusal("busy")
            assert given is not None
            given.give(now_ns)

    monkeypatch.setattr(camera, "_software", Refusing())
    take(camera)
    assert len(refused) > 3
    monkeypatch.setattr(camera, "_clock", ManualClock())
    refused.clear()
    monkeypatch.setattr(Refusing, "give", lambda self, now_ns: refuse(camera))
    with pytest.raises(CameraLostError, match="was lost while waiting for a frame: busy"):
        take(camera)


def refuse(camera: AravisCamera) -> None:
    clock = camera._clock
    clock.sleep_until_ns(clock.now_ns() + 200_000_000)
    raise AravisRefusal("busy")


@needs_library
def test_pixels_of_another_format_than_before_are_a_lost_camera(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, _ = opened()
    camera.start()
    take(camera)
    monkeypatch.setattr(camera._library, "buffer_get_image_pixel_format", lambda buffer: 0x01100003)
    with pytest.raises(
        CameraLostError, match=r"of another format than before \(0x01100003, before 0x01080001\)"
    ):
        take(camera)

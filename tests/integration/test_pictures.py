"""Pictures and features of a whole service, from a simulated camera and from real recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.waits import wait_until

from rtface.client import Client, PictureMessage, PictureSubscriber
from rtface.config import Rig, SimulatedCameraSettings, VideoCameraSettings
from rtface.core.errors import AddressError, ControlError
from rtface.core.records import Crop
from rtface.live.service import Service
from rtface.publish.as_json import as_json
from rtface.publish.keypoints import Keypoints
from rtface.publish.keys import make_keys

LONG_S = 20.0
FREE = "tcp://127.0.0.1:*"
SMALL = SimulatedCameraSettings(width=96, height=80, rate_hz=100)
PUBLISH: dict[str, Any] = {
    "keypoints": FREE,
    "control": FREE,
    "pictures": {"address": FREE, "per_second": 100, "quality": 95, "width": 2048},
}
RULES = """\
features: {nose: {kind: position, point: nose(tip)}}
rules: {a: {when: nose.x > 1e9, unless: nose.y > 1e9, pulse: {width_ms: 2}}}
"""


def rig(engine: str, camera: object = SMALL, **settings: object) -> Rig:
    publish = PUBLISH | dict(settings.pop("publish", {}))  # type: ignore[call-overload]
    return Rig.model_validate({"camera": camera, "engine": engine, "publish": publish, **settings})


def client_of(service: Service, **options: object) -> Client:
    return Client(service.keypoints_address, service.control_address, timeout_s=LONG_S, **options)  # type: ignore[arg-type]


def following(
    client: Client, pictures: PictureSubscriber, count: int
) -> list[tuple[PictureMessage, Keypoints]]:
    """Return so many pictures, each with the keypoints message of the same frame."""
    known: dict[int, Keypoints] = {}
    shown: dict[int, PictureMessage] = {}
    found: dict[int, tuple[PictureMessage, Keypoints]] = {}
    while len(found) < count:
        keypoints = client.next(LONG_S)
        assert keypoints is not None
        known[keypoints.frame_id] = keypoints
        if (picture := pictures.next(0)) is not None:
            shown[picture.frame_id] = picture
        found |= {number: (shown[number], known[number]) for number in shown.keys() & known.keys()}
    return list(found.values())


def decoded(message: PictureMessage) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_UNCHANGED))


def test_a_picture_has_the_keypoints_that_were_published_of_its_frame(test_engine: str) -> None:
    with (
        Service(rig(test_engine)) as service,
        client_of(service) as client,
        PictureSubscriber(client.hello().pictures_address, ("frame", "crop")) as pictures,
    ):
        pairs = following(client, pictures, 30)
    assert {picture.shows for picture, _ in pairs} <= {"frame", "crop"}
    for picture, keypoints in pairs:
        assert picture.session == keypoints.session == service.session
        np.testing.assert_array_equal(picture.xy, keypoints.xy)
        np.testing.assert_array_equal(picture.score, keypoints.score)
        np.testing.assert_array_equal(picture.outside, keypoints.outside)
        assert picture.stamps == keypoints.stamps
        assert keypoints.published_ns <= picture.copied_ns <= picture.published_ns
        assert (picture.frame_width, picture.frame_height) == (96, 80)
        json.dumps(as_json(picture), allow_nan=False)


@pytest.mark.parametrize(
    ("name", "crop"),
    [
        ("mouse_face_2mp_video/mouse_face_1936x1216_gray_crf14.mp4", Crop(301, 203, 801, 607)),
        ("mouse_face_pupil_video/sample_video.mp4", None),
    ],
)
def test_a_picture_of_a_recording_shows_the_frame_that_it_names(
    test_engine: str, shared_data: Path, name: str, crop: Crop | None
) -> None:
    camera = VideoCameraSettings(kind="video", path=shared_data / name, rate_hz=20, loop=False)
    settings = (
        {} if crop is None else {"crop": {key: getattr(crop, key) for key in ("x", "y", "width", "height")}}
    )
    with (
        Service(rig(test_engine, camera, **settings)) as service,
        client_of(service) as client,
        PictureSubscriber(service.pictures_address, "frame" if crop is None else "crop") as pictures,
    ):
        pairs = following(client, pictures, 5)
        first = pairs[0][0].frame_id
    video = cv2.VideoCapture(str(shared_data / name))
    frames = [cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2GRAY) for _ in range(pairs[-1][0].frame_id + 1)]
    for picture, keypoints in pairs:
        area = picture.area
        assert crop is None or area == crop
        image = frames[picture.frame_id][area.y : area.y + area.height, area.x : area.x + area.width]
        found = decoded(picture)
        assert found.shape == image.shape
        differences = [
            np.abs(
                found.astype(int)
                - frames[number][area.y : area.y + area.height, area.x : area.x + area.width]
            ).mean()
            for number in range(max(0, picture.frame_id - 2), picture.frame_id + 1)
        ]
        assert differences[-1] == min(differences)
        assert differences[-1] < 2
        assert int(picture.histogram.sum()) == image.size
        assert picture.focus > 0
        np.testing.assert_array_equal(picture.xy, keypoints.xy)
    assert first >= 0


def test_a_crop_that_is_set_is_seen_in_the_picture_and_in_its_keypoints(test_engine: str) -> None:
    first, second = Crop(4, 6, 80, 70), Crop(10, 12, 64, 48, mirrored=True)
    crop = {"x": 4, "y": 6, "width": 80, "height": 70}
    with (
        Service(rig(test_engine, crop=crop)) as service,
        client_of(service) as client,
        PictureSubscriber(service.pictures_address, "crop") as pictures,
    ):
        before = pictures.next(LONG_S)
        assert before is not None
        assert before.crop == before.area == first
        client.set_crop(second)
        while (picture := pictures.next(LONG_S)) is not None and picture.crop == first:
            pass
        assert picture is not None
        assert picture.crop == second
        assert picture.area == Crop(10, 12, 64, 48)
        assert decoded(picture).shape == (48, 64)


def test_the_status_says_how_the_pictures_stand_and_a_death_stops_nothing_else(
    test_engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fatal(BaseException):
        pass

    def dies(*each: object) -> None:
        raise Fatal("gone")

    with (
        Service(rig(test_engine)) as service,
        client_of(service) as client,
        PictureSubscriber(service.pictures_address) as pictures,
    ):
        assert pictures.next(LONG_S) is not None
        status = client.status().pictures
        assert (status["running"], status["subscribers"], status["failed"], status["error"]) == (
            True,
            1,
            0,
            "",
        )
        wait_until(lambda: client.status().pictures["sent"] > 0)  # counted once it is on its way
        assert service._pictures is not None
        monkeypatch.setattr(service._pictures, "_show", dies)
        wait_until(lambda: not client.status().pictures["running"])
        assert client.status().pictures["error"] == "Fatal: gone"
        frames = client.status().frames
        wait_until(lambda: client.status().frames > frames + 20)
        assert client.status().state == "running"


def test_a_rig_publishes_no_pictures_unless_its_file_says_so(test_engine: str) -> None:
    with Service(rig(test_engine, publish={"pictures": None})) as service, client_of(service) as client:
        assert client.hello().pictures_address == ""
        assert client.status().pictures == {}


def test_pictures_beyond_this_machine_need_keys_and_take_those_of_the_service(
    test_engine: str, tmp_path: Path
) -> None:
    everywhere = {"address": "tcp://*:*"}
    with pytest.raises(AddressError, match=r"publish\.pictures\.address"):
        Service(rig(test_engine, publish={"pictures": everywhere}))
    (handed_over,) = make_keys(tmp_path / "keys", ["screen"])
    publish = {"keys": tmp_path / "keys", "pictures": everywhere}
    with Service(rig(test_engine, publish=publish)) as service:
        port = service.pictures_address.rpartition(":")[2]
        with (
            PictureSubscriber(f"tcp://127.0.0.1:{port}", keys=handed_over) as known,
            PictureSubscriber(f"tcp://127.0.0.1:{port}") as stranger,
        ):
            assert known.next(LONG_S) is not None
            assert stranger.next(0.1) is None


def test_an_address_in_use_is_named_and_nothing_stays_open(test_engine: str) -> None:
    with Service(rig(test_engine)) as service:
        taken = {"pictures": {"address": service.pictures_address}}
        with pytest.raises(AddressError, match=r"publish\.pictures\.address: .* in use"):
            Service(rig(test_engine, publish=taken)).open()


def test_features_come_to_who_asks_for_them_and_their_thresholds_stand_in_the_status(
    test_engine: str, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    loop = {"rules": tmp_path / "rules.yaml", "output": {"kind": "null"}}
    with Service(rig(test_engine, **loop)) as service, client_of(service) as client:
        found = [client.next_features(LONG_S) for _ in range(5)]
        thresholds = client.status().loop["thresholds"]
    assert thresholds == {"a": {"nose.x": [[1e9, True]], "nose.y": [[1e9, False]]}}
    assert all(each is not None for each in found)
    for each in found:
        assert each is not None
        assert each.names[:2] == ("nose.x", "nose.y")
        assert each.rules["a"]["when"] == "nose.x > 1e9"
        assert each.age_ns is not None and each.age_ns > 0  # noqa: PT018
        json.dumps(as_json(each), allow_nan=False)


def test_features_are_not_published_where_the_rig_wants_none(test_engine: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    settings = {"rules": tmp_path / "rules.yaml", "publish": {"features_hz": 0}}
    with Service(rig(test_engine, **settings)) as service, client_of(service) as client:
        client.features()
        wait_until(lambda: service._publisher.takes_features())
        assert client.next_features(0.2) is None
        with pytest.raises(ControlError):
            client.baseline("Ada")

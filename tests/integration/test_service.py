"""The whole service in this process: camera to client, commands, and what goes wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zmq

from rtface.client import Client
from rtface.config import (
    Faults,
    GenicamCameraSettings,
    PublishSettings,
    Rig,
    SimulatedCameraSettings,
    VideoCameraSettings,
)
from rtface.core.errors import AddressError, CameraLostError, ConfigError, ControlError, EngineError
from rtface.core.records import FACEMAP_KEYPOINTS, Crop
from rtface.core.status import PipelineState
from rtface.live.service import Service
from rtface.publish.keys import make_keys

LONG_S = 20.0
FREE = "tcp://127.0.0.1:*"
SMALL = SimulatedCameraSettings(width=96, height=80, rate_hz=100)


def rig(engine: str, camera: object = SMALL, **settings: object) -> Rig:
    publish = settings.pop("publish", PublishSettings(keypoints=FREE, control=FREE))
    return Rig.model_validate({"camera": camera, "engine": engine, "publish": publish, **settings})


def client_of(service: Service, **options: object) -> Client:
    return Client(service.keypoints_address, service.control_address, timeout_s=LONG_S, **options)  # type: ignore[arg-type]


def test_keypoints_reach_a_client_with_identity_and_ordered_stamps(test_engine: str) -> None:
    with Service(rig(test_engine)) as service, client_of(service) as client:
        hello = client.hello()
        received = [keypoints for _, keypoints in zip(range(20), client, strict=False)]
    assert tuple(point.name for point in hello.skeleton) == FACEMAP_KEYPOINTS
    assert (hello.width, hello.height, hello.crop) == (96, 80, None)
    assert hello.engine == test_engine
    for keypoints in received:
        stamps = keypoints.stamps
        assert keypoints.xy.shape == (15, 2)
        assert keypoints.session == service.session
        assert (
            stamps.exposure_ns
            <= stamps.arrival_ns
            <= stamps.taken_ns
            <= stamps.prepared_ns
            <= stamps.inferred_ns
            <= stamps.decided_ns
            <= keypoints.published_ns
            <= keypoints.received_ns
        )
        assert keypoints.age_ns == keypoints.received_ns - stamps.exposure_ns
    ids = np.array([keypoints.frame_id for keypoints in received])
    assert (np.diff(ids) > 0).all()


def test_every_frame_of_a_file_is_published_once_and_in_order(test_engine: str, face_video: Path) -> None:
    camera = VideoCameraSettings(kind="video", path=face_video, paced=False)
    service = Service(rig(test_engine, camera))
    with service:
        assert service.wait(LONG_S)
        status = service.pipeline.status()
    assert status.state is PipelineState.ENDED
    assert status.frames == 60
    assert status.losses.ring == 0


def test_losses_of_the_camera_are_attributed_to_transport(test_engine: str) -> None:
    camera = SimulatedCameraSettings(width=96, height=80, paced=False, frames=300, faults=Faults(lost=0.2))
    with Service(rig(test_engine, camera)) as service:
        assert service.wait(LONG_S)
        losses = service.pipeline.status().losses
        frames = service.pipeline.status().frames
    assert losses.transport > 20
    assert losses.ring == losses.camera == losses.publish == 0
    assert frames + losses.transport <= 300


def test_a_camera_that_disappears_ends_the_service_with_its_error(test_engine: str) -> None:
    camera = SimulatedCameraSettings(width=96, height=80, paced=False, faults=Faults(disconnect_after=10))
    with Service(rig(test_engine, camera)) as service:
        assert service.wait(LONG_S)
        status = service.pipeline.status()
        assert isinstance(service.pipeline.error, CameraLostError)
    assert status.state is PipelineState.FAILED
    assert status.error is not None
    assert "CameraLostError" in status.error


def test_stop_and_start_by_a_client(test_engine: str) -> None:
    with Service(rig(test_engine)) as service, client_of(service) as client:
        assert client.next(LONG_S) is not None
        assert client.stop()["state"] == "stopped"
        assert client.status().state == "stopped"
        frames = client.status().frames
        assert client.status().frames == frames
        assert client.start()["state"] == "running"
        first = client.next(LONG_S)
        while first is not None and first.seq < frames:
            first = client.next(LONG_S)
        assert first is not None


def test_set_crop_moves_the_keypoints_with_the_crop(test_engine: str) -> None:
    camera = SimulatedCameraSettings(width=200, height=160, rate_hz=100)
    with Service(rig(test_engine, camera)) as service, client_of(service) as client:
        answer = client.set_crop(Crop(40, 30, 64, 48))
        assert answer["crop"] == {"x": 40, "y": 30, "width": 64, "height": 48}
        assert client.hello().crop == Crop(40, 30, 64, 48)
        with pytest.raises(ControlError, match="beyond") as refused:
            client.set_crop(Crop(180, 0, 64, 48))
        assert refused.value.code == "usage_error"
        assert client.hello().crop == Crop(40, 30, 64, 48)
        assert client.set_crop(None)["crop"]["width"] == 200
        assert client.hello().crop is None


def test_garbage_on_the_control_socket_does_not_disturb_the_keypoints(test_engine: str) -> None:
    with Service(rig(test_engine)) as service, client_of(service) as client:
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.linger = round(LONG_S * 1e3)
            socket.connect(service.control_address)
            for garbage in (b"", b"\xc1", b"x" * 200_000, b"\x81\xa1v\x01"):
                socket.send(garbage)
        before = client.status().frames
        while client.status().frames <= before:
            assert client.next(LONG_S) is not None


def test_a_subscriber_that_never_reads_does_not_hold_the_loop(test_engine: str) -> None:
    camera = SimulatedCameraSettings(width=96, height=80, paced=False)
    publish = PublishSettings(keypoints=FREE, control=FREE, queue=100)
    with Service(rig(test_engine, camera, publish=publish)) as service, client_of(service) as client:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.linger, socket.rcvhwm = 0, 1
            socket.subscribe(b"keypoints")
            socket.connect(service.keypoints_address)
            while client.status().subscribers < 2:
                assert client.next(LONG_S) is not None
            joined_at = client.status().frames
            while client.status().frames < joined_at + 1000:
                assert client.next(LONG_S) is not None
            assert client.status().subscribers == 2
        assert service.pipeline.status().error is None


def test_a_port_in_use_is_named_and_leaves_nothing_open(test_engine: str) -> None:
    with Service(rig(test_engine)) as service:
        taken = PublishSettings(keypoints=service.keypoints_address, control=FREE)
        with pytest.raises(AddressError, match=r"publish\.keypoints.*in use"):
            Service(rig(test_engine, publish=taken)).open()
        taken = PublishSettings(keypoints=FREE, control=service.control_address)
        with pytest.raises(AddressError, match=r"publish\.control.*in use"):
            Service(rig(test_engine, publish=taken)).open()


def test_an_address_beyond_loopback_needs_keys(test_engine: str, tmp_path: Path) -> None:
    beyond = PublishSettings(keypoints="tcp://0.0.0.0:*", control=FREE)
    with pytest.raises(AddressError, match="rtface keys new"):
        Service(rig(test_engine, publish=beyond))


def test_a_client_with_keys_is_served_and_one_without_is_not(test_engine: str, tmp_path: Path) -> None:
    (handed_over,) = make_keys(tmp_path / "keys", ["rig"])
    publish = PublishSettings(keypoints=FREE, control=FREE, keys=tmp_path / "keys")
    with Service(rig(test_engine, publish=publish)) as service:
        with client_of(service, keys=handed_over) as client:
            assert client.hello().session == service.session
            assert client.next(LONG_S) is not None
        with (
            Client(service.keypoints_address, service.control_address, timeout_s=0.5) as stranger,
            pytest.raises(AddressError),
        ):
            stranger.hello()


def test_a_camera_that_falls_silent_is_lost(test_engine: str) -> None:
    camera = SimulatedCameraSettings(
        width=96, height=80, rate_hz=100, faults=Faults(late=1.0, late_ms=3_600_000)
    )
    with Service(rig(test_engine, camera, silence_s=0.2)) as service:
        assert service.wait(LONG_S)
        assert isinstance(service.pipeline.error, CameraLostError)
        assert "silence_s" in str(service.pipeline.error)


def test_a_crop_beyond_the_real_frame_is_an_error_of_the_configuration(
    test_engine: str, face_video: Path
) -> None:
    camera = VideoCameraSettings(kind="video", path=face_video)
    beyond = {"x": 100, "y": 0, "width": 64, "height": 64}
    with pytest.raises(ConfigError, match="beyond"):
        Service(rig(test_engine, camera, crop=beyond)).open()


def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(EngineError, match="no engine is named 'nowhere'"):
        Service(rig("nowhere"))


def test_genicam_at_100_frames_per_second_reaches_a_client_and_every_loss_is_counted(
    test_engine: str,
) -> None:
    camera = GenicamCameraSettings(
        kind="genicam", producer=Path("viky"), serial="0", width=128, height=100, rate_hz=100
    )
    with Service(rig(test_engine, camera)) as service, client_of(service) as client:
        client.hello()
        received = [keypoints for _, keypoints in zip(range(100), client, strict=False)]
    assert [keypoints.missed for keypoints in received[1:]] == [0] * 99
    ids = [keypoints.frame_id for keypoints in received]
    lost = [keypoints.lost.transport + keypoints.lost.ring for keypoints in received]
    # A message counts what was displaced until it was sent, which is after its own frame.
    assert lost[-2] - lost[0] <= ids[-1] - ids[0] - 99 <= lost[-1]
    assert all(keypoints.age_ns is not None and keypoints.age_ns >= 0 for keypoints in received)

"""A rig with bridges: opened with it, admitted where it has keys, said in hello and status, ended with it in any case."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
import zmq
from support.publishing import received, zmq_context
from support.waits import LONG_S, wait_until

from rtface.client import Client
from rtface.config import Rig, SimulatedCameraSettings
from rtface.core.errors import AddressError, UsageError
from rtface.live.service import Service
from rtface.publish.as_json import as_json, status_as_json
from rtface.publish.keys import load_client_keys, make_keys
from rtface.publish.status import parse_status
from rtface.publish.wire import Fields

FREE = "tcp://127.0.0.1:*"
SMALL = SimulatedCameraSettings(width=96, height=80, rate_hz=100)
BOTH = ({"kind": "json", "address": FREE}, {"kind": "osc", "address": FREE})


def rig(engine: str, *bridges: dict[str, Any], **publish: Any) -> Rig:
    publish = {"keypoints": FREE, "control": FREE, "bridges": bridges} | publish
    return Rig.model_validate({"camera": SMALL, "engine": engine, "publish": publish})


def test_hello_and_status_say_where_bridges_are_and_how_they_stand(test_engine: str) -> None:
    with (
        Service(rig(test_engine, *BOTH)) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        found = client.hello()
        assert dict(found.bridges) == dict(service.bridge_addresses)
        assert set(found.bridges) == {"json", "osc"}
        status = client.status()
        assert [each["kind"] for each in status.bridges] == ["json", "osc"]
        assert all(each["running"] and not each["error"] for each in status.bridges)
        assert parse_status(Fields(status.as_map())) == status
        assert status_as_json(status)["bridges"] == [dict(each) for each in status.bridges]
        wait_until(lambda: client.next(LONG_S) is not None and client.latest_status is not None)
        assert client.latest_status is not None
        assert len(as_json(client.latest_status)["bridges"]) == 2


def test_a_rig_without_bridges_says_nothing_of_them(test_engine: str) -> None:
    with (
        Service(rig(test_engine)) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        assert client.hello().bridges == {}
        assert "bridges" not in service.status()
        assert status_as_json(client.status())["bridges"] == []


def test_a_rig_with_keys_admits_its_bridges_and_its_bridges_admit_who_has_one(
    test_engine: str, tmp_path: Path
) -> None:
    (handed_over,) = make_keys(tmp_path / "keys", ["matlab"])
    settings = rig(test_engine, *BOTH, keys=tmp_path / "keys")
    with (
        zmq_context() as context,
        Service(settings) as service,
        context.socket(zmq.SUB) as stranger,
        context.socket(zmq.SUB) as known,
    ):
        load_client_keys(handed_over).protect(known)
        for reader in (stranger, known):
            reader.subscribe(b"json.1.keypoints")
            reader.connect(service.bridge_addresses["json"])
        topic, body = received(known)
        assert not stranger.poll(100)
    assert topic == b"json.1.keypoints"
    assert json.loads(body)["session"] == service.session


def test_an_address_that_is_taken_ends_the_start_with_the_reason(test_engine: str) -> None:
    with zmq_context() as context, context.socket(zmq.PUB) as other:
        taken = f"tcp://127.0.0.1:{other.bind_to_random_port('tcp://127.0.0.1')}"
        service = Service(rig(test_engine, {"kind": "json", "address": taken}))
        with pytest.raises(AddressError, match=r"publish\.bridges \(json\): .* it is in use"):
            service.open()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            "raise ModuleNotFoundError('no pylsl', name='pylsl')",
            r"pylsl is not installed: pip install '\.\[lsl\]'",
        ),
        ("raise RuntimeError('LSL binary library file was not found.')", "liblsl, cannot be loaded"),
    ],
)
def test_a_missing_lsl_ends_the_start_with_the_reason(
    test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, said: str
) -> None:
    (tmp_path / "pylsl.py").write_text(module + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=rf"publish\.bridges \(lsl\): .*{said}"):
        Service(rig(test_engine, {"kind": "lsl"})).open()


def test_the_loop_does_not_notice_bridges_that_hang_or_die(
    test_engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        Service(rig(test_engine, *BOTH)) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        hanging, dying = (each._process for each in service._bridges._processes)
        assert hanging is not None
        assert dying is not None
        hanging.send_signal(signal.SIGSTOP)
        dying.kill()
        frames = [found.frame_id for _, found in zip(range(300), client, strict=False)]
        assert frames == sorted(set(frames))
        assert service.pipeline.error is None
        assert service.pipeline.status().losses.publish == 0


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_bridges_end_with_a_service_however_that_ends(
    test_engine: str, tmp_path: Path, end: signal.Signals
) -> None:
    path = tmp_path / "rig.yaml"
    publish = {"keypoints": FREE, "control": FREE, "bridges": list(BOTH)}
    camera = {"kind": "simulated", "width": 96, "height": 80, "rate_hz": 50}
    path.write_text(yaml.safe_dump({"camera": camera, "engine": test_engine, "publish": publish}), "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "rtface", "run", str(path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"RTFACE_ENGINES": os.environ["RTFACE_ENGINES"]},
    )
    try:
        assert process.stdout is not None
        assert b'"bridges"' in process.stdout.readline()
        children = [
            each
            for each in psutil.Process(process.pid).children()
            if "rtface.publish.bridges.child" in each.cmdline()
        ]
        assert len(children) == 2
        process.send_signal(end)
        process.wait(LONG_S)
        wait_until(lambda: not any(each.is_running() for each in children))
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    assert process.returncode == (-end if end == signal.SIGKILL else 0)

"""Makes what lies beside this file, with rtface of commit 01fc540 and no other; see README.md.

cd CHECKOUT && PYTHONPATH=CHECKOUT:CHECKOUT/tests python FIXTURES/make.py
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ENGINES = HERE / "engines"
RIGS = HERE / "rigs"
WORK = Path(os.environ.get("RTFACE_MAKE_IN", "/tmp/made_at_01fc540"))
LONG_S = 30.0


def main() -> None:
    for name in ("engines", "encoders", "sessions", "keypoints", "wire"):
        shutil.rmtree(HERE / name, ignore_errors=True)
        (HERE / name).mkdir()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    os.environ["RTFACE_ENGINES"] = str(WORK / "engines")
    os.environ["COLUMNS"] = "300"
    make_engine()
    make_encoder()
    make_keypoints()
    raw = make_sessions()
    make_wire(raw)
    make_surface()
    write("expected.json", expectations())


def write(name: str, values: Any) -> None:
    (HERE / name).write_text(
        json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )


def rtface(*arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rtface", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def make_engine() -> None:
    """An engine as `rtface engines import` makes it, of Facemap's network with narrow layers; and its parity."""
    import torch

    from rtface.networks.facemap import FacemapNetwork

    torch.manual_seed(0)
    weights = WORK / "old-face.pt"
    torch.save(FacemapNetwork([2, 2, 2, 2, 2], 15).state_dict(), weights)
    rtface("engines", "import", weights)
    for rig in ("plain", "blinded"):
        rtface("engines", "verify", "--rig", RIGS / f"{rig}.yaml", "--count", 60)
    shutil.copytree(WORK / "engines", ENGINES, dirs_exist_ok=True)
    own = sha256((ENGINES / "old-face" / "manifest.json").read_bytes()).hexdigest()
    for folder in (ENGINES / "_parity").iterdir():
        if folder.name != own:
            shutil.rmtree(folder)  # that of the shipped engine, which is not part of the fixture


def make_encoder() -> None:
    """An encoder's folder and a state model, of random numbers, by what writes all of them."""
    from encoders import CAUSAL, made_encoder, made_states

    made_encoder(
        HERE / "encoders" / "old-encoder",
        {**CAUSAL, "fast_taps": 5, "slow_taps": 6, "hidden": 4, "linear_bumps": 2},
        frame_rate_hz=20.0,
        states=made_states(),
        centre=(40.0, 20.0),
    )
    (HERE / "encoders" / "old-encoder-states.npz").unlink()
    made_states(states=2).save(HERE / "encoders" / "old-encoder-states.npz")


def make_keypoints() -> None:
    """A second of the simulated mouse, and its keypoints in each format."""
    import av
    import numpy as np

    from rtface.simulate.face import MouseFace

    width, height, count = 96, 80, 12
    face, frame = MouseFace(width, height, 40.0, 0), np.zeros((height, width), np.uint8)
    path = HERE / "keypoints" / "face.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=40)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(count):
            face.render(index, frame)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    for name in ("face.rtface.h5", "face.csv", "face.h5", "face_FacemapPose.h5"):
        out = HERE / "keypoints" / name
        rtface("track", path, "--engine", "old-face", "--backend", "openvino", "--threads", 1, "--out", out)


class Raw:
    """Bytes as they came from a running service."""

    def __init__(self, service: Any) -> None:
        import zmq

        self._context: Any = zmq.Context()
        self._topics, self._control = self._context.socket(zmq.SUB), self._context.socket(zmq.DEALER)
        self._topics.setsockopt(zmq.SUBSCRIBE, b"")
        self._topics.connect(service.keypoints_address)
        self._control.connect(service.control_address)
        self.bodies: dict[str, bytes] = {}

    def ask(self, op: str, args: dict[str, Any]) -> None:
        import msgpack

        request = msgpack.packb({"v": 1, "id": len(self.bodies), "op": op, "args": args})
        self._control.send(request)
        assert self._control.poll(round(1000 * LONG_S))
        self.bodies[f"request_{op}"], self.bodies[f"reply_{op}"] = request, self._control.recv()

    def listen(self) -> None:
        """Keep the newest of each topic, and the first of each kind of event, of what has come."""
        import msgpack
        import zmq

        while self._topics.poll(0):
            topic, body = self._topics.recv_multipart(zmq.NOBLOCK)
            name = topic.decode()
            if name == "events":
                values = msgpack.unpackb(body)
                action = values["details"].get("action", values["details"].get("event", ""))
                self.bodies.setdefault(f"events_{values['kind']}_{action}".rstrip("_"), body)
            elif name == "neural" and msgpack.unpackb(body)["neurons"] is not None:
                self.bodies["neural_with_neurons"] = body
            else:
                self.bodies[name] = body

    def close(self) -> None:
        self._context.destroy(0)


def make_sessions() -> Raw:
    """Two sessions, as rig software makes them; the second one's messages are kept."""
    plain, told = run_session("plain", 5)
    (RIGS / "pulses.log").unlink()  # what the log output wrote: nothing of rtface reads it
    blinded, raw = run_session("blinded", 3)
    for folder, name in ((plain, "plain"), (blinded, "blinded")):
        folder.rename(HERE / "sessions" / name)
    raw.bodies |= {name: body for name, body in told.bodies.items() if name.startswith("events")}
    return raw


def run_session(name: str, trials: int) -> tuple[Path, Raw]:
    from rtface.errors import ControlError
    from rtface.rigfile import load_rig
    from rtface.service import Service

    from rtface.client import Client

    with (
        Service(load_rig(RIGS / f"{name}.yaml")) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        raw = Raw(service)
        client.hello()

        def arm() -> None:
            for _ in range(100):
                try:
                    client.arm("make.py")
                    return
                except ControlError as error:
                    if "frames:" not in str(error) and "too few frames" not in str(error):
                        raise
                    client.next(LONG_S)
            raise AssertionError("not armed")

        def follow(count: int) -> None:
            seen = 0
            while seen < count:
                event = client.next_event(LONG_S)
                assert event is not None
                raw.listen()
                seen += event.kind == "decision" and event.details["action"] in ("fire", "sham", "trial")

        if name == "blinded":
            while not any(message.warm for message in client.neural()):
                assert client.next(LONG_S) is not None
        arm()
        client.mark("make.py", "baseline", {"animal": "none", "trial": 1})
        follow(trials)
        if name == "plain":
            client.emergency_stop("make.py")
            while client.status().loop["state"] != "stopped":
                assert client.next(LONG_S) is not None
            client.clear("make.py")
            arm()
            follow(2)
        else:
            raw.ask("hello", {})
            raw.ask("ping", {"nonce": 7})
            raw.ask("status", {})
            raw.ask("self_test", {})
            raw.ask("mark", {"who": "make.py", "text": "über", "details": {"n": 1}})
            raw.ask("set_crop", {"x": 0, "y": 0, "width": 8, "height": 8})
            follow(1)
            while "status" not in raw.bodies or "neural_with_neurons" not in raw.bodies:
                assert client.next(LONG_S) is not None
                raw.listen()
        client.mark("make.py", "the end")
        client.disarm("make.py", "enough")
        folder = Path(client.status().loop["session"])
        raw.listen()
        raw.close()
    return folder, raw


def plain(value: Any) -> Any:
    """Return a decoded message as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value


def make_wire(raw: Raw) -> None:
    """Bytes of each message, from the service and made up, with what they mean."""
    import msgpack
    import numpy as np
    from rtface.latency import StageSummary
    from rtface.publish.fields import unpack
    from rtface.records import Crop, FrameMeta, Keypoint, Losses, Pose, Stamps

    from rtface.publish import commands, events, neural, wire

    bodies, packer = dict(raw.bodies), msgpack.Packer()
    one = wire.Encoder("0123456789abcdef")
    pose = Pose(
        FrameMeta(2**40 + 1, 1_000_000_000, 1_000_100_000, 77),
        Stamps(1_000_000_000, 1_000_100_000, 1_000_200_000, 1_000_300_000, 1_000_400_000, 1_000_500_000),
        np.array([[1.5, 2.25], [np.nan, np.nan], [-3, 1e6]], np.float32),
        np.array([0.1, 0, 1], np.float32),
        np.array([False, False, True]),
    )
    losses = Losses(1, 2, 3, 4)
    bodies["keypoints_made_up"] = one.keypoints(5, pose, losses, 1_000_600_000)
    status = wire.ServiceStatus(
        "failed", 199.5, 1000, losses, {"end_to_end": StageSummary(9, 1.0, 2.0, 3.0, 4.0, 5.0, 6)},
        "engine", "backend", {"kind": "simulated", "settings": {"gain": 1.5}}, 2, "the camera is lost", {},
    )  # fmt: skip
    bodies["status_made_up"] = one.status(6, status, 1_000_700_000)
    bodies["events_fault_made_up"] = events.encode_event(
        packer, "0123456789abcdef", 7, 1_000_800_000, "fault", {"reason": "camera_lost", "text": "gone"}
    )
    bodies["neural_made_up"] = neural.encode_neural(
        packer,
        neural.NeuralMessage(
            None, 1_000_000_000, "enc", "ab" * 32, False, "neurons", np.array([0.5], np.float32),
            np.array([0.25], np.float32), None, None, 1, np.array([0.25, 0.75], np.float32), 5, -6, False, 1.5,
            0.5, "0123456789abcdef", 8, 1_000_900_000,
        ),
    )  # fmt: skip
    hello = commands.Hello(
        "0123456789abcdef", (Keypoint("nose(tip)"), Keypoint("paw", False)), 640, 480, Crop(1, 2, 30, 40),
        "engine", "cd" * 32, "made up", "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", {"kind": "simulated"},
    )  # fmt: skip
    bodies["reply_hello_made_up"] = commands.encode_result(3, hello.as_map())
    bodies["reply_refusal_made_up"] = commands.encode_refusal(None, "wire_error", "v is missing")
    bodies["request_arm_made_up"] = commands.encode_request(commands.Request(4, "arm", {"who": "me"}))
    expected = {}
    for name, body in sorted(bodies.items()):
        (HERE / "wire" / f"{name}.bin").write_bytes(body)
        kind = name.split("_")[0]
        if kind == "keypoints":
            found: Any = wire.decode_keypoints(body)
        elif kind == "status":
            found = wire.decode_status(body)
        elif kind == "events":
            found = events.decode_event(body)
        elif kind == "neural":
            found = neural.decode_neural(body)
        elif kind == "request":
            found = commands.parse_request(unpack(body))
        else:
            number, result = commands.decode_reply(body)
            error = isinstance(result, Exception)
            found = {"id": number, "result": {"code": result.code, "text": str(result)} if error else result}
            if name.startswith("reply_hello"):
                found["hello"] = commands.parse_hello(result)
            if name == "reply_status":
                found["status"] = wire.parse_status(wire.Fields(result))
        expected[name] = plain(found)
    write("wire/expected.json", expected)


def make_surface() -> None:
    """All that users can name: commands and options, settings of a rig, names in Python."""
    import typer

    from rtface import Client, __all__, __file__
    from rtface.cli.app import app

    commands: dict[str, Any] = {}

    def walk(command: Any, path: str) -> None:
        commands[path] = {
            "options": sorted(
                name for each in command.params if each.param_type_name == "option"
                for name in (*each.opts, *each.secondary_opts)
            ),
            "arguments": [each.name for each in command.params if each.param_type_name == "argument"],
        }  # fmt: skip
        for name, below in sorted(getattr(command, "commands", {}).items()):
            walk(below, f"{path} {name}".strip())

    walk(typer.main.get_command(app), "")
    client = {
        name: list(inspect.signature(each).parameters) if callable(each) else None
        for name, each in sorted(vars(Client).items())
        if not name.startswith("_") or name in ("__init__", "__enter__", "__exit__", "__iter__")
    }
    firmware = {
        path.name: sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(__file__).parent.rglob("gate-*.hex"))
    }
    write(
        "surface.json",
        {"names": sorted(__all__), "client": client, "firmware": firmware, "commands": commands},
    )
    write("rig_schema.json", without_words(json.loads(rtface("config", "schema"))))


def without_words(schema: Any) -> Any:
    """Return a JSON schema less its descriptions and titles: they may change."""
    if isinstance(schema, list):
        return [without_words(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: without_words(each)
        for name, each in schema.items()
        if not (name in ("description", "title") and isinstance(each, str))
    }


def expectations() -> dict[str, Any]:
    """What the old command line says of the old files."""
    sessions = {}
    for name in ("plain", "blinded"):
        folder, out = HERE / "sessions" / name, WORK / f"export-{name}"
        rtface("session", "export", folder, "--out", out, "--unblind")
        shown, told = (
            json.loads(rtface("session", "show", folder, "--json", "--decisions", *more))
            for more in ((), ("--unblind",))
        )
        replayed = json.loads(rtface("replay", folder, "--json"))["rules"]
        sessions[name] = {
            "show": shown | {"decisions_listed": len(shown["decisions_listed"])},
            "unblinded": {each: told[each] for each in ("decisions", "blinded", "pulses")},
            "first_decision": told["decisions_listed"][0],
            "verify": json.loads(rtface("session", "verify", folder, "--json")),
            "replay": {
                each: replayed[each] for each in ("frames", "calls", "values", "recorded", "identical")
            },
            "export": {
                path.name: len(path.read_text(encoding="utf-8").splitlines())
                for path in sorted(out.glob("*.csv"))
            },
            "features": (out / "features.csv").read_text(encoding="utf-8").splitlines()[0].split(","),
        }
    network = json.loads(rtface("replay", HERE / "sessions" / "plain", "--network", "--json"))["network"]
    rigs = {}
    import yaml

    for path in sorted(RIGS.glob("*.yaml")):
        if not path.stem.endswith("_rules"):
            said = yaml.safe_load(rtface("config", "show", path))
            rigs[path.name] = json.loads(json.dumps(said).replace(str(HERE), "HERE"))
    poses = HERE / "keypoints" / "face.rtface.h5"
    dry = json.loads(rtface("rules", "dry-run", RIGS / "plain_rules.yaml", poses, "--json"))
    session = HERE / "sessions" / "plain"
    dry_session = json.loads(rtface("rules", "dry-run", RIGS / "plain_rules.yaml", session, "--json"))
    return {
        "sessions": sessions,
        "network": network,
        "rigs": rigs,
        "dry_run": {"keypoints": dry, "session": dry_session},
        "controls": json.loads(
            rtface("rules", "check", RIGS / "controls_rules.yaml", "--engine", "old-face", "--json")
        ),
        "engine": json.loads(rtface("engines", "show", "old-face")),
        "engine_sha256": json.loads(rtface("engines", "verify", "old-face", "--json"))["sha256"],
        "encoder": json.loads(rtface("encoder", "show", HERE / "encoders" / "old-encoder", "--json")),
    }


if __name__ == "__main__":
    main()

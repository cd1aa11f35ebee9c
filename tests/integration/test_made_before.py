"""What rtface of commit 01fc540 made and promised still works: sessions, engines, rigs, keypoint files, messages, commands.

The files are in tests/data/made_at_01fc540, whose README.md says how they came about. What is expected of them is what
rtface of that commit said of them. More may be there than then: settings, commands, keys.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np
import pandas as pd
import pytest
import typer
import yaml
import zmq
from typer.testing import CliRunner

import rtface

# Inner names of rtface stand here and nowhere else: what moves is mended in this block.
from rtface.cli.app import app
from rtface.core.errors import RtfaceError
from rtface.core.records import FrameMeta, Pose
from rtface.publish.commands import (
    Request,
    decode_reply,
    encode_refusal,
    encode_request,
    encode_result,
    parse_hello,
    parse_request,
)
from rtface.publish.events import decode_event, encode_event
from rtface.publish.keypoints import decode_keypoints, encode_keypoints
from rtface.publish.neural import decode_neural, encode_neural
from rtface.publish.status import decode_status, encode_status, parse_status
from rtface.publish.wire import Fields, unpack
from rtface.record.formats import read as read_keypoints

MADE = Path(__file__).resolve().parents[1] / "data" / "made_at_01fc540"
EXPECTED: dict[str, Any] = json.loads((MADE / "expected.json").read_text(encoding="utf-8"))
SURFACE: dict[str, Any] = json.loads((MADE / "surface.json").read_text(encoding="utf-8"))
WIRE: dict[str, Any] = json.loads((MADE / "wire" / "expected.json").read_text(encoding="utf-8"))
SESSIONS = tuple(EXPECTED["sessions"])
LONG_S = 20.0


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all that was made, so that nothing is written beside the originals."""
    return shutil.copytree(MADE, tmp_path_factory.mktemp("before") / "made")


@pytest.fixture
def made(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy, whose engines are the user's own."""
    monkeypatch.setenv("RTFACE_ENGINES", str(copied / "engines"))
    return copied


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(made: Path) -> Run:
    """Run a command in this process; return its exit code and what it printed."""

    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(each) for each in arguments])
        if isinstance(result.exception, RtfaceError):
            return result.exception.exit_code, str(result.exception)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout

    return call


@pytest.fixture
def told(run: Run) -> Callable[..., Any]:
    """Run a command that must succeed and prints JSON; return what it said."""

    def call(*arguments: object) -> Any:
        code, text = run(*arguments)
        assert code == 0, text
        return json.loads(text)

    return call


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "rtface", *map(str, arguments)],
        env=os.environ | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def differences(was: Any, now: Any, at: str = "") -> Iterator[str]:
    """Yield where `now` lacks what `was` has, or says otherwise; keys that came since are none of its business."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name, value in was.items():
            if name not in now:
                yield f"{at}.{name} is gone"
            else:
                yield from differences(value, now[name], f"{at}.{name}")
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for place, (before, after) in enumerate(zip(was, now, strict=True)):
            yield from differences(before, after, f"{at}[{place}]")
    elif was != now and not (_is_nan(was) and _is_nan(now)):
        yield f"{at} was {was!r} and is {now!r}"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def same(was: Any, now: Any) -> None:
    found = list(differences(was, now))
    assert not found, "\n".join(found)


# Sessions


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_is_shown_with_the_same_counts(name: str, made: Path, told: Callable[..., Any]) -> None:
    """Decisions, pulses, marks, who armed, losses and latencies are those that were told then."""
    was = dict(EXPECTED["sessions"][name]["show"])
    listed, facts = was.pop("decisions_listed"), was.pop("facts")
    now = told("session", "show", made / "sessions" / name, "--json", "--decisions")
    assert len(now.pop("decisions_listed")) == listed
    assert facts.keys() <= now["facts"].keys()
    same(was, now)


@pytest.mark.parametrize("name", SESSIONS)
def test_a_blinded_session_tells_light_from_sham_when_it_is_asked_to(
    name: str, made: Path, told: Callable[..., Any]
) -> None:
    """Blinded trials are `trial` until `--unblind`, and then what they were."""
    was = EXPECTED["sessions"][name]
    now = told("session", "show", made / "sessions" / name, "--json", "--decisions", "--unblind")
    same(was["unblinded"], now)
    same(was["first_decision"], now["decisions_listed"][0])
    if name == "blinded":
        actions = {each["action"] for each in was["show"]["decisions"]}
        assert "trial" in actions
        assert not actions & {"fire", "sham"}
        assert {"fire", "sham"} <= {each["action"] for each in now["decisions"]}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_is_still_whole(name: str, made: Path, told: Callable[..., Any]) -> None:
    """Every check of then is made, passes, and the chain ends in the fingerprint of then."""
    was = EXPECTED["sessions"][name]["verify"]
    now = told("session", "verify", made / "sessions" / name, "--json")
    assert now["whole"]
    assert now["fingerprint"] == was["fingerprint"]
    verdicts = {each["check"]: each["verdict"] for each in now["findings"]}
    same({each["check"]: each["verdict"] for each in was["findings"]}, verdicts)


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_is_exported_in_full(name: str, made: Path, run: Run, tmp_path: Path) -> None:
    """The tables have the rows and columns of then, and there is a pose a frame."""
    was = EXPECTED["sessions"][name]
    code, text = run("session", "export", made / "sessions" / name, "--out", tmp_path, "--unblind")
    assert code == 0, text
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in tmp_path.glob("*.csv")}
    same(was["export"], lines)
    with (tmp_path / "features.csv").open(encoding="utf-8") as file:
        assert file.readline().strip().split(",") == was["features"]
    with h5py.File(tmp_path / "poses.rtface.h5") as file:
        assert len(file["xy"]) == was["show"]["poses"]


def test_what_is_exported_of_a_blinded_session_does_not_unblind_it(
    made: Path, run: Run, tmp_path: Path
) -> None:
    """No table of pulses, and no decision to fire."""
    code, text = run("session", "export", made / "sessions" / "blinded", "--out", tmp_path)
    assert code == 0, text
    assert not (tmp_path / "pulses.csv").exists()
    actions = set(pd.read_csv(tmp_path / "decisions.csv")["action"])
    assert "trial" in actions
    assert not actions & {"fire", "sham"}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_is_replayed_bit_for_bit(name: str, made: Path, told: Callable[..., Any]) -> None:
    """Features and rules of today make of the recorded poses the values and decisions of then."""
    now = told("replay", made / "sessions" / name, "--json")["rules"]
    assert now["identical"]
    same(EXPECTED["sessions"][name]["replay"], now)


def test_the_network_runs_again_on_recorded_frames(made: Path, run: Run) -> None:
    """Each frame of the video is the one that was recorded; the engine of then finds the same keypoints in it.

    Not to the last bit: this may be another computer.
    """
    code, text = run("replay", made / "sessions" / "plain", "--network", "--json")
    assert code in (0, 1), text
    was, now = EXPECTED["network"], json.loads(text)["network"]
    assert now["frames"] == was["frames"]
    assert (now["altered"], now["without_pose"], now["without_frame"]) == (0, 0, 0)
    assert now["shift_px"][0] < 0.01


def test_the_sessions_of_a_folder_are_listed(made: Path, told: Callable[..., Any]) -> None:
    """Those of then are among them, closed and of the right length."""
    now = {each["folder"]: each for each in told("session", "list", made / "sessions", "--json")["items"]}
    for name in SESSIONS:
        was = EXPECTED["sessions"][name]["show"]
        same({each: was[each] for each in ("session", "state", "seconds", "poses")}, now[name])


# Engines and encoders


def test_an_engine_of_the_user_s_is_shown(made: Path, told: Callable[..., Any]) -> None:
    """Its manifest and its files agree, and the manifest says what it said."""
    same(EXPECTED["engine"], told("engines", "show", "old-face"))
    same(EXPECTED["engine"], told("engines", "show", made / "engines" / "old-face"))


def test_an_engine_of_the_user_s_runs(told: Callable[..., Any]) -> None:
    """The live network agrees with the manifest, and the engine is the same one by its hash."""
    now = told("engines", "verify", "old-face", "--backend", "openvino", "--json")
    assert now["sha256"] == EXPECTED["engine_sha256"]


def test_the_parity_that_was_proven_is_still_known(made: Path) -> None:
    """The list of engines says what the engine was verified on, from the record that was stored then."""
    done = process("engines", "list")
    assert done.returncode == 0, done.stderr
    (line,) = (each for each in done.stdout.splitlines() if each.startswith("old-face "))
    assert "openvino f32" in line


def test_an_engine_finds_the_keypoints_that_it_found(made: Path, run: Run, tmp_path: Path) -> None:
    """The same video by the same engine gives the file of then, to a hundredth of a pixel."""
    out = tmp_path / "again.csv"
    code, text = run(
        "track", made / "keypoints" / "face.mp4", "--engine", "old-face", "--backend", "openvino", "--out", out
    )  # fmt: skip
    assert code == 0, text
    was, now = (
        pd.read_csv(path, header=[0, 1, 2], index_col=0) for path in (made / "keypoints" / "face.csv", out)
    )
    assert list(was.columns) == list(now.columns)
    assert was.shape == now.shape == (12, 45)
    off = np.abs(was.to_numpy() - now.to_numpy())
    assert np.median(off) < 0.01
    assert np.mean(off < 0.01) > 0.95


def test_an_encoder_is_shown(made: Path, told: Callable[..., Any]) -> None:
    """Its manifest and its files agree, and the manifest says what it said."""
    same(EXPECTED["encoder"], told("encoder", "show", made / "encoders" / "old-encoder", "--json"))


# Rigs and rules


@pytest.mark.parametrize("name", EXPECTED["rigs"])
def test_a_rig_s_file_means_what_it_meant(name: str, made: Path, run: Run) -> None:
    """Every kind of camera and output: each setting has the value of then, and each default, too."""
    code, text = run("config", "show", made / "rigs" / name)
    assert code == 0, text
    here = json.loads(json.dumps(yaml.safe_load(text)).replace(str(made), "HERE"))
    same(EXPECTED["rigs"][name], here)


@pytest.mark.parametrize(
    ("name", "answered"),
    [
        ("plain", {"configuration", "camera", "engine", "parity", "rules", "output", "ports"}),
        ("own_encoder", {"configuration", "camera", "engine", "parity", "encoder", "ports"}),
        ("genicam", {"configuration", "camera", "engine", "parity", "ports"}),
    ],
)
def test_a_rig_that_names_its_camera_is_ready(
    name: str, answered: set[str], made: Path, told: Callable[..., Any]
) -> None:
    """Camera, engine, encoder, rules and output open and fit; there may be warnings, but nothing fails."""
    findings = {
        each["what"]: each for each in told("check", made / "rigs" / f"{name}.yaml", "--json")["items"]
    }
    assert answered <= findings.keys()
    assert "fail" not in {each["verdict"] for each in findings.values()}
    assert findings["configuration"]["verdict"] == "ok"
    assert "old-face" in findings["engine"]["text"]


def test_the_stored_parity_is_what_a_rig_is_held_against(made: Path, told: Callable[..., Any]) -> None:
    """Where it was made it holds; elsewhere the check says when it was made, and what is different here."""
    (path,) = (made / "engines" / "_parity").glob("*/*.json")
    date = json.loads(path.read_text(encoding="utf-8"))["date"]
    findings = {each["what"]: each for each in told("check", made / "rigs" / "plain.yaml", "--json")["items"]}
    assert date[:10] in findings["parity"]["text"]


def test_a_rig_is_run_and_its_new_session_lies_beside_the_old_ones(made: Path) -> None:
    """A service of today on the file of then tracks, records, and leaves a whole session."""
    before = set((made / "sessions").iterdir())
    done = process("run", made / "rigs" / "plain.yaml", "--seconds", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["frames"] > 0
    (new,) = set((made / "sessions").iterdir()) - before
    done = process("session", "verify", new)
    assert done.returncode == 0, done.stdout
    shutil.rmtree(new)


def test_rules_say_the_same_in_words_and_in_units(made: Path, told: Callable[..., Any]) -> None:
    """Controls that take their times from a session of then, too."""
    was = EXPECTED["controls"]
    now = told("rules", "check", made / "rigs" / "controls_rules.yaml", "--engine", "old-face", "--json")
    assert now["features"] == was["features"]
    same(
        {name: len(said) for name, said in was["rules"].items()}, {k: len(v) for k, v in now["rules"].items()}
    )
    pulses = [text for said in was["rules"].values() for text in said if text.startswith("light:")]
    assert pulses == [text for said in now["rules"].values() for text in said if text.startswith("light:")]


def test_rules_with_neural_values_fit_the_shipped_encoder(made: Path, run: Run) -> None:
    """Single pulses by on_ms and trains by width_ms are read as ever."""
    rules = made / "rigs" / "blinded_rules.yaml"
    code, text = run("rules", "check", rules, "--encoder", "simulated-mouse", "--rate", "50")
    assert code == 0, text


def test_a_dry_run_over_a_session_comes_to_the_same_trials(made: Path, told: Callable[..., Any]) -> None:
    """Each trial on its frame, light or sham, and each reason for withholding as often."""
    rules = made / "rigs" / "plain_rules.yaml"
    now = told("rules", "dry-run", rules, made / "sessions" / "plain", "--json")
    same(EXPECTED["dry_run"]["session"]["rules"], now["rules"])


# Keypoint files


@pytest.mark.parametrize("name", ["face.rtface.h5", "face.csv", "face.h5"])
def test_a_dry_run_reads_keypoint_files(name: str, made: Path, told: Callable[..., Any]) -> None:
    """rtface's own and DeepLabCut's: as many frames and trials as then."""
    was = EXPECTED["dry_run"]["keypoints"]
    rules = made / "rigs" / "plain_rules.yaml"
    now = told("rules", "dry-run", rules, made / "keypoints" / name, "--rate", "40", "--json")
    assert now["frames"] == was["frames"]
    assert now["features"].keys() == was["features"].keys()
    for rule, counts in was["rules"].items():
        assert now["rules"][rule]["fired"] == counts["fired"]
        assert now["rules"][rule]["sham"] == counts["sham"]


@pytest.mark.parametrize("name", ["face.rtface.h5", "face.csv", "face.h5", "face_FacemapPose.h5"])
def test_keypoint_files_hold_what_the_datasets_say(name: str, made: Path) -> None:
    """Each format gives the coordinates that plain HDF5 shows in rtface's own."""
    with h5py.File(made / "keypoints" / "face.rtface.h5") as file:
        names, xy = tuple(file["names"].asstr()[:]), file["xy"][:]
    table = read_keypoints(made / "keypoints" / name)
    assert tuple(table.names) == names
    np.testing.assert_allclose(table.xy, xy, atol=1e-3)


# Messages


def read_wire(name: str) -> bytes:
    return (MADE / "wire" / f"{name}.bin").read_bytes()


def plain(value: Any) -> Any:
    """Return a decoded message as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value


def keypoints_again(body: bytes) -> tuple[Any, bytes]:
    found = decode_keypoints(body)
    stamps = found.stamps
    frame = FrameMeta(found.frame_id, stamps.exposure_ns, stamps.arrival_ns, found.camera_ns)
    pose = Pose(frame, stamps, found.xy, found.score, found.outside)
    return found, encode_keypoints(
        msgpack.Packer(), found.session, found.seq, pose, found.lost, found.published_ns
    )


def status_again(body: bytes) -> tuple[Any, bytes]:
    found = decode_status(body)
    return found, encode_status(msgpack.Packer(), found.session, found.seq, found.t_ns, found.status)


def event_again(body: bytes) -> tuple[Any, bytes]:
    found = decode_event(body)
    return found, encode_event(
        msgpack.Packer(), found.session, found.seq, found.t_ns, found.kind, found.details
    )


def neural_again(body: bytes) -> tuple[Any, bytes]:
    found = decode_neural(body)
    return found, encode_neural(msgpack.Packer(), found)


def request_again(body: bytes) -> tuple[Any, bytes]:
    found = parse_request(unpack(body))
    return found, encode_request(Request(found.id, found.op, found.args))


def reply_again(body: bytes) -> tuple[Any, bytes]:
    number, result = decode_reply(body)
    if isinstance(result, Exception):
        code, text = result.code, str(result)
        return {"id": number, "result": {"code": code, "text": text}}, encode_refusal(number, code, text)
    assert number is not None
    found: dict[str, Any] = {"id": number, "result": result}
    if "skeleton" in result:
        found["hello"] = parse_hello(result)
        return found, encode_result(number, found["hello"].as_map())
    if "latency" in result:
        found["status"] = parse_status(Fields(result))
        return found, encode_result(number, found["status"].as_map())
    return found, encode_result(number, result)


AGAIN = {
    "keypoints": keypoints_again,
    "status": status_again,
    "events": event_again,
    "neural": neural_again,
    "request": request_again,
    "reply": reply_again,
}


@pytest.mark.parametrize("name", WIRE)
def test_a_message_is_understood_and_packed_as_ever(name: str) -> None:
    """Bytes that a service or a client of then sent decode to the same values, and these pack to the same bytes."""
    body = read_wire(name)
    found, packed = AGAIN[name.split("_")[0]](body)
    same(WIRE[name], plain(found))
    assert packed == body


class Before:
    """A service as seen from outside, which sends nothing but bytes that one of then sent."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.topics, self._control = self._context.socket(zmq.XPUB), self._context.socket(zmq.ROUTER)
        for socket in (self.topics, self._control):
            socket.bind("tcp://127.0.0.1:*")
        self.addresses = [each.last_endpoint.decode() for each in (self.topics, self._control)]
        self.asked: dict[str, dict[str, Any]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def subscribed(self) -> set[bytes]:
        """Wait for the topics of a subscriber."""
        found: set[bytes] = set()
        while len(found) < 4:
            assert self.topics.poll(round(1000 * LONG_S))
            found.add(self.topics.recv()[1:])
        return found

    def _answer(self) -> None:
        while not self._ended.is_set():
            if self._control.poll(20):
                sender, *_, body = self._control.recv_multipart()
                request = msgpack.unpackb(body)
                self.asked[request["op"]] = request
                reply = msgpack.unpackb(read_wire(f"reply_{request['op']}")) | {"id": request["id"]}
                self._control.send_multipart([sender, msgpack.packb(reply)])

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._context.destroy(0)


@pytest.fixture
def before() -> Iterator[Before]:
    service = Before()
    yield service
    service.close()


def test_a_client_of_today_follows_a_service_of_then(before: Before) -> None:
    """Keypoints, status, events and neural values arrive; hello, status, mark and the like are asked as they were."""
    with rtface.Client(*before.addresses, timeout_s=LONG_S) as client:
        assert before.subscribed() == {b"keypoints", b"status", b"events", b"neural"}
        hello = client.hello()
        same(WIRE["reply_hello"]["hello"], plain(hello))
        assert client.names == tuple(each["name"] for each in WIRE["reply_hello"]["hello"]["skeleton"])
        same(WIRE["reply_status"]["status"], plain(client.status()))
        same(WIRE["reply_self_test"]["result"], plain(client.self_test()))
        client.mark("make.py", "über", {"n": 1})
        for op in ("hello", "status", "self_test", "mark"):
            same(msgpack.unpackb(read_wire(f"request_{op}")) | {"id": 0}, before.asked[op] | {"id": 0})
        for name in ("status", "events_mark", "neural_with_neurons", "keypoints"):
            before.topics.send_multipart([name.split("_")[0].encode(), read_wire(name)])
        keypoints = client.next(LONG_S)
        was = dict(WIRE["keypoints"])
        same(was, plain(keypoints))
        assert client.malformed == 0
        same(WIRE["status"], plain(client.latest_status))
        same([WIRE["events_mark"]], plain(client.events()))
        (said,) = client.neural()
        received = {"received_ns", "age_ns"}
        same({k: v for k, v in WIRE["neural_with_neurons"].items() if k not in received}, plain(said))


# What a user can name


def commands_of(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each command below one, by its words."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands_of(below, f"{path} {name}".strip())


NOW = dict(commands_of(typer.main.get_command(app)))


@pytest.mark.parametrize("path", SURFACE["commands"])
def test_a_command_has_the_options_and_arguments_that_it_had(path: str) -> None:
    """More may have come."""
    assert path in NOW, f"rtface {path} is gone"
    parts = NOW[path].params
    options = {
        name
        for each in parts
        if each.param_type_name == "option"
        for name in (*each.opts, *each.secondary_opts)
    }
    was = SURFACE["commands"][path]
    assert set(was["options"]) <= options
    arguments = [each for each in parts if each.param_type_name == "argument"]
    assert [each.name for each in arguments][: len(was["arguments"])] == was["arguments"]
    assert not any(each.required for each in arguments[len(was["arguments"]) :])


def settings(schema: dict[str, Any]) -> dict[str, Any]:
    """Return each setting of a schema by its place and its section's kind, with its default and choices."""
    found: dict[str, Any] = {}

    def walk(part: dict[str, Any], at: str) -> None:
        if "$ref" in part:
            walk(schema["$defs"][part["$ref"].rpartition("/")[2]], at)
        for each in (*part.get("anyOf", ()), *part.get("oneOf", ()), *part.get("allOf", ())):
            walk(each, at)
        properties = part.get("properties", {})
        kind = properties.get("kind", {}).get("const")
        here = at if kind is None else f"{at}[{kind}]"
        for name, below in properties.items():
            place = f"{here}.{name}".strip(".")
            found[place] = {each: below[each] for each in ("default", "const") if each in below}
            found[place] |= {"required": name in part.get("required", ())}
            found.update({f"{place}={choice}": {} for choice in below.get("enum", ())})
            walk(below, place)

    walk(schema, "")
    return found


def test_a_rig_has_the_settings_that_it_had(told: Callable[..., Any]) -> None:
    """Each with its default and its choices; what was not asked for then is not asked for now, but for the camera.

    Without one, a rig decided on the simulated mouse; that is an error now, on purpose (decision 23).
    """
    was = settings(json.loads((MADE / "rig_schema.json").read_text(encoding="utf-8")))
    assert len(was) > 100
    now = settings(told("config", "schema"))
    was["camera"] = {"required": True}
    same(was, now)


def test_python_has_the_names_that_it_had() -> None:
    """What `rtface` names, and the client's methods with their arguments."""
    assert set(SURFACE["names"]) <= set(rtface.__all__)
    for name in SURFACE["names"]:
        assert getattr(rtface, name) is not None
    for name, arguments in SURFACE["client"].items():
        assert hasattr(rtface.Client, name), f"Client.{name} is gone"
        if arguments is not None:
            now = list(inspect.signature(getattr(rtface.Client, name)).parameters)
            assert now[: len(arguments)] == arguments, name


FIRMWARE = {"gate-atmega328p.hex": "bb6e41da8af1a5f6036547d175ac733d0e680313a09f189ed87634f4ca364d97"}
"""Of protocol 2, which replaced that of 01fc540 on purpose (decision 25): boards have to be flashed anew."""


def test_boards_that_were_flashed_are_still_the_packaged_build() -> None:
    """The gate's firmware is the same to the byte: `output.build: packaged` refuses a board with another."""
    assert SURFACE["firmware"].keys() == FIRMWARE.keys()
    assert rtface.__file__ is not None
    found = {
        path.name: sha256(path.read_bytes()).hexdigest()
        for path in Path(rtface.__file__).parent.rglob("gate-*.hex")
    }
    same(FIRMWARE, found)

"""Octave, Node, C and a listener of OSC beside `rtface.Client`: the same frames, to the bit, and the same commands."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq
from pythonosc.osc_message import OscMessage
from support.foreign_clients import CLIENTS, SteppedCamera, Steps, lines_of, node, octave
from support.publishing import LOSSES, Handler, make_pose, zmq_context
from support.waits import LONG_S, wait_until

from rtface.bench.agreed import ensure_parity
from rtface.client import Client
from rtface.config import Rig, SimulatedCameraSettings
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.live.service import Service
from rtface.publish.as_json import as_json, json_body
from rtface.publish.bridges.osc import osc_names
from rtface.publish.control import ControlServer
from rtface.publish.keypoints import decode_keypoints, encode_keypoints

FREE = "tcp://127.0.0.1:*"
FRAMES = 1_000
AHEAD = 8
SMALL = SimulatedCameraSettings(width=96, height=80, rate_hz=100, paced=False)

Frames = dict[int, tuple[int, np.ndarray]]
"""By number: exposure, and x, y and score of each keypoint."""


def rig(engine: str, *bridges: dict[str, Any], camera: SimulatedCameraSettings = SMALL, **more: Any) -> Rig:
    publish = {"keypoints": FREE, "control": FREE, "bridges": bridges}
    return Rig.model_validate({"camera": camera, "engine": engine, "publish": publish, **more})


OCTAVE_READER = """
client = RtfaceClient('{json}', '{control}');
while true
  points = client.next(60);
  rows = [points.xy, points.score];
  printf('%d %d %d', points.frame_id, points.t.exposure, points.missing);
  printf(' %.17g', rows');
  printf('\\n');
  fflush(stdout);
end
"""
NODE_READER = """
const client = await RtfaceClient.open({{ json: "{json}", control: "{control}" }});
for await (const {{ frame_id, t, xy, score, missing }} of client)
  console.log(JSON.stringify({{ frame_id, exposure: t.exposure, xy, score, missing }}));
"""


class Readers:
    """Everybody who receives the frames of one run, and what each of them had."""

    def __init__(self) -> None:
        self.names = ("Client", "Octave", "Node", "OSC")
        self.had: dict[str, Frames] = {name: {} for name in self.names}
        self.missing = dict.fromkeys(self.names, 0)
        self.steps = Steps(self.names, AHEAD)

    def take(self, name: str, frame: int, exposure_ns: int, points: Any, missing: int = 0) -> None:
        self.had[name][frame] = exposure_ns, np.array(points, np.float64).reshape(-1, 3)
        self.missing[name] += missing
        self.steps.saw(name, frame)

    def take_octave(self, line: str) -> None:
        frame, exposure_ns, missing, *values = line.split()
        self.take("Octave", int(frame), int(exposure_ns), [float(each) for each in values], int(missing))

    def take_node(self, line: str) -> None:
        found = json.loads(line)
        rows = [
            [np.nan if each is None else each for each in (*xy, score)]
            for xy, score in zip(found["xy"], found["score"], strict=True)
        ]
        self.take("Node", found["frame_id"], found["exposure"], rows, found["missing"])


@contextmanager
def running(work: Any, name: str) -> Iterator[threading.Event]:
    """Run work in a thread until the block is left."""
    ending = threading.Event()
    thread = threading.Thread(target=work, args=(ending,), name=name, daemon=True)
    thread.start()
    try:
        yield ending
    finally:
        ending.set()
        thread.join(LONG_S)
        assert not thread.is_alive()


def follow_client(service: Service, readers: Readers, ending: threading.Event) -> None:
    with Client(service.keypoints_address, service.control_address) as client:
        while not ending.is_set():
            if (found := client.next(0.1)) is not None:
                rows = np.column_stack([found.xy, found.score])
                readers.take("Client", found.frame_id, found.stamps.exposure_ns, rows, found.missed)


def follow_osc(listener: socket.socket, readers: Readers, ending: threading.Event) -> None:
    """Read datagrams with a library that is not ours; the age, of which the client has none, is left out."""
    addresses = [f"/rtface/point/{name}" for name in osc_names(FACEMAP_KEYPOINTS)]
    points: dict[str, list[float]] = {}
    listener.settimeout(0.1)
    while not ending.is_set():
        try:
            message = OscMessage(listener.recv(4096))
        except TimeoutError:
            continue
        frame, *numbers, age_ms = message.params
        assert age_ms > 0
        points[message.address] = numbers
        if message.address == addresses[-1]:
            readers.take("OSC", frame, 0, [points[each] for each in addresses])


@pytest.mark.timeout(400)
def test_three_foreign_clients_receive_the_frames_of_ours(test_engine: str, tmp_path: Path) -> None:
    octave(""), node("", tmp_path)  # each skips where it is not there
    (tmp_path / "node").mkdir()
    readers = Readers()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        listener.bind(("127.0.0.1", 0))
        settings = rig(
            test_engine,
            {"kind": "json", "address": FREE},
            {"kind": "osc", "address": FREE, "udp": [f"127.0.0.1:{listener.getsockname()[1]}"]},
        )
        service = stack.enter_context(Service(settings, camera=SteppedCamera(SMALL, readers.steps)))
        stack.enter_context(running(lambda ending: follow_client(service, readers, ending), "client"))
        stack.enter_context(running(lambda ending: follow_osc(listener, readers, ending), "osc"))
        places = {"json": service.bridge_addresses["json"], "control": service.control_address}
        stack.enter_context(lines_of(octave(OCTAVE_READER.format(**places)), readers.take_octave))
        stack.enter_context(
            lines_of(node(NODE_READER.format(**places), tmp_path / "node"), readers.take_node)
        )
        wait_until(lambda: readers.steps.first is not None)
        first = (readers.steps.first or 0) + 1
        for frame in range(first, first + FRAMES + AHEAD, AHEAD):
            wait_until(lambda frame=frame: readers.steps.slowest >= frame)  # type: ignore[misc]
    ours = readers.had["Client"]
    frames = range(first, first + FRAMES)
    for name in readers.names:
        had = readers.had[name]
        assert [frame for frame in frames if frame not in had] == [], name
        assert readers.missing[name] == 0
        for frame in frames:
            np.testing.assert_array_equal(had[frame][1], ours[frame][1], err_msg=f"{name}, frame {frame}")
            assert had[frame][0] == (0 if name == "OSC" else ours[frame][0])
    distinct = {ours[frame][1].tobytes() for frame in frames}
    assert len(distinct) > FRAMES // 2, "the mouse moves, or the test compares nothing"


ARMED: dict[str, Any] = {"camera": SimulatedCameraSettings(width=96, height=80, rate_hz=50)}


@contextmanager
def recorded(engine: str, folder: Path) -> Iterator[tuple[Service, Client]]:
    """Open a service whose session is recorded, and a client that sees its events."""
    bridges = ({"kind": "json", "address": FREE}, {"kind": "osc", "address": FREE})
    settings = rig(engine, *bridges, session={"folder": str(folder / "sessions"), "min_free_gb": 0}, **ARMED)
    with (
        Service(settings) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        client.hello()
        assert client.next(LONG_S) is not None
        yield service, client


def marked(client: Client) -> dict[str, Any]:
    """Return what the next event of a mark says."""
    while True:
        event = client.next_event(LONG_S)
        assert event is not None
        if event.kind == "mark":
            return event.details


OCTAVE_COMMANDS = """
client = RtfaceClient('{json}', '{control}');
points = client.next(20);
printf('%d %d %d\\n', points.age_ms > 0, points.age_ms < 1e6, numel(client.names));
client.mark('Ada', 'food', struct('drops', 3));
try, client.arm('Ada'); catch failure, printf('%s | %s\\n', failure.identifier, failure.message); end
try, client.request('dance'); catch failure, printf('%s\\n', failure.identifier); end
client.disarm('Ada', 'done');
client.close();
"""
NODE_COMMANDS = """
const client = await RtfaceClient.open({{ json: "{json}", control: "{control}" }});
for await (const points of client) {{
  console.log(Number(points.age_ms > 0), Number(points.age_ms < 1e6), client.names.length);
  break;
}}
await client.mark("Ada", "food", {{ drops: 3 }});
await client.arm("Ada").catch((failure) => console.log(`rtface:${{failure.code}} | ${{failure.message}}`));
await client.request("dance").catch((failure) => console.log(`rtface:${{failure.code}}`));
await client.disarm("Ada", "done");
client.close();
"""


@pytest.mark.parametrize("language", ["octave", "node"])
def test_a_client_has_ages_marks_and_is_told_why_it_cannot_arm(
    test_engine: str, tmp_path: Path, language: str
) -> None:
    node("", tmp_path) if language == "node" else octave("")
    (tmp_path / "node").mkdir()
    with recorded(test_engine, tmp_path) as (service, client):
        places = {"json": service.bridge_addresses["json"], "control": service.control_address}
        if language == "octave":
            command = octave(OCTAVE_COMMANDS.format(**places))
        else:
            command = node(NODE_COMMANDS.format(**places), tmp_path / "node")
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        details = marked(client)
    assert found.returncode == 0, found.stderr
    ages, refused, unknown = found.stdout.splitlines()
    assert ages == f"1 1 {len(FACEMAP_KEYPOINTS)}"
    assert refused.startswith("rtface:not_ready | ")
    assert "rules: no rule has a pulse" in refused
    assert unknown == "rtface:unknown_op"
    assert details == {"who": "Ada", "text": "food", "details": {"drops": 3}}


@pytest.mark.parametrize("language", ["octave", "node"])
def test_a_client_of_another_version_is_told_so(test_engine: str, tmp_path: Path, language: str) -> None:
    (tmp_path / "node").mkdir()
    node("", tmp_path) if language == "node" else octave("")
    with Service(rig(test_engine, {"kind": "json", "address": FREE})) as service:
        places = {"json": service.bridge_addresses["json"], "control": service.control_address}
        if language == "octave":
            shutil.copytree(CLIENTS / "matlab", tmp_path / "matlab")
            client = tmp_path / "matlab" / "RtfaceClient.m"
            code = OCTAVE_COMMANDS.split("printf")[0].format(**places)
            command = [each.replace(str(CLIENTS), str(tmp_path)) for each in octave(code)]
        else:
            command = node(NODE_COMMANDS.split("await client.mark")[0].format(**places), tmp_path / "node")
            client = tmp_path / "node" / "rtface.mjs"
        client.write_text(client.read_text("utf-8").replace("json.1.keypoints", "json.7.keypoints"), "utf-8")
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode != 0
    assert "there is no topic 'json.7.keypoints'; there are: json.1.keypoints" in found.stderr


@pytest.mark.parametrize(
    ("compiler", "options"), [("cc", ["-std=c99", "-pedantic"]), ("c++", ["-x", "c++", "-std=c++17"])]
)
def test_the_c_header_reads_keypoints_and_commands(
    test_engine: str, tmp_path: Path, compiler: str, options: list[str]
) -> None:
    header = any((Path(each) / "zmq.h").exists() for each in ("/usr/include", "/usr/local/include"))
    if shutil.which(compiler) is None or not header:
        pytest.skip("a C compiler and zmq.h are not on this machine: apt install gcc libzmq3-dev")
    example = tmp_path / "example"
    source = str(CLIENTS / "c" / "example.c")
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *options, *warnings, source, "-o", str(example), "-lzmq"], check=True)
    with recorded(test_engine, tmp_path) as (service, client):
        known: dict[int, np.ndarray] = {}

        def follow(ending: threading.Event) -> None:
            while not ending.is_set():
                if (points := client.next(0.1)) is not None:
                    known[points.frame_id] = np.column_stack([points.xy, points.score])

        with running(follow, "client"):
            places = [service.bridge_addresses["osc"], service.control_address]
            found = subprocess.run(
                [str(example), "150", *places], capture_output=True, text=True, timeout=60, check=False
            )
        details = marked(client)
    assert found.returncode == 0, found.stderr
    *points, refused = found.stdout.splitlines()
    assert len(points) == 150
    names = osc_names(FACEMAP_KEYPOINTS)
    for line in points:
        frame, name, *values, age_ms = line.split()
        expected = known[int(frame)][names.index(name)]
        np.testing.assert_array_equal(np.array(values, np.float32), expected)
        assert float(age_ms) > 0
    assert details == {"who": "example", "text": 'a "mark"\nfrom C', "details": {}}
    assert refused.startswith("arm: not_ready: ")


OCTAVE_GAPS = """
client = RtfaceClient('{json}', '{control}');
for k = 1:4
  points = client.next(20);
  printf('%d %d %d\\n', points.seq, points.missing, points.restarted);
end
client.close();
"""
NODE_GAPS = """
const client = await RtfaceClient.open({{ json: "{json}", control: "{control}" }});
let k = 0;
for await (const points of client) {{
  console.log(points.seq, points.missing, Number(points.restarted));
  if (++k === 4) break;
}}
client.close();
"""


@pytest.mark.parametrize("language", ["octave", "node"])
def test_a_client_counts_what_is_missing_and_sees_a_restart(tmp_path: Path, language: str) -> None:
    (tmp_path / "node").mkdir()
    with zmq_context() as context:
        server = ControlServer(FREE, Handler(), context)
        server.open()
        with context.socket(zmq.XPUB) as published:
            port = published.bind_to_random_port("tcp://127.0.0.1")
            places = {"json": f"tcp://127.0.0.1:{port}", "control": server.address}
            if language == "octave":
                command = octave(OCTAVE_GAPS.format(**places))
            else:
                command = node(NODE_GAPS.format(**places), tmp_path / "node")
            lines: list[str] = []
            with lines_of(command, lines.append):
                wait_until(lambda: bool(published.poll(0)))
                for session, seq in (("a", 3), ("a", 4), ("a", 9), ("b", 0)):
                    body = encode_keypoints(msgpack.Packer(), session, seq, make_pose(), LOSSES, 9)
                    values = as_json(decode_keypoints(body))
                    published.send_multipart((b"json.1.keypoints", json_body(values)))
                wait_until(lambda: len(lines) == 4)
        server.close()
    assert [line.split() for line in lines] == [
        ["3", "0", "0"],
        ["4", "0", "0"],
        ["9", "4", "0"],
        ["0", "0", "1"],
    ]


RULES = """\
features: {nose: {kind: position, point: nose(tip), min_score: 0}}
rules: {never: {when: nose.x > 1e9, min_score: 0, max_age_ms: 10000, max_gap_frames: 1000, pulse: {width_ms: 2}}}
"""
OCTAVE_ARMING = """
client = RtfaceClient('{json}', '{control}');
for attempt = 1:200
  try
    armed = client.arm('Ada');
    break
  catch failure
    if isempty(strfind(failure.message, 'frames:')) && isempty(strfind(failure.message, 'view:'))
      rethrow(failure);
    end
    pause(0.1);
  end
end
printf('%s %s\\n', armed.state, armed.who);
client.disarm('Ada', 'done');
loop = armed;
while strcmp(loop.state, 'armed')
  loop = client.request('status').loop;
end
printf('%s %s\\n', loop.state, loop.why);
"""
NODE_ARMING = """
const client = await RtfaceClient.open({{ json: "{json}", control: "{control}" }});
let armed;
for (let attempt = 0; attempt < 200 && !armed; attempt++)
  armed = await client.arm("Ada").catch(async (failure) => {{
    if (!/frames:|view:/.test(failure.message)) throw failure;
    await new Promise((again) => setTimeout(again, 100));
  }});
console.log(armed.state, armed.who);
await client.disarm("Ada", "done");
let loop = armed;
while (loop.state === "armed") loop = (await client.request("status")).loop;
console.log(loop.state, loop.why);
client.close();
"""


@pytest.mark.parametrize("language", ["octave", "node"])
def test_a_client_arms_a_rig_that_is_ready_and_disarms_it(
    test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    node("", tmp_path) if language == "node" else octave("")
    (tmp_path / "node").mkdir()
    engines = tmp_path / "engines"
    shutil.copytree(os.environ["RTFACE_ENGINES"], engines)
    monkeypatch.setenv("RTFACE_ENGINES", str(engines))
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    settings = rig(
        test_engine,
        {"kind": "json", "address": FREE},
        camera=SimulatedCameraSettings(width=96, height=80, rate_hz=20),
        rules=tmp_path / "rules.yaml",
        output={"kind": "log", "path": tmp_path / "light.jsonl", "liveness_ms": 5000},
        session={"folder": tmp_path / "sessions", "min_free_gb": 0},
        arming={"frame_timeout_ms": 5000},
    )
    with Service(settings) as service:
        ensure_parity(service.engine, settings.backend, settings.camera)
        places = {"json": service.bridge_addresses["json"], "control": service.control_address}
        if language == "octave":
            command = octave(OCTAVE_ARMING.format(**places))
        else:
            command = node(NODE_ARMING.format(**places), tmp_path / "node")
        found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == ["armed Ada", "disarmed done"]

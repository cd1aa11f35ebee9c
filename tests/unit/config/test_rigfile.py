from __future__ import annotations

from pathlib import Path

import pytest
from support.rigs import parse_rig

from rtface.config import GenicamCameraSettings, Rig, SimulatedCameraSettings, VideoCameraSettings
from rtface.config.rigfile import load_rig
from rtface.core.errors import ConfigError

RIG = Path("/rigs/left/rig.yaml")
CAMERA = "camera: {kind: simulated}\n"
"""What each rig must say; it stands last, so that the lines before keep their numbers."""


def refused(text: str) -> list[str]:
    """Return the lines of the message, each without the file's name, which it must begin with."""
    with pytest.raises(ConfigError) as caught:
        parse_rig(text, RIG)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{RIG}: ") for line in lines)
    return [line.removeprefix(f"{RIG}: ") for line in lines]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a remark\n", "---\n", "{}", "null"])
def test_a_rig_that_names_no_camera_is_refused(text: str) -> None:
    (line,) = refused(text)
    assert line == (
        "line 1: camera: missing; write camera: {kind: simulated} for the simulated mouse; "
        "there are: simulated, video, images, genicam, aravis, opencv"
    )


@pytest.mark.parametrize("text", ["camera:\n", "camera: null\n"])
def test_a_camera_that_is_named_and_not_given_is_refused(text: str) -> None:
    (line,) = refused(f"slots: 4\n{text}")
    assert line.startswith(
        "line 2: camera: missing; write camera: {kind: simulated} for the simulated mouse; "
    )


def test_a_lacking_camera_is_told_with_all_else_that_is_wrong() -> None:
    assert [line.split(": ")[1] for line in refused("slots: 2\nengin: x\n")] == ["camera", "slots", "engin"]


def test_a_camera_alone_gives_the_defaults() -> None:
    assert parse_rig(CAMERA, RIG) == Rig(camera=SimulatedCameraSettings())


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ("", "max_on_ms: 20, min_off_ms: 10, max_pulses: 1000"),
        ("max_pulses: 5, min_off_ms: 1", "max_on_ms: 20"),
        ("max_on_ms: 20, min_off_ms: 10", "max_pulses: 1000"),
    ],
)
def test_limits_that_this_computer_alone_keeps_must_be_written(given: str, lacking: str) -> None:
    device = f"output:\n  {{kind: pulsepal, port: p, allow_unguarded: true{given and ', '}{given}}}\n"
    (line,) = refused(CAMERA + device)
    assert line.startswith("line 3: output.allow_unguarded: ")
    assert f"write also {lacking}, or" in line
    parse_rig(CAMERA + device.replace("}\n", f", {lacking}}}\n"), RIG)
    parse_rig(CAMERA + device.replace("true", "false"), RIG)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slots: 4\n\nengin: x\n", "line 3: engin: unknown setting; did you mean engine?"),
        ("camera:\n  kind: simulated\n  widht: 9\n", "line 3: camera.widht: unknown setting; did you mean width?"),
        (
            "camera:\n  kind: simulated\n  faults:\n    blck: 1\n",
            "line 4: camera.faults.blck: unknown setting; did you mean black?",
        ),
        ("crop:\n  x: 0\n  y: 0\n  width: 99\n  heigth: 99\n", "line 5: crop.heigth: unknown setting; did you mean height?"),
        ("backend:\n  thread: 2\n", "line 2: backend.thread: unknown setting; did you mean threads?"),
        ("publish:\n\n  key: x\n", "line 3: publish.key: unknown setting; did you mean keys?"),
        ("latency: {deadline: 3}\n", "line 1: latency.deadline: unknown setting; did you mean deadline_ms?"),
        ("latency: {zzz: 3}\n", "line 1: latency.zzz: unknown setting; there are: budget, budget_frames, deadline_ms"),
        ("repeated: 1\n", "line 1: repeated: unknown setting; there are: " + ", ".join(sorted(Rig.model_fields))),
        ("camera:\n  kind: video\n  path: x\n  video: 1\n",
         "line 4: camera.video: unknown setting; there are: " + ", ".join(sorted(VideoCameraSettings.model_fields))),
    ],
)  # fmt: skip
def test_an_unknown_setting_is_named_with_its_line_and_the_nearest_right_one(text: str, message: str) -> None:
    assert message in refused(text)


@pytest.mark.parametrize(
    ("text", "line", "place", "about"),
    [
        ("slots: many\n", 1, "slots", "'many'"),
        ("a: &a 1\n\nslots: 3.5\n", 3, "slots", "3.5"),
        ("engine: [a, b]\n", 1, "engine", "['a', 'b']"),
        ("crop: 3\n", 1, "crop", "3"),
        ("publish:\n", 1, "publish", "None"),
        ("camera: 3\n", 1, "camera", "3"),
        ("camera:\n  kind: opencv\n  device: [1]\n", 3, "camera.device", "[1]"),
        ("camera:\n  kind: genicam\n  nodes:\n    Gain: {a: 1}\n", 4, "camera.nodes.Gain", "valid"),
        ("camera:\n  kind: simulated\n  paced: maybe\n", 3, "camera.paced", "'maybe'"),
    ],
)
def test_a_wrong_type_is_named_with_its_line(text: str, line: int, place: str, about: str) -> None:
    assert any(found.startswith(f"line {line}: {place}: ") and about in found for found in refused(text))


@pytest.mark.parametrize(
    ("text", "line", "place", "about"),
    [
        ("\nslots: 2\n", 2, "slots", "greater than or equal to 3 (it is 2)"),
        ("camera:\n  kind: simulated\n  rate_hz: 0\n", 3, "camera.rate_hz", "greater than 0 (it is 0)"),
        ("camera:\n  kind: simulated\n  faults:\n    lost: 1.5\n", 4, "camera.faults.lost", "less than or equal to 1"),
        ("crop:\n  x: -1\n  y: 0\n  width: 99\n  height: 99\n", 2, "crop.x", "greater than or equal to 0 (it is -1)"),
        ("latency:\n  deadline_ms: .inf\n", 2, "latency.deadline_ms", "finite number (it is inf)"),
        ("backend:\n  name: openvin\n", 2, "backend.name", "'openvino' or 'torch' (it is 'openvin')"),
        ("crop:\n  x: 0\n  y: 0\n  width: 99\n", 1, "crop.height", "Field required"),
        ("camera:\n  kind: video\n", 1, "camera.path", "Field required"),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_named_with_its_line(text: str, line: int, place: str, about: str) -> None:
    (found,) = refused(text if "camera:" in text else text + CAMERA)
    assert found.startswith(f"line {line}: {place}: ")
    assert about in found


def test_all_violations_are_told_at_once() -> None:
    lines = refused("slots: 2\nengin: x\nlatency:\n  deadline_ms: -1\n" + CAMERA)
    assert sorted(line.split(": ")[0] for line in lines) == ["line 1", "line 2", "line 4"]


def test_an_unknown_camera_is_told_which_there_are() -> None:
    (line,) = refused("slots: 4\ncamera:\n  width: 640\n  kind: gige\n")
    assert line == (
        "line 4: camera.kind: no camera is called gige; there are: simulated, video, images, genicam, aravis, opencv"
    )
    (line,) = refused("slots: 4\ncamera:\n  width: 640\n")
    assert (
        line == "line 2: camera.kind: missing; there are: simulated, video, images, genicam, aravis, opencv"
    )


def test_every_fault_of_the_bridges_is_named_at_once() -> None:
    faults = (
        "publish:\n  bridges:\n    - kind: json\n      adress: x\n    - kind: osc\n      udp: ['host:70000']\n"
        "    - kind: xml\n    - {}\n"
    )
    unknown, port, kind, missing = refused(faults + CAMERA)
    assert unknown == "line 4: publish.bridges.0.adress: unknown setting; did you mean address?"
    assert port.startswith("line 6: publish.bridges.1.udp: ")
    assert "'host:70000' is not HOST:PORT" in port
    assert (
        kind
        == "line 7: publish.bridges.2.kind: no bridge is called xml; there are: json, osc, lsl, openephys"
    )
    assert missing == "line 8: publish.bridges.3.kind: missing; there are: json, osc, lsl, openephys"


def test_settings_that_exclude_each_other_are_named_with_a_line() -> None:
    same = "slots: 4\npublish:\n  keypoints: tcp://127.0.0.1:7000\n  control: tcp://127.0.0.1:7000\n"
    assert refused(same + CAMERA) == [
        "line 4: publish.control: publish.control and publish.keypoints are the same address"
    ]
    default = "publish:\n  keypoints: tcp://127.0.0.1:5571\n"
    assert refused(default + CAMERA) == [
        "line 1: publish.control: publish.control and publish.keypoints are the same address"
    ]
    pictures = "publish:\n  pictures:\n    address: tcp://127.0.0.1:5570\n"
    assert refused(pictures + CAMERA) == [
        "line 3: publish.pictures.address: publish.pictures.address and publish.keypoints are the same address"
    ]
    bridges = "publish:\n  bridges:\n    - kind: osc\n    - kind: json\n      address: tcp://127.0.0.1:5571\n"
    assert refused(bridges + CAMERA) == [
        "line 5: publish.bridges.1.address: publish.bridges.1.address and publish.control are the same address"
    ]
    within = "publish:\n  keypoints: inproc://k\n  bridges:\n    - kind: lsl\n"
    (message,) = refused(within + CAMERA)
    assert message.startswith("line 2: publish.keypoints: inproc:// stays within one process")
    twice = "publish:\n  bridges:\n    - kind: json\n    - kind: json\n      address: tcp://127.0.0.1:7\n"
    (message,) = refused(twice + CAMERA)
    assert message.startswith("line 4: publish.bridges.1.kind: there is one of kind json already")
    wide = "crop:\n  x: 600\n  y: 0\n  width: 100\n  height: 480\n"
    assert refused(wide + CAMERA) == ["line 4: crop.width: ends at pixel 700, beyond camera.width 640"]
    pace = "camera:\n  kind: video\n  path: a.avi\n  rate_hz: 100\n  paced: false\n"
    (message,) = refused(pace)
    assert message.startswith("line 4: camera.rate_hz: ")
    assert "paced: false" in message
    tall = "camera: {kind: genicam, height: 300}\ncrop:\n  x: 600\n  y: 1\n  width: 100\n  height: 300\n"
    assert refused(tall) == ["line 6: crop.height: ends at pixel 301, beyond camera.height 300"]


def test_a_key_that_stands_twice_is_refused() -> None:
    assert refused("slots: 4\nengine: x\nslots: 5\n") == ["line 3: slots stands twice in the same section"]
    nested = "camera:\n  kind: simulated\n  faults:\n    lost: 0\n    late: 0\n    lost: 1\n"
    assert refused(nested) == ["line 6: lost stands twice in the same section"]
    apart = "publish:\n  queue: 500\ncamera:\n  kind: simulated\n"
    assert parse_rig(apart, RIG).publish.queue == 500


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("slots: 4\nengine: a: b\n", 2),
        ("camera: {kind: simulated\n", 2),
        ("slots: 4\n\tengine: x\n", 2),
        ("slots: 4\n---\nslots: 5\n", 2),
        ("slots: 4\nengine: !!python/object/apply:os.system ['true']\n", 2),
        ("slots: 4\n? [a, b]\n: 3\n", 2),
        ("slots: 4\nengine: 2024-99-99\n", 2),
        ("slots: 4\nengine: !!bool perhaps\n", 2),
        ("slots: 4\nengine: !!timestamp x\n", 2),
        ("slots: *nowhere\n", 1),
    ],
)
def test_what_is_not_yaml_is_named_with_its_line(text: str, line: int) -> None:
    (found,) = refused(text.rstrip("\n") + "\n")
    assert found.startswith(f"line {line}: not valid YAML: ")


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "just words\n", "3\n"])
def test_a_file_that_is_no_map_is_refused(text: str) -> None:
    assert refused(text) == ["line 1: a rig is a map of sections such as camera: and engine:"]


def test_keys_that_are_no_names_are_refused() -> None:
    assert refused("slots: 4\n1: 2\n" + CAMERA) == ["line 2: 1: Keys should be strings (it is 1)"]
    assert refused("slots: 4\nnull: 2\n")


def test_control_characters_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"rig\.yaml: not valid YAML"):
        parse_rig("slots: \x00", RIG)


def test_a_map_that_holds_itself_is_refused() -> None:
    lines = refused("camera: &a\n  kind: simulated\n  faults: *a\n")
    assert any("camera.faults.kind: unknown setting" in line for line in lines)


def test_a_few_lines_that_unfold_to_billions_are_refused_at_once() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
    )
    assert len("\n".join(refused(bomb + "engine: *a11\n"))) < 10_000
    maps = "a0: &a0 {x: 1}\n" + "".join(
        f"a{level}: &a{level} {{{', '.join(f'k{n}: *a{level - 1}' for n in range(9))}}}\n"
        for level in range(1, 12)
    )
    assert len("\n".join(refused(maps))) < 10_000


def test_absurd_nesting_is_refused() -> None:
    assert refused("[" * 20_000) == ["nested too deeply, surely not a rig's configuration"]


def test_aliases_may_be_used() -> None:
    rig = parse_rig("slots: &n 200\npublish: {queue: *n}\nbackend: {threads: *n}\n" + CAMERA, RIG)
    assert (rig.slots, rig.publish.queue, rig.backend.threads) == (200, 200, 200)


def test_paths_are_relative_to_the_file() -> None:
    rig = parse_rig(
        "camera: {kind: video, path: ../a.avi}\npublish: {keys: keys}\nengine: ./mine\nsession: {folder: s}\n",
        RIG,
    )
    assert rig.session is not None
    assert rig.session.folder == Path("/rigs/left/s")
    assert isinstance(rig.camera, VideoCameraSettings)
    assert rig.camera.path == Path("/rigs/left/../a.avi")
    assert rig.publish.keys == Path("/rigs/left/keys")
    assert rig.engine == "/rigs/left/mine"
    logged = parse_rig("output: {kind: log, path: pulses.jsonl}\n" + CAMERA, RIG).output
    assert logged.model_dump()["path"] == Path("/rigs/left/pulses.jsonl")
    encoder = parse_rig("encoder: {path: encoders/monday, states: s.npz}\n" + CAMERA, RIG).encoder
    assert encoder is not None
    assert (encoder.path, encoder.states) == (Path("/rigs/left/encoders/monday"), Path("/rigs/left/s.npz"))


def test_absolute_paths_and_names_stay() -> None:
    rig = parse_rig("camera: {kind: genicam, producer: viky}\npublish: {keys: /k}\nengine: /e/mine\n", RIG)
    assert isinstance(rig.camera, GenicamCameraSettings)
    assert rig.camera.producer == Path("viky")
    assert rig.publish.keys == Path("/k")
    assert rig.engine == "/e/mine"
    assert parse_rig("engine: mine\n" + CAMERA, RIG).engine == "mine"
    encoder = parse_rig("encoder: {path: simulated-mouse}\n" + CAMERA, RIG).encoder
    assert encoder is not None
    assert encoder.path == Path("simulated-mouse")
    named = parse_rig("camera: {kind: genicam, producer: lib/x.cti}\n", RIG)
    assert isinstance(named.camera, GenicamCameraSettings)
    assert named.camera.producer == Path("/rigs/left/lib/x.cti")


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "rig.yaml"
    file.write_text("\ufeffslots: 9  # größer\ncamera: {kind: images, path: bilder}\n", encoding="utf-8")
    rig = load_rig(file)
    assert rig.slots == 9
    assert rig.camera.model_dump()["path"] == tmp_path / "bilder"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read: No such file"):
        load_rig(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_rig(tmp_path)
    file = tmp_path / "rig.yaml"
    file.write_bytes(b"slots: 4\nengine: \xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"rig\.yaml: not UTF-8 text \(byte 17\)"):
        load_rig(file)
    file.write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(ConfigError, match=r"rig\.yaml: larger than 1048576 bytes"):
        load_rig(file)
    file.write_bytes(CAMERA.encode().ljust(1 << 20, b"#"))
    assert load_rig(file) == parse_rig(CAMERA, RIG)


def test_limits_of_an_animal_need_its_name() -> None:
    text = "camera: {kind: simulated}\narming:\n  animal: {max_s: 60}\n"
    assert "line 3: arming.animal: needs session.subject, the animal" in refused(text)
    parse_rig(text + "session: {folder: s, subject: M17}\n", Path("rig.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  nodes:\n    - {LineSelector: Line1}\n    - {Gain: [1]}\n", "line 5: camera.nodes.1.Gain: "),
        ("  nodes: [LineSelector]\n", "line 3: camera.nodes.0: "),
        ("  nodes: {A: 1, A: 2}\n", "line 3: A stands twice in the same section; write a list of maps: - {A: ...}"),
        ("  trigger:\n    sorce: Line0\n    rate_hz: 3\n",
         "line 4: camera.trigger.sorce: unknown setting; did you mean source?"),
        ("  trigger:\n    rate_hz: 3\n", "line 3: camera.trigger.source: missing; write source: Line0"),
        ("  trigger:\n    source: Line0\n    rate_hz: fast\n",
         "line 5: camera.trigger.rate_hz: Input should be 'irregular' (it is 'fast')"),
        ("  trigger:\n    source: Software\n    rate_hz: irregular\n",
         "line 5: camera.trigger.rate_hz: rtface gives these triggers: at how many a second?"),
        ("  trigger:\n    source: Line0\n    rate_hz: 3\n    trials: {frames: 3, pause_s: 1}\n",
         "line 6: camera.trigger.trials: are of source: Software, whose triggers rtface gives"),
        ("  trigger:\n    source: Software\n    rate_hz: 3\n    longest_pause_s: 1\n    trials: {frames: 3, pause_s: 2}\n",
         "line 6: camera.trigger.longest_pause_s: is shorter than the pause of 2 s between trials"),
        ("  rate_hz: 3\n  trigger: {source: Line0, rate_hz: 3}\n", "line 3: camera.rate_hz: triggers begin the exposures"),
        ("  lines:\n    - selector: A\n    - mod: Input\n      selector: B\n",
         "line 5: camera.lines.1.mod: unknown setting; did you mean mode?"),
        ("  lines:\n    - selector: A\n    - selector: A\n", "line 5: camera.lines.1.selector: A stands twice"),
        ("  chunks: [frame, tigger]\n", "line 3: camera.chunks.1: Input should be 'frame', 'trigger', "),
        ("  ptp: {max_offset: 3}\n", "line 3: camera.ptp.max_offset: unknown setting; did you mean max_offset_us?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_triggers_lines_and_chunks_is_named_with_its_line(text: str, message: str) -> None:
    assert any(found.startswith(message) for found in refused("camera:\n  kind: genicam\n" + text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  trigger: {source: Line0, rate_hz: 3}\n", "line 3: camera.trigger.source: a simulated camera has no lines"),
        ("  paced: false\n  trigger: {source: Software, rate_hz: 3}\n",
         "line 3: camera.paced: paced: false delivers without a trigger"),
    ],
)  # fmt: skip
def test_what_a_simulated_camera_cannot_be_triggered_by_is_named(text: str, message: str) -> None:
    assert any(found.startswith(message) for found in refused("camera:\n  kind: simulated\n" + text))


@pytest.mark.parametrize("text", ["{A: 1, B: two}", "[{A: 1}, {B: two}]", "[{A: 1, B: two}]"])
def test_nodes_are_a_map_or_a_list_of_maps(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(f"camera: {{kind: genicam, nodes: {text}}}\n", encoding="utf-8")
    camera = load_rig(path).camera
    assert isinstance(camera, GenicamCameraSettings)
    assert camera.node_steps == (("A", 1), ("B", "two"))
    assert GenicamCameraSettings.model_validate_json(camera.model_dump_json()) == camera

"""The command line as a user meets it: real files, signals and exit codes."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess, Popen

import numpy as np
import pandas as pd
import pytest
from support.documents import items

from rtface.track.gpu.libcuda import probe

Run = Callable[..., CompletedProcess[str]]
Start = Callable[..., "Popen[str]"]

RIG = """\
camera:
  kind: simulated
  width: 96
  height: 80
  rate_hz: 50
{more}
engine: test-engine
publish:
  keypoints: {keypoints}
  control: tcp://127.0.0.1:*
"""


def write_rig(folder: Path, more: str = "", keypoints: str = "tcp://127.0.0.1:*") -> Path:
    path = folder / "rig.yaml"
    path.write_text(RIG.format(more=more, keypoints=keypoints), encoding="utf-8")
    return path


def addresses(service: Popen[str]) -> dict[str, str]:
    """Read where a starting service says that it can be reached."""
    assert service.stderr is not None
    told: dict[str, str] = {}
    while not {"keypoints", "control"} <= told.keys():
        name, value, *_ = (service.stderr.readline() + " -").split()
        told[name] = value
    return told


def test_demo_shows_rate_percentiles_losses_and_keypoints(rtface: Run) -> None:
    done = rtface("demo", "--seconds", "1", "--engine", "test-engine", "--width", "96", "--height", "80")
    assert done.returncode == 0, done.stderr
    for word in ("frames per second", "end_to_end", "p99.9", "ring", "nose(tip)"):
        assert word in done.stdout


def test_the_demos_json_tells_of_the_encoder_and_what_it_predicts(rtface: Run) -> None:
    done = rtface("demo", "--encoder", "--seconds", "3", "--rate", "50", "--json")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["schema"], last["encoder"]["simulated"]) == ("rtface.cli/demo/1", True)
    assert 0 < len(last["neural"]["outputs"]) <= last["encoder"]["outputs"]  # those that are sent
    assert last["neural"]["encoder"] == last["encoder"]["name"]


def test_run_prints_status_as_json_and_ends_by_itself(rtface: Run, tmp_path: Path) -> None:
    done = rtface("run", str(write_rig(tmp_path, "  frames: 100")), "--json")
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["state"] == "ended"
    assert last["frames"] + last["losses"]["ring"] + last["losses"]["transport"] == 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_cleanly_on_a_signal(start_rtface: Start, tmp_path: Path, number: signal.Signals) -> None:
    process = start_rtface("run", str(write_rig(tmp_path)), "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["state"] == "running"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert json.loads(out.splitlines()[-1])["frames"] > 0


def test_run_leaves_with_the_cameras_exit_code_when_it_disappears(rtface: Run, tmp_path: Path) -> None:
    done = rtface("run", str(write_rig(tmp_path, "  faults: {disconnect_after: 5}")))
    assert done.returncode == 4
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_run_names_file_and_line_of_an_unknown_setting(rtface: Run, tmp_path: Path) -> None:
    path = write_rig(tmp_path, "  rate: 50")
    done = rtface("run", str(path))
    assert done.returncode == 3
    assert f"{path}: line 6: camera.rate: unknown setting; did you mean rate_hz?" in done.stderr


def test_run_names_a_port_in_use(start_rtface: Start, rtface: Run, tmp_path: Path) -> None:
    first = start_rtface("run", str(write_rig(tmp_path)))
    assert first.stderr is not None
    address = next(line.split()[1] for line in first.stderr if line.startswith("keypoints"))
    done = rtface("run", str(write_rig(tmp_path, keypoints=address)))
    assert done.returncode == 7
    assert "in use" in done.stderr
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=20)


def test_watch_follows_a_running_service(start_rtface: Start, rtface: Run, tmp_path: Path) -> None:
    service = start_rtface("run", str(write_rig(tmp_path)))
    told = addresses(service)
    done = rtface("watch", told["keypoints"], "--control", told["control"], "--count", "20", "--json")
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(messages) == 20
    assert [message["missed"] for message in messages] == [0] * 20
    assert set(messages[0]["keypoints"]) >= {"nose(tip)", "whisker(I)"}
    service.send_signal(signal.SIGTERM)
    service.communicate(timeout=20)


def test_watch_says_so_when_nothing_is_there(rtface: Run) -> None:
    done = rtface("watch", "tcp://127.0.0.1:9", "--control", "tcp://127.0.0.1:9", "--seconds", "0.3")
    assert done.returncode == 7
    assert "is the service running" in done.stderr


@pytest.mark.parametrize(
    ("name", "form"),
    [("out.csv", None), ("out.h5", None), ("out_FacemapPose.h5", None), ("out.rtface.h5", None)],
)
def test_track_writes_each_format(
    rtface: Run, tmp_path: Path, face_video: Path, name: str, form: str | None
) -> None:
    done = rtface("track", str(face_video), "--engine", "test-engine", "--out", name, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["frames"], report["complete"]) == (60, True)
    assert (tmp_path / name).stat().st_size > 0


def test_track_gives_the_same_keypoints_as_the_engine_on_the_same_frames(
    rtface: Run, tmp_path: Path, face_video: Path
) -> None:
    done = rtface("track", str(face_video), "--engine", "test-engine", "--out", "all.csv")
    assert done.returncode == 0, done.stderr
    again = rtface(
        "track", str(face_video), "--engine", "test-engine", "--out", "again.csv", "--threads", "1"
    )
    assert again.returncode == 0, again.stderr
    first, second = (
        pd.read_csv(tmp_path / name, header=[0, 1, 2], index_col=0) for name in ("all.csv", "again.csv")
    )
    assert first.shape == (60, 45)
    np.testing.assert_allclose(first.to_numpy(), second.to_numpy(), atol=1e-2)


def test_track_keeps_what_was_tracked_of_a_damaged_video(
    rtface: Run, tmp_path: Path, face_video: Path
) -> None:
    whole = bytearray(face_video.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 400] = bytes(400)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(whole)
    done = rtface("track", str(damaged), "--engine", "test-engine", "--out", "damaged.csv")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "damaged.mp4" in done.stderr
    assert not (tmp_path / "damaged.csv").exists()
    kept = pd.read_csv(tmp_path / "damaged.partial.csv", header=[0, 1, 2], index_col=0)
    assert 0 < len(kept) < 60


def test_track_refuses_to_overwrite_before_it_begins(rtface: Run, tmp_path: Path, face_video: Path) -> None:
    (tmp_path / "there.csv").write_text("precious", encoding="utf-8")
    done = rtface("track", str(face_video), "--engine", "test-engine", "--out", "there.csv")
    assert done.returncode == 2
    assert (tmp_path / "there.csv").read_text(encoding="utf-8") == "precious"


def test_track_of_several_inputs_fills_a_folder(rtface: Run, tmp_path: Path, face_video: Path) -> None:
    import cv2

    images = tmp_path / "images"
    images.mkdir()
    for number in range(5):
        cv2.imwrite(str(images / f"{number}.png"), np.full((64, 64), 40 * number, np.uint8))
    done = rtface(
        "track", str(face_video), str(images), "--engine", "test-engine", "--out", "poses",
        "--format", "deeplabcut-csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "poses").iterdir()) == ["face.csv", "images.csv"]


def test_track_never_lets_two_recordings_share_a_file(rtface: Run, tmp_path: Path, face_video: Path) -> None:
    for day in ("monday", "tuesday"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "face.mp4").write_bytes(face_video.read_bytes())
    done = rtface("track", "monday/face.mp4", "tuesday/face.mp4", "--engine", "test-engine", "--out", "poses")
    assert done.returncode == 2
    assert "same name" in done.stderr
    assert not (tmp_path / "poses").exists()


def test_one_bad_recording_does_not_end_a_batch(rtface: Run, tmp_path: Path, face_video: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    done = rtface("track", "empty.mp4", str(face_video), "--engine", "test-engine", "--out", "poses/")
    assert done.returncode == 4
    assert "empty.mp4" in done.stderr
    assert [path.name for path in (tmp_path / "poses").iterdir()] == ["face.rtface.h5"]


def test_a_folder_named_like_an_engine_does_not_hide_it(rtface: Run, tmp_path: Path) -> None:
    (tmp_path / "test-engine").mkdir()
    assert rtface("engines", "show", "test-engine").returncode == 0


def test_run_plays_a_real_video_to_a_client_in_another_process(
    start_rtface: Start, rtface: Run, tmp_path: Path, shared_data: Path
) -> None:
    video = shared_data / "mouse_face_pupil_video" / "sample_video.mp4"
    rig = tmp_path / "video.yaml"
    rig.write_text(
        f"camera: {{kind: video, path: {video}, rate_hz: 100}}\nengine: test-engine\n"
        "publish: {keypoints: 'tcp://127.0.0.1:*', control: 'tcp://127.0.0.1:*'}\n",
        encoding="utf-8",
    )
    service = start_rtface("run", str(rig))
    told = addresses(service)
    done = rtface("watch", told["keypoints"], "--control", told["control"], "--json")
    out, err = service.communicate(timeout=60)
    assert service.returncode == 0, err
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    seqs = [message["seq"] for message in messages]
    assert len(messages) > 300
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert all(message["age_ms"] >= 0 for message in messages)
    assert f"{seqs[-1] + 1} frames" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("track", "nowhere.mp4", "--out", "k.csv"), 8, "nowhere.mp4"),
        (("track", "rig.yaml", "--engine", "test-engine", "--out", "k.csv"), 4, "rig.yaml"),
        (("track", "rig.yaml", "--out", "k.wrong"), 2, "k.wrong"),
        (("track", "rig.yaml", "--engine", "test-engin", "--out", "k.csv"), 5, "did you mean test-engine"),
        (("engines", "import", "rig.yaml"), 5, "rig.yaml"),
        (("engines", "import", "nowhere.pt"), 5, "nowhere.pt"),
        (("engines", "import"), 2, "--fetch facemap"),
        (("engines", "show", "nothing"), 5, "nothing"),
        (("run", "nowhere.yaml"), 3, "nowhere.yaml"),
        (("cameras", "--producer", "nowhere.cti"), 4, "nowhere.cti"),
    ],
)
def test_bad_input_gets_a_clear_error_and_an_exit_code(
    rtface: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    write_rig(tmp_path)
    done = rtface(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr


def test_check_passes_a_good_rig_and_names_what_fails(rtface: Run, tmp_path: Path) -> None:
    good = rtface("check", str(write_rig(tmp_path)), "--json")
    assert good.returncode == 0, good.stderr
    findings = items(good.stdout)
    assert {finding["what"] for finding in findings} == {
        "configuration", "camera", "frames", "back ends", "engine", "view", "parity", "ports", "clock", "processor",
    }  # fmt: skip
    assert all(each.keys() == {"what", "verdict", "text", "mend", "exit_code"} for each in findings)
    bad = rtface("check", str(write_rig(tmp_path, "crop: {x: 0, y: 0, width: 90, height: 90}")), "--json")
    assert bad.returncode == 3
    video = tmp_path / "video.yaml"
    video.write_text("camera: {kind: video, path: gone.mp4}\nengine: nowhere\n", encoding="utf-8")
    gone = rtface("check", str(video))
    assert gone.returncode == 4
    assert "gone.mp4" in gone.stdout
    assert "no engine is named 'nowhere'" in gone.stdout


def test_cameras_lists_the_simulated_genicam_cameras(rtface: Run) -> None:
    done = rtface("cameras", "--producer", "viky", "--json")
    assert done.returncode == 0, done.stderr
    kinds = [camera["kind"] for camera in items(done.stdout)]
    assert kinds.count("genicam") == 3
    assert "simulated" in kinds


def test_config_schema_is_json_schema_and_show_fills_in_defaults(rtface: Run, tmp_path: Path) -> None:
    import jsonschema

    schema = json.loads(rtface("config", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    shown = rtface("config", "show", str(write_rig(tmp_path)))
    assert "deadline_ms: 10.0" in shown.stdout


def test_keys_are_made_once_and_never_overwritten(rtface: Run, tmp_path: Path) -> None:
    assert rtface("keys", "new", "keys", "--client", "bonsai").returncode == 0
    assert (tmp_path / "keys" / "hand_over" / "bonsai" / "client.key_secret").is_file()
    assert rtface("keys", "new", "keys", "--client", "bonsai").returncode == 2
    assert rtface("keys", "add", "keys", "matlab").returncode == 0


def test_bench_writes_json_and_a_plot(rtface: Run, tmp_path: Path) -> None:
    small = ("--engine", "test-engine", "--width", "96", "--height", "80")
    done = rtface("bench", "latency", "--seconds", "1", "--rate", "50", *small, "--out", "results")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "results" / "latency.json").read_text(encoding="utf-8"))
    assert result["subscriber"]["received"] > 0
    assert result["subscriber"]["missed"] == 0
    assert result["stages"]["end_to_end"]["n"] >= result["frames"] > 0
    assert (tmp_path / "results" / "latency.png").read_bytes().startswith(b"\x89PNG")
    done = rtface("bench", "throughput", "--frames", "50", *small, "--out", "results")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "results" / "throughput.json").read_text(encoding="utf-8"))
    assert result["pipeline_frames"] == 50


def test_bench_gpu_runs_with_any_back_end(rtface: Run, tmp_path: Path) -> None:
    small = ("--engine", "test-engine", "--width", "96", "--height", "80", "--backend", "openvino")
    done = rtface(
        *("bench", "gpu", "--frames", "30", "--seconds", "0.5", "--rate", "50", *small, "--out", "results")
    )
    assert done.returncode == 0, done.stderr
    assert "frame to keypoints" in done.stdout
    result = json.loads((tmp_path / "results" / "gpu.json").read_text(encoding="utf-8"))
    assert result["frame_to_keypoints"]["n"] == 30
    assert result["sustained"]["frames"] > 0
    assert "device_stages" not in result
    assert (tmp_path / "results" / "gpu.png").read_bytes().startswith(b"\x89PNG")
    both = rtface("bench", "gpu", *small, "--widths", "2,4,4,4,4")
    assert both.returncode == 2
    assert "--engine or --widths" in both.stderr
    if not probe().gpus:
        refused = rtface("bench", "gpu", "--engine", "test-engine")
        assert refused.returncode == 6
        assert "there is no GPU to measure" in refused.stderr
        assert "bench latency" in refused.stderr
    absent = rtface(
        "bench", "gpu", "--frames", "10", "--seconds", "0", "--device", "cuda:0", "--backend", "torch"
    )
    assert absent.returncode == 6
    assert "backend.name is torch, but" in absent.stderr

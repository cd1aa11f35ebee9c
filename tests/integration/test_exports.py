"""One recorded session goes out to every format, and other programs read of it what it holds, to the bit."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from support.arming import arm
from support.commandline import run
from support.encoders import CAUSAL, made_encoder, made_states
from support.oldpandas import python_with_pandas, run_in

from rtface.bench.agreed import ensure_parity
from rtface.client import Client
from rtface.config.rigfile import load_rig
from rtface.core.files import plain
from rtface.live.service import Service
from rtface.offline.replay.rules import replay_rules
from rtface.record.session.encoder import frame_checksums
from rtface.record.session.entries import ConfigurationEntry, GateReplyEntry, MarkEntry
from rtface.record.session.reader import Session, read_session

pytestmark = pytest.mark.timeout(600)  # one recording, five exports and five programs that read them

LONG_S = 20.0
FRAMES = 60
FREE = "tcp://127.0.0.1:*"
NAMES = ("nose(tip)", "eye(back)", "mouth")
RULES = """\
features:
  nose: {kind: position, point: nose(tip), min_score: 0}
  calm: {kind: position, point: mouth, min_score: 0, smooth: {kind: one_euro}}
rules:
  high: {when: neural.pc1 > -1000 and calm.x > -1000 and nose.x > -1000, repeat: true, refractory_ms: 150, min_score: 0,
         max_age_ms: 10000, max_gap_frames: 1000, ignore_light_ms: 0, pulse: {width_ms: 5, amplitude: 0.5}}
"""
METADATA = """\
session: {lab: a lab, institution: a university, experimenter: ["Doe, Jo"], experiment_description: a test, keywords: [mouse]}
subject: {subject_id: mouse 7, sex: F, age: P90D, description: made up}
optogenetics:
  source: {name: laser, manufacturer: made up, source_type: laser, wavelength_in_nm: 473, power_in_mW: 8}
  fibre:
    name: fibre
    manufacturer: made up
    numerical_aperture: 0.39
    insertion: {ap_in_mm: 1.5, ml_in_mm: 1.0, dv_in_mm: -0.5, reference: bregma, hemisphere: right}
  effector: {name: effector, label: ChR2-eYFP, description: made up}
"""


@dataclass
class Exported:
    """A session, and where its files are."""

    session: Session
    said: ConfigurationEntry
    folder: Path

    @property
    def poses(self) -> Any:
        return self.session.poses

    def at_s(self, t_ns: Any) -> Any:
        """Seconds on the one time axis."""
        assert self.session.opened is not None
        return (t_ns - self.session.opened.t_ns) / 1e9


def recorded(engine: str, folder: Path) -> Path:
    """Run the demo's mouse as a rig with rules, an encoder and a video; return the session's folder."""
    made_encoder(
        folder / "enc",
        {**CAUSAL, "fast_taps": 5, "slow_taps": 6},
        names=NAMES,
        frame_rate_hz=20.0,
        states=made_states(),
        centre=(40.0, 20.0),
    )
    whole = {
        "camera": {"kind": "simulated", "width": 96, "height": 80, "rate_hz": 20},
        "engine": engine,
        "backend": {"name": "openvino"},
        "publish": {"keypoints": FREE, "control": FREE},
        "encoder": {"path": "enc", "outputs": 2},
        "rules": "rules.yaml",
        "session": {"folder": "sessions", "min_free_gb": 0, "frames": "lossless", "subject": "mouse 7"},
        "arming": {"frame_timeout_ms": 5000},
    }
    (folder / "rig.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    rig = load_rig(folder / "rig.yaml")
    with Service(rig.model_copy(update={"session": None, "rules": None, "encoder": None})) as service:
        ensure_parity(service.engine, rig.backend, rig.camera)
    with (
        Service(rig) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        arm(client)
        client.mark("me", "a remark, µ", {"trial": 3})
        fired, first, last = 0, None, 0
        while fired < 3 or first is None or last - first < FRAMES:
            fired += sum(
                each.kind == "decision" and each.details["action"] == "fire" for each in client.events()
            )
            keypoints = client.next(LONG_S)
            assert keypoints is not None
            first, last = first or keypoints.frame_id, keypoints.frame_id
        return Path(client.status().loop["session"])


@pytest.fixture(scope="module")
def exported(engines_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    for package in ("pynwb", "ndx_pose", "ndx_optogenetics", "pyarrow", "sleap_io", "tables"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("exports")
    engines = folder / "engines"
    shutil.copytree(engines_folder, engines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RTFACE_ENGINES", str(engines))
        session = recorded("test-engine", folder)
        patch.chdir(folder)
        (folder / "meta.yaml").write_text(METADATA, encoding="utf-8")
        out = folder / "out"
        for more in (
            ("--nwb", "--slp", "--parquet", "--metadata", "meta.yaml"),
            ("--format", "rtface"),
            ("--format", "deeplabcut-csv", "--overwrite"),
            ("--format", "deeplabcut-h5", "--overwrite"),
            ("--format", "facemap", "--overwrite"),
        ):
            done = run("session", "export", str(session), "--out", str(out), *more)
            assert done.returncode == 0, done.stderr
    read = read_session(session)
    said = read.configuration
    assert said is not None
    return Exported(read, said, out)


def lights(session: Session) -> list[int]:
    """When each light began, as far as the output knows it."""
    found = [each for each in session.of(GateReplyEntry) if each.event == "light_on"]
    return [each.t_ns if each.host_ns is None else each.host_ns for each in found]


def by_frame(exported: Exported, value: str = "score") -> tuple[Any, Any]:
    """Points and scores with a row for each frame number; a frame that was lost is NaN with score 0."""
    poses = exported.poses
    rows = poses["frame_id"] - poses["frame_id"][0]
    count, points = int(rows[-1]) + 1, len(exported.said.keypoints)
    xy, score = np.full((count, points, 2), np.nan, np.float32), np.zeros((count, points), np.float32)
    xy[rows], score[rows] = poses["xy"], poses[value]
    return xy, score


def test_the_session_holds_all_that_is_to_go_out(exported: Exported) -> None:
    session = exported.session
    assert session.state == "closed"
    assert len(session.poses) >= FRAMES
    assert len(session.frames) == len(session.poses)
    assert lights(session)
    assert session.of(MarkEntry)
    assert (session.poses["published_ns"] > 0).all()
    assert np.isfinite(session.features["values"]).any(axis=0).sum() > 5


def test_pynwb_reads_what_was_recorded(exported: Exported) -> None:
    import pynwb

    session, said, poses = exported.session, exported.said, exported.poses
    with pynwb.NWBHDF5IO(exported.folder / "session.nwb", "r") as io:
        found = io.read()
        behavior = found.processing["behavior"]
        series = behavior["PoseEstimation"].pose_estimation_series
        assert sorted(series) == sorted(said.keypoints)
        for at, name in enumerate(said.keypoints):
            np.testing.assert_array_equal(series[name].data[:], poses["xy"][:, at])
            np.testing.assert_array_equal(series[name].confidence[:], poses["score"][:, at])
            np.testing.assert_array_equal(series[name].timestamps[:], exported.at_s(poses["exposure_ns"]))
        assert list(behavior["Skeletons"]["face"].nodes[:]) == list(said.keypoints)
        frames = behavior["frames"]
        for name in (
            "frame_id",
            "exposure_ns",
            "arrival_ns",
            "camera_ns",
            "taken_ns",
            "decided_ns",
            "published_ns",
        ):
            np.testing.assert_array_equal(frames[name][:], poses[name])
        np.testing.assert_array_equal(frames["outside"][:], poses["outside"])
        np.testing.assert_array_equal(frames["likelihood"][:], poses["likelihood"])
        np.testing.assert_array_equal(frames["position"][:], session.frames["position"])
        boxes = behavior["features"].time_series, behavior["neural_predictions"].time_series
        for at, name in enumerate(said.features):
            held = boxes[name.startswith("neural.")][name]
            np.testing.assert_array_equal(held.data[:], session.features["values"][:, at])
            np.testing.assert_array_equal(held.timestamps[:], exported.at_s(session.features["now_ns"]))
        decisions = found.events["decisions"].to_dataframe()
        assert decisions["t_ns"].tolist() == [each.t_ns for each in session.decisions]
        assert decisions["action"].tolist() == [each.action for each in session.decisions]
        assert [json.loads(each) for each in decisions["inputs"]] == [
            plain(each.inputs) for each in session.decisions
        ]
        (mark,) = session.of(MarkEntry)
        moments = found.events["moments"].to_dataframe()
        (told,) = moments[moments["kind"] == "mark"].to_dict("records")
        assert (told["who"], told["text"], json.loads(told["details"])) == (mark.who, mark.text, mark.details)
        pulses = found.intervals["optogenetic_pulses"].to_dataframe()
        np.testing.assert_array_equal(pulses["start_time"], [exported.at_s(each) for each in lights(session)])
        assert set(pulses["power_in_mW"]) == {4.0}
        assert found.subject.subject_id == "mouse 7"
        assert session.opened is not None
        assert abs(found.session_start_time.timestamp() - session.opened.wall_ns / 1e9) < 1e-5
        facts = behavior["recorded_facts"].to_dataframe().set_index("fact")["text"]
        assert facts["rig"] == said.rig
        assert facts["rules"] == said.rules
        assert facts["missing"] == "nothing"
        assert session.fingerprint in facts["certificate"]
        video = exported.folder / found.acquisition["video"].external_file[0]
        assert video.samefile(session.folder / "frames.mkv")
        np.testing.assert_array_equal(
            found.acquisition["video"].timestamps[:], exported.at_s(session.frames["exposure_ns"])
        )


def test_what_is_smoothed_goes_out_without_smoothing_too(exported: Exported) -> None:
    """The feature `calm` is the position of a point, smoothed: without that it is where the point was."""
    measured = pd.read_parquet(exported.folder / "features_unsmoothed.parquet")
    assert list(measured.columns) == ["t_s", "frame_id", "calm.x", "calm.y"]
    mouth = exported.poses["xy"][:, exported.said.keypoints.index("mouth")]
    known = np.isfinite(mouth).all(axis=1)
    assert known.sum() > FRAMES // 2
    np.testing.assert_array_equal(
        measured[["calm.x", "calm.y"]].to_numpy()[known].astype(np.float32), mouth[known]
    )
    smoothed = exported.session.features["values"][:, exported.said.features.index("calm.x")]
    assert (smoothed[: len(measured)] != measured["calm.x"]).any()


def test_the_inspector_finds_nothing_critical(exported: Exported) -> None:
    inspector = pytest.importorskip("nwbinspector")
    found = list(inspector.inspect_nwbfile(nwbfile_path=exported.folder / "session.nwb"))
    worst = [each for each in found if each.importance.value >= inspector.Importance.CRITICAL.value]
    assert [f"{each.check_function_name} {each.location}: {each.message}" for each in worst] == []


def test_pandas_reads_parquet_as_it_was_recorded(exported: Exported) -> None:
    session, said, poses = exported.session, exported.said, exported.poses
    table = pd.read_parquet(exported.folder / "poses.parquet")
    for name in ("frame_id", "exposure_ns", "arrival_ns", "decided_ns", "published_ns"):
        np.testing.assert_array_equal(table[name], poses[name])
    np.testing.assert_array_equal(table["t_s"], exported.at_s(poses["exposure_ns"]))
    for at, name in enumerate(said.keypoints):
        np.testing.assert_array_equal(table[[f"{name}.x", f"{name}.y"]], poses["xy"][:, at])
        np.testing.assert_array_equal(table[f"{name}.score"], poses["score"][:, at])
        np.testing.assert_array_equal(table[f"{name}.likelihood"], poses["likelihood"][:, at])
        np.testing.assert_array_equal(table[f"{name}.outside"], poses["outside"][:, at])
    features = pd.read_parquet(exported.folder / "features.parquet")
    for at, name in enumerate(said.features):
        np.testing.assert_array_equal(features[name], session.features["values"][:, at])
        np.testing.assert_array_equal(features[f"{name}:score"], session.features["scores"][:, at])
        np.testing.assert_array_equal(features[f"{name}:exposure_ns"], session.features["exposure_ns"][:, at])
    decisions = pd.read_parquet(exported.folder / "decisions.parquet")
    assert decisions["number"].tolist() == [each.number for each in session.decisions]
    assert decisions["t_ns"].tolist() == [each.t_ns for each in session.decisions]
    light = pd.read_parquet(exported.folder / "light.parquet")
    assert light["begin_ns"].tolist() == lights(session)
    assert set(light["amplitude"]) == {0.5}


def test_sleap_io_reads_the_poses_and_shows_each_on_its_own_picture(exported: Exported) -> None:
    import sleap_io

    poses, session = exported.poses, exported.session
    labels = sleap_io.load_slp(str(exported.folder / "poses.slp"))
    assert [node.name for node in labels.skeletons[0].nodes] == list(exported.said.keypoints)
    assert len(labels) == len(poses)
    for frame, pose, index in zip(labels, poses, session.frames, strict=True):
        (instance,) = frame.instances
        np.testing.assert_array_equal(instance.numpy().astype(np.float32), pose["xy"])
        np.testing.assert_array_equal(instance.points["score"].astype(np.float32), pose["score"])
        assert frame.frame_idx == index["position"]
        assert pose["frame_id"] == index["frame_id"]
    assert Path(labels.video.filename) == session.folder / "frames.mkv"
    sums = list(frame_checksums(session.folder / "frames.mkv"))
    assert sums == session.frames["crc32"].tolist()


def test_facemaps_file_holds_the_poses(exported: Exported) -> None:
    xy, score = by_frame(exported, "likelihood")
    with h5py.File(exported.folder / "poses_FacemapPose.h5") as file:
        for at, name in enumerate(exported.said.keypoints):
            point = file["Facemap"][name]
            np.testing.assert_array_equal(np.stack([point["x"], point["y"]], axis=1), xy[:, at])
            np.testing.assert_array_equal(point["likelihood"][:], score[:, at])


def test_pandas_reads_deeplabcuts_files(exported: Exported) -> None:
    xy, score = by_frame(exported)
    for frame in (
        pd.read_hdf(exported.folder / "poses.h5"),
        pd.read_csv(exported.folder / "poses.csv", header=[0, 1, 2], index_col=0),
    ):
        held = frame.to_numpy(np.float32).reshape(len(xy), -1, 3)
        np.testing.assert_array_equal(held[:, :, :2], xy)
        np.testing.assert_array_equal(held[:, :, 2], score)


_OLD = """
import sys, json, numpy, pandas
folder = sys.argv[1]
h5 = pandas.read_hdf(folder + "/poses.h5")
csv = pandas.read_csv(folder + "/poses.csv", header=[0, 1, 2], index_col=0)
table = pandas.read_parquet(folder + "/poses.parquet")
numpy.savez(sys.argv[2], h5=h5.to_numpy("f4"), csv=csv.to_numpy("f4"), **{name: table[name] for name in table})
print(pandas.__version__)
"""


def test_an_older_pandas_reads_the_same(exported: Exported, tmp_path: Path) -> None:
    version = "1.5.3"
    told = run_in(python_with_pandas(version), _OLD, exported.folder, tmp_path / "read.npz")
    assert told.strip() == version
    read, (xy, score) = np.load(tmp_path / "read.npz"), by_frame(exported)
    for name in ("h5", "csv"):
        held = read[name].reshape(len(xy), -1, 3)
        np.testing.assert_array_equal(held[:, :, :2], xy)
        np.testing.assert_array_equal(held[:, :, 2], score)
    for at, name in enumerate(exported.said.keypoints):
        np.testing.assert_array_equal(read[f"{name}.x"], exported.poses["xy"][:, at, 0])
    for name in ("frame_id", "exposure_ns", "published_ns"):
        np.testing.assert_array_equal(read[name], exported.poses[name])


_MOVEMENT = """
import sys, json, numpy
from movement.io import load_poses
folder, fps = sys.argv[1], float(sys.argv[3])
read = {}
for name, found in {
    "nwb": load_poses.from_nwb_file(folder + "/session.nwb"),
    "slp": load_poses.from_sleap_file(folder + "/poses.slp", fps=fps),
    "h5": load_poses.from_dlc_file(folder + "/poses.h5", fps=fps),
    "csv": load_poses.from_dlc_file(folder + "/poses.csv", fps=fps),
}.items():
    names = [str(each) for each in found.keypoints.values]
    order = [names.index(each) for each in json.loads(sys.argv[4])]
    read[name + "_xy"] = found.position.transpose("time", "keypoints", "space", "individuals").values[..., 0][:, order]
    read[name + "_score"] = found.confidence.transpose("time", "keypoints", "individuals").values[..., 0][:, order]
numpy.savez(sys.argv[2], **read)
"""


def test_movement_reads_each_file_of_poses(exported: Exported, tmp_path: Path) -> None:
    python = os.environ.get("RTFACE_MOVEMENT_PYTHON")
    if not python:
        pytest.skip(
            "RTFACE_MOVEMENT_PYTHON names no Python with movement (.ci/movement-environment makes one)"
        )
    names = json.dumps(list(exported.said.keypoints))
    run_in(Path(python), _MOVEMENT, exported.folder, tmp_path / "read.npz", 20.0, names)
    read, poses, laid = np.load(tmp_path / "read.npz"), exported.poses, by_frame(exported)
    for name, (xy, score) in {
        "nwb": (poses["xy"], poses["score"]),
        "slp": (poses["xy"], poses["score"]),
        "h5": laid,
        "csv": laid,
    }.items():
        np.testing.assert_array_equal(read[f"{name}_xy"].astype(np.float32), xy, err_msg=name)
        np.testing.assert_array_equal(read[f"{name}_score"].astype(np.float32), score, err_msg=name)


def test_exporting_touched_nothing_that_was_recorded(exported: Exported) -> None:
    assert read_session(exported.session.folder).fingerprint == exported.session.fingerprint
    assert replay_rules(exported.session.folder).identical
    assert sorted(each.name for each in exported.session.folder.iterdir()) == ["frames.mkv", "session.log"]

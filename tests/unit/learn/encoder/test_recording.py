from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.deposit import write_filtered, write_table
from support.neural_recording import NAMES, make_session, write_session

from rtface.core.errors import DataError, UsageError
from rtface.encode.grid import rows_of
from rtface.learn.encoder.arrays import read_matrix
from rtface.learn.encoder.keypoint_files import read_keypoints
from rtface.learn.encoder.recording import RecordingFiles, read_recording
from rtface.record import formats
from rtface.record.table import NO_TIME, PoseTable


def pose_table(frame_id: np.ndarray[Any, Any], camera_ns: np.ndarray[Any, Any] | None = None) -> PoseTable:
    frames = len(frame_id)
    none = np.full(frames, NO_TIME, np.int64)
    xy = np.stack([frame_id, 2.0 * frame_id], axis=1)[:, None].repeat(2, axis=1).astype(np.float32)
    return PoseTable(
        names=("nose(tip)", "paw"),
        trained=(True, True),
        xy=xy,
        score=np.ones((frames, 2), np.float32),
        outside=np.zeros((frames, 2), np.bool_),
        frame_id=frame_id.astype(np.int64),
        exposure_ns=none,
        arrival_ns=none,
        camera_ns=none if camera_ns is None else camera_ns.astype(np.int64),
    )


def neural(path: Path, **arrays: Any) -> Path:
    np.savez(path, **{"spks": np.ones((3, 20), np.float32), "tneural": np.arange(20) / 3.0, **arrays})
    return path


def test_a_session_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_session(tmp_path / "s.npz", seconds=20, neurons=5)
    arrays = make_session(20, 5)
    recording = read_recording(RecordingFiles(path, path, extras={"run": None}))
    assert recording.keypoints == NAMES[:2]
    assert recording.extras == ("run",)
    np.testing.assert_array_equal(recording.raw[:, :4], arrays["keypoints"][:, :2].reshape(-1, 4))
    np.testing.assert_array_equal(recording.neurons, arrays["spks"])
    assert recording.positions is not None
    np.testing.assert_array_equal(recording.positions[:, 1], arrays["ypos"])
    assert recording.frame_rate == pytest.approx(50)
    assert recording.neural_rate == pytest.approx(3)
    assert recording.remarks == ()
    (source,) = recording.sources.values()
    assert source["name"] == "s.npz"
    # The newest running speed at each frame, unknown before the first.
    run, tneural = recording.raw[:, 4], arrays["tneural"]
    assert np.isnan(run[recording.frame_times < tneural[0]]).all()
    frame = np.searchsorted(recording.frame_times, tneural[7] + 0.05)
    assert run[frame] == np.float32(arrays["run"][7])


def test_frames_are_the_newest_that_are_old_enough(tmp_path: Path) -> None:
    path = write_session(tmp_path / "s.npz", seconds=20, neurons=5)
    recording = read_recording(RecordingFiles(path, path))
    for delay in (0.0, 0.1, -0.2):
        frames = recording.frames_at(delay)
        age = recording.neural_times - recording.frame_times[frames]
        assert (age >= delay - 1e-6).all()
        assert (age < delay + 0.02 + 1e-6).all()


def test_lost_frames_become_rows_of_nan(tmp_path: Path) -> None:
    kept = np.delete(np.arange(300), [100, 101, 102])
    formats.write(pose_table(kept), tmp_path / "v.rtface.h5")
    where = RecordingFiles(tmp_path / "v.rtface.h5", neural(tmp_path / "n.npz"), frame_rate=50.0)
    raw = read_recording(where).raw
    assert raw.shape == (300, 2)
    assert np.isnan(raw[100:103]).all()
    assert raw[200].tolist() == [200, 400]


def test_frames_missing_between_the_times_become_rows_of_nan_too(tmp_path: Path) -> None:
    kept = np.delete(np.arange(300), [50, 51])
    xy = np.stack([kept, kept], axis=1)[:, None].astype(np.float32)
    np.savez(tmp_path / "k.npz", keypoints=xy, keypoint_names=["nose"], tcam=kept / 50)
    recording = read_recording(RecordingFiles(tmp_path / "k.npz", neural(tmp_path / "n.npz")))
    assert recording.raw.shape == (300, 2)
    assert np.isnan(recording.raw[50:52]).all()
    assert recording.raw[299, 0] == 299
    np.testing.assert_allclose(recording.frame_times, np.arange(300) / 50)
    assert any("2 frames are missing" in remark for remark in recording.remarks)


def test_the_keypoint_files_own_times_are_taken_and_told(tmp_path: Path) -> None:
    frames = np.arange(300)
    formats.write(pose_table(frames, frames * 20_000_000), tmp_path / "v.rtface.h5")
    recording = read_recording(RecordingFiles(tmp_path / "v.rtface.h5", neural(tmp_path / "n.npz")))
    np.testing.assert_allclose(recording.frame_times, frames / 50)
    assert any("taken to be on the neurons' clock" in remark for remark in recording.remarks)


def test_camera_times_of_nearly_the_right_number_are_spread(tmp_path: Path) -> None:
    formats.write(pose_table(np.arange(300)), tmp_path / "v_FacemapPose.h5", "facemap")
    path = neural(tmp_path / "n.npz", tcam=np.arange(302) / 50)
    recording = read_recording(RecordingFiles(tmp_path / "v_FacemapPose.h5", path))
    assert recording.keypoints == ("nose(tip)",)
    assert recording.frame_times[-1] == pytest.approx(301 / 50)
    assert any("302 times for 300 frames" in remark for remark in recording.remarks)


def test_facemaps_filtered_keypoints_are_read(tmp_path: Path) -> None:
    xy = np.random.default_rng(0).normal(size=(300, 2, 2))
    np.save(
        tmp_path / "kpfilt.npy", np.array({"xy": xy, "keypoint_labels": ["nose", "eye"]}), allow_pickle=True
    )
    where = RecordingFiles(tmp_path / "kpfilt.npy", neural(tmp_path / "n.npz"), frame_rate=50.0)
    recording = read_recording(where)
    assert recording.keypoints == ("nose", "eye")
    np.testing.assert_allclose(recording.raw, xy.reshape(300, 4), rtol=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_matrices_are_read_in_parts_and_in_any_order(tmp_path: Path, order: Any, dtype: Any) -> None:
    values = np.asarray(np.random.default_rng(0).integers(0, 99, (40, 30)), dtype, order=order)
    np.savez(tmp_path / "m.npz", spks=values)
    np.save(tmp_path / "m.npy", values)
    for path, field in ((tmp_path / "m.npz", "spks"), (tmp_path / "m.npy", None)):
        found = read_matrix(path, field)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, values)


def broken(folder: Path, what: str) -> RecordingFiles:
    keypoints, neurons = folder / "k.npz", folder / "n.npz"
    xy, names = np.ones((300, 2, 2), np.float32), ["nose", "eye"]
    xy += np.arange(300)[:, None, None]
    arrays: dict[str, Any] = {"keypoints": xy, "keypoint_names": names, "tcam": np.arange(300) / 50}
    neural_arrays: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if what == "turned":
        neural_arrays["spks"] = np.ones((20, 3), np.float32)
    elif what == "falling":
        neural_arrays["tneural"] = np.arange(20)[::-1] / 3
    elif what == "nan times":
        neural_arrays["tneural"] = np.full(20, np.nan)
    elif what == "too many":
        neural_arrays["tcam"] = np.arange(400) / 50
    elif what == "apart":
        neural_arrays["tneural"] = 1000 + np.arange(20) / 3
    elif what == "names":
        arrays["keypoint_names"] = ["nose"]
    elif what == "blind":
        arrays["keypoints"] = np.full_like(xy, np.nan)
    elif what == "no times":
        del arrays["tcam"]
    elif what == "extra":
        neural_arrays["run"] = np.ones(7)
        options["extras"] = {"run": None}
    elif what == "no extra":
        options["extras"] = {"run": None}
    elif what == "positions":
        neural_arrays |= {"xpos": np.ones(2), "ypos": np.ones(2)}
    elif what == "exclude":
        options["exclude"] = ("tail",)
    np.savez(keypoints, **arrays)
    neural(neurons, **neural_arrays)
    if what == "cut":
        neurons.write_bytes(neurons.read_bytes()[:300])
    return RecordingFiles(keypoints, neurons, **options)


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("turned", DataError, r"n\.npz: tneural has 20 times, but .* turned round"),
        ("falling", DataError, r"n\.npz: tneural are not rising"),
        ("nan times", DataError, r"n\.npz: tneural are not rising"),
        ("too many", DataError, r"n\.npz: tcam has 400 times, but .*k\.npz has 300 frames"),
        ("apart", DataError, r"share no time"),
        ("names", DataError, r"k\.npz: keypoints has the shape .* 1 names"),
        ("blind", DataError, r"k\.npz has no keypoint to use"),
        ("no times", UsageError, r"k\.npz has no times"),
        ("extra", DataError, r"n\.npz: run has 7 values"),
        ("no extra", DataError, r"n\.npz has no field run"),
        ("positions", DataError, r"xpos and ypos have 2 and 2 values for 3 neurons"),
        ("exclude", UsageError, r"no keypoint 'tail' to exclude"),
        ("cut", DataError, r"n\.npz cannot be read"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, what: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_recording(broken(tmp_path, what))


def test_pickled_neurons_are_never_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "n.npz", spks=np.array({"a": 1}, dtype=object), tneural=np.arange(20))
    where = broken(tmp_path, "")
    np.savez(tmp_path / "n.npz", spks=np.array([[{}]], dtype=object), tneural=np.arange(1.0))
    with pytest.raises(DataError, match="holds object, not numbers"):
        read_recording(where)


def test_a_fast_camera_becomes_rows_as_the_stream_sees_them(tmp_path: Path) -> None:
    """200 frames a second, of which some are lost, as rows at 50: those of `rtface.encode.grid`."""
    random = np.random.default_rng(0)
    frame_id = np.sort(random.choice(2400, 2000, replace=False))
    frame_id = frame_id[~((frame_id > 800) & (frame_id < 1200))]
    table = pose_table(frame_id, 10**12 + frame_id * 5_000_000)
    formats.write(table, tmp_path / "k.rtface.h5")
    spks = neural(tmp_path / "n.npz", tneural=1000 + np.arange(20) / 3.0)
    recording = read_recording(RecordingFiles(tmp_path / "k.rtface.h5", spks, rate=50.0))
    times_ns = 10**12 + frame_id * 5_000_000
    parts = rows_of(table.xy[:, :1].reshape(-1, 2), times_ns, 50.0, 200.0)
    assert len(parts) == 2
    (one, _), (two, frames) = parts
    np.testing.assert_array_equal(recording.raw[: len(one)], one)
    np.testing.assert_array_equal(recording.raw[-len(two) :], two)
    between = recording.raw[len(one) : -len(two)]
    assert 90 < len(between) < 100
    assert np.isnan(between).all()
    assert recording.frame_rate == pytest.approx(50, rel=0.01)
    seen = np.flatnonzero(frames >= 0)
    there = recording.frame_times[-len(two) :][seen]
    np.testing.assert_allclose(there, times_ns[frames[seen]] / 1e9)
    assert any("became" in remark for remark in recording.remarks)
    with pytest.raises(UsageError, match="200 frames a second are too few for 400 rows"):
        read_recording(RecordingFiles(tmp_path / "k.rtface.h5", spks, rate=400.0))


def test_a_simulated_population_says_so(tmp_path: Path) -> None:
    formats.write(pose_table(np.arange(300), 10**9 + np.arange(300) * 20_000_000), tmp_path / "k.rtface.h5")
    for said in (True, False):
        spks = neural(
            tmp_path / "n.npz",
            tneural=1 + np.arange(15) / 3.0,
            spks=np.ones((3, 15)),
            simulated=np.array(said),
        )
        assert read_recording(RecordingFiles(tmp_path / "k.rtface.h5", spks)).simulated is said
    spks = neural(tmp_path / "n.npz", tneural=1 + np.arange(15) / 3.0, spks=np.ones((3, 15)))
    assert not read_recording(RecordingFiles(tmp_path / "k.rtface.h5", spks)).simulated


def test_keypoints_of_the_public_data_are_told_by_what_the_file_holds(tmp_path: Path) -> None:
    xy = np.random.default_rng(0).uniform(0, 300, (40, 3, 2)).astype(np.float32)
    write_table(tmp_path / "cam0_a_FacemapPose.h5", xy)
    write_filtered(tmp_path / "kpfilt.dat.npy", xy)
    (tmp_path / "kpfilt.dat.npy").rename(tmp_path / "kpfilt.dat")
    for name in ("cam0_a_FacemapPose.h5", "kpfilt.dat"):
        names, found, times = read_keypoints(tmp_path / name)
        assert names == NAMES
        assert times is None
        np.testing.assert_array_equal(found, xy)

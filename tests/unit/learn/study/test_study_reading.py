from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.deposit import BAD, write_deposit, write_filtered, write_neurons, write_processed
from support.neural_recording import NAMES, make_session

from rtface.core.errors import DataError, UsageError
from rtface.learn.study.contents import Stated
from rtface.learn.study.inputs import inputs_of
from rtface.learn.study.sessions import StudySession, described, read_study
from rtface.learn.study.staging import stage
from rtface.record.formats.base import from_rows
from rtface.record.formats.facemap import Facemap

NOTHING = Stated()


@pytest.fixture
def arrays() -> dict[str, Any]:
    return make_session(60.0, 12)


def write_one(root: Path, arrays: dict[str, Any], **changed: Any) -> Path:
    root.mkdir(exist_ok=True)
    write_neurons(root / "a.npz", arrays, **changed)
    write_filtered(root / "b.npy", arrays["keypoints"])
    return root


def staged(session: StudySession, folder: Path) -> Any:
    return stage(session.neurons, len(session.tneural), folder / "traces.npy")


def test_the_deposit_is_read_by_what_its_files_hold(tmp_path: Path) -> None:
    names = write_deposit(tmp_path / "d", seconds=60, neurons=12)
    first, second = read_study(tmp_path / "d", NOTHING)
    assert [first.name, second.name] == names
    for session, seconds in ((first, 60), (second, 70)):
        assert session.points is not None
        assert session.points.names == NAMES
        assert session.film is not None
        assert (session.film.kind, session.film.count) == ("movie", 12)
        assert len(session.tcam) == 50 * seconds - 1
        assert set(session.behaviour) == {"run", "pupil"}
        assert any("cut to" in remark for remark in session.remarks)
    assert first.points is not None
    np.testing.assert_allclose(first.points.read(), make_session(60, 12)["keypoints"], rtol=1e-6)


def test_names_tell_nothing_where_contents_do(tmp_path: Path) -> None:
    write_deposit(tmp_path / "d", seconds=60, neurons=12)
    before = read_study(tmp_path / "d", NOTHING)
    for number, path in enumerate(sorted((tmp_path / "d").rglob("*"))):
        if path.is_file():
            path.rename(tmp_path / "d" / f"{chr(97 + number)}.dat")
    after = read_study(tmp_path / "d", NOTHING)
    assert {len(each.tcam) for each in after} == {len(each.tcam) for each in before}
    assert all(each.points is not None and each.film is not None for each in after)


def test_bad_neurons_are_dropped_and_counted(tmp_path: Path, arrays: dict[str, Any]) -> None:
    (session,) = read_study(write_one(tmp_path / "d", arrays), NOTHING)
    found = staged(session, tmp_path)
    assert found.dropped == BAD
    assert found.remark == "6 bad neurons were dropped: 1 not finite, 3 empty, 2 constant"
    np.testing.assert_array_equal(found.good, np.arange(6, 12))
    np.testing.assert_array_equal(found.traces[:], arrays["spks"][6:])
    np.testing.assert_array_equal(found.traces[1:3], arrays["spks"][7:9])


def test_a_matrix_by_columns_is_staged_alike(tmp_path: Path, arrays: dict[str, Any]) -> None:
    root = write_one(tmp_path / "d", arrays, spks=np.asfortranarray(arrays["spks"].astype(np.float64)))
    (session,) = read_study(root, NOTHING)
    np.testing.assert_array_equal(staged(session, tmp_path).traces[:], arrays["spks"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"tneural": None}, "no tneural; state the clock with --neural-rate"),
        ({"tcam": None}, "no tcam; state the clock with --frame-rate"),
        ({"tcam": np.arange(2000) / 50}, "tcam has 2000 times for 3000 frames"),
        ({"tneural": np.arange(12) / 3}, r"is spks turned round\?"),
        ({"tneural": np.arange(179)[::-1] / 3}, "tneural are not rising seconds"),
        ({"xpos": np.arange(5.0)}, "xpos has 5 values for 12 neurons"),
        ({"run": np.arange(55.0)}, "run has 55 values"),
        ({"tcam": 1e6 + np.arange(3000) / 50}, "share no time"),
    ],
)
def test_what_does_not_fit_is_refused_by_file_and_field(
    tmp_path: Path, arrays: dict[str, Any], changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_study(write_one(tmp_path / "d", arrays, **changed), NOTHING)
    assert "a.npz" in str(caught.value)


def test_all_faults_come_at_once(tmp_path: Path, arrays: dict[str, Any]) -> None:
    root = write_one(tmp_path / "d", arrays, tneural=None, xpos=np.arange(5.0), run=np.arange(55.0))
    (root / "cut.npz").write_bytes((root / "a.npz").read_bytes()[:500])
    (root / "none.npy").write_bytes(b"")
    (root / "other.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    (root / "notes.txt").write_text("no fault")
    with pytest.raises(DataError) as caught:
        read_study(root, NOTHING)
    text = str(caught.value)
    assert "6 faults" in text
    for name in ("a.npz: no tneural", "a.npz: xpos", "a.npz: run", "cut.npz", "none.npy", "other.h5"):
        assert name in text
    assert "notes.txt" not in text


def test_an_absent_clock_is_taken_when_it_is_stated(tmp_path: Path, arrays: dict[str, Any]) -> None:
    root = write_one(tmp_path / "d", arrays, tneural=None, tcam=None)
    (session,) = read_study(root, Stated(frame_rate=50, neural_rate=3))
    assert len(session.tcam) == 3000
    assert session.tneural[3] == pytest.approx(1)
    with pytest.raises(UsageError, match="above 0"):
        Stated(frame_rate=0)


def test_bare_times_go_where_they_fit(tmp_path: Path, arrays: dict[str, Any]) -> None:
    root = write_one(tmp_path / "d", arrays, tneural=None, tcam=None)
    np.save(root / "x.npy", arrays["tcam"])
    np.save(root / "y.npy", arrays["tneural"])
    (session,) = read_study(root, NOTHING)
    np.testing.assert_array_equal(session.tcam, arrays["tcam"])
    np.testing.assert_array_equal(session.tneural, arrays["tneural"])


def test_a_field_may_have_another_name(tmp_path: Path, arrays: dict[str, Any]) -> None:
    root = write_one(tmp_path / "d", arrays, spks=None, traces=arrays["spks"])
    with pytest.raises(DataError, match="no file holds neurons"):
        read_study(root, NOTHING)
    (session,) = read_study(root, Stated(fields={"spks": "traces"}))
    assert session.neurons.shape == arrays["spks"].shape


def test_a_file_that_fits_several_recordings_is_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    root = write_one(tmp_path / "d", arrays)
    write_neurons(root / "c.npz", arrays)
    with pytest.raises(
        DataError, match=re.escape("b.npy: 3000 frames fit several recordings (a.npz, c.npz)")
    ):
        read_study(root, NOTHING)


def test_filtered_keypoints_are_preferred_and_the_others_named(
    tmp_path: Path, arrays: dict[str, Any]
) -> None:
    root = write_one(tmp_path / "d", arrays)
    shape = (3000, len(NAMES))
    table = from_rows(NAMES, np.arange(3000), arrays["keypoints"], np.ones(shape, np.float32))
    Facemap().write(table, root / "cam1_FacemapPose.h5")
    (session,) = read_study(root, NOTHING)
    assert session.points is not None
    assert session.points.filtered
    assert "not of cam1_FacemapPose.h5" in "\n".join(described([session]))
    (other,) = read_study(root, Stated(match="cam1"))
    assert other.points is not None
    assert not other.points.filtered
    chosen = [other.points.names.index(name) for name in NAMES]
    np.testing.assert_array_equal(other.points.read()[:, chosen], arrays["keypoints"])


def test_inputs_are_keypoints_film_and_behaviour(tmp_path: Path, arrays: dict[str, Any]) -> None:
    root = write_one(tmp_path / "d", arrays)
    write_processed(root / "p.npy", arrays["keypoints"])
    (session,) = read_study(root, NOTHING)
    found = inputs_of(session, arrays["spks"], None, ("run",)).recordings
    assert list(found) == ["keypoints", "movie", "behaviour"]
    assert found["keypoints"].keypoints == NAMES[:2]  # the paw is left out
    assert found["keypoints"].extras == ("run",)
    held = np.searchsorted(arrays["tneural"], arrays["tcam"][1000], side="right") - 1
    assert found["keypoints"].raw[1000, 4] == pytest.approx(arrays["run"][held], rel=1e-6)
    assert found["behaviour"].raw.shape == (2999, 2)
    (bare,) = read_study(write_one(tmp_path / "e", arrays, run=None), NOTHING)
    with pytest.raises(DataError, match="no file holds pupil"):
        inputs_of(bare, arrays["spks"], None, ("pupil",))


def test_planes_of_suite2p_come_onto_one_clock(tmp_path: Path, arrays: dict[str, Any]) -> None:
    drive = np.sin(np.arange(180) / 5)
    for plane, late in ((0, 0.0), (1, 0.5)):
        folder = tmp_path / "d" / "suite2p" / f"plane{plane}"
        folder.mkdir(parents=True)
        samples = 180 - plane
        traces = np.stack([np.sin((np.arange(samples) + late) / 5)] * 3).astype(np.float32)
        np.save(folder / "spks.npy", traces)
        np.save(folder / "iscell.npy", np.array([[1, 0.9], [0, 0.1], [1, 0.8]]))
        stat = np.array([{"med": [10 * plane, k], "npix": 40} for k in range(3)], dtype=object)
        np.save(folder / "stat.npy", stat, allow_pickle=True)
    write_filtered(tmp_path / "d" / "k.npy", arrays["keypoints"])
    with pytest.raises(DataError, match="no tneural"):
        read_study(tmp_path / "d", Stated(frame_rate=50))
    (session,) = read_study(tmp_path / "d", Stated(frame_rate=50, neural_rate=3))
    assert session.neurons.shape == (4, 179)
    assert "2 regions are no cells" in "\n".join(session.remarks)
    found = staged(session, tmp_path).traces[:]
    # The second plane is taken half a sample later, of which the interpolation knows.
    np.testing.assert_allclose(found[2, 1:178], drive[1:178], atol=0.01)
    assert np.abs(found[2, 1:178] - np.sin((np.arange(1, 178) + 0.5) / 5)).max() > 0.05
    assert session.places is not None
    np.testing.assert_array_equal(session.places[2:], [[0, 10], [2, 10]])


def test_folders_of_suite2p_side_by_side_are_recordings(tmp_path: Path, arrays: dict[str, Any]) -> None:
    for number, name in enumerate(("monday", "tuesday")):
        folder = tmp_path / "d" / name
        folder.mkdir(parents=True)
        np.save(folder / "spks.npy", arrays["spks"][:, : 170 + number])
        np.save(folder / "iscell.npy", np.ones((len(arrays["spks"]), 2)))
        np.save(folder / "times.npy", arrays["tneural"][: 170 + number])
        write_filtered(folder / "k.npy", arrays["keypoints"])
        np.save(folder.with_name(f"{name}_camera.npy"), arrays["tcam"])
    found = read_study(tmp_path / "d", NOTHING)
    assert [each.name for each in found] == ["monday", "tuesday"]
    assert [len(each.tneural) for each in found] == [170, 171]


def test_matlab_files_are_read_as_npz_are(tmp_path: Path, arrays: dict[str, Any]) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="the extra `analyse` is not installed")
    names = ("spks", "tcam", "tneural", "xpos", "ypos", "run", "keypoints")
    kept = {name: arrays[name] for name in names} | {"keypoint_names": np.array(NAMES, dtype=object)}
    (tmp_path / "five").mkdir()
    scipy_io.savemat(tmp_path / "five" / "a.mat", kept)
    (tmp_path / "seven").mkdir()
    with h5py.File(tmp_path / "seven" / "a.mat", "w", userblock_size=512) as file:
        for name in names:
            file[name] = np.asarray(arrays[name]).T
            file[name].attrs["MATLAB_class"] = b"double"
        texts = [
            file.create_dataset(f"#refs#/{k}", data=np.array([[ord(c)] for c in n]))
            for k, n in enumerate(NAMES)
        ]
        file["keypoint_names"] = np.array([[each.ref] for each in texts], dtype=h5py.ref_dtype)
        file["keypoint_names"].attrs["MATLAB_class"] = b"cell"
    for folder in ("five", "seven"):
        (session,) = read_study(tmp_path / folder, NOTHING)
        assert session.points is not None
        assert session.points.names == NAMES
        np.testing.assert_allclose(session.points.read(), arrays["keypoints"], rtol=1e-6)
        (tmp_path / f"{folder}-out").mkdir()
        np.testing.assert_array_equal(staged(session, tmp_path / f"{folder}-out").traces[:], arrays["spks"])


def test_nwb_is_read_with_the_times_of_each_series(tmp_path: Path, arrays: dict[str, Any]) -> None:
    (tmp_path / "d").mkdir()
    with h5py.File(tmp_path / "d" / "a.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.7.0"

        def series(name: str, kind: str, data: Any, times: Any) -> None:
            group = file.create_group(name)
            group.attrs["neurodata_type"] = kind
            group["data"], group["timestamps"] = data, times

        series("processing/ophys/Fluorescence", "RoiResponseSeries", arrays["spks"].T * 2, arrays["tneural"])
        series("processing/ophys/Deconvolved", "RoiResponseSeries", arrays["spks"].T, arrays["tneural"])
        for k, name in enumerate(NAMES):
            series(
                f"processing/behavior/{name}",
                "PoseEstimationSeries",
                arrays["keypoints"][:, k],
                arrays["tcam"],
            )
        series("processing/behavior/running_speed", "TimeSeries", np.arange(600.0), np.arange(600) / 10 + 10)
    (session,) = read_study(tmp_path / "d", NOTHING)
    np.testing.assert_array_equal(staged(session, tmp_path).traces[:], arrays["spks"])
    assert session.points is not None
    assert set(session.points.names) == set(NAMES)
    np.testing.assert_array_equal(session.tcam, arrays["tcam"])
    np.testing.assert_allclose(session.behaviour["run"][3], 10 * (arrays["tneural"][3] - 10), atol=1e-9)
    assert "of 2 series of traces processing/ophys/Deconvolved was taken" in "\n".join(session.remarks)


def test_spike_times_of_nwb_need_a_stated_bin(tmp_path: Path, arrays: dict[str, Any]) -> None:
    (tmp_path / "d").mkdir()
    random = np.random.default_rng(0)
    spikes = [np.sort(random.uniform(10, 70, 200)) for _ in range(5)]
    with h5py.File(tmp_path / "d" / "a.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        file["units/spike_times"] = np.concatenate(spikes)
        file["units/spike_times_index"] = np.cumsum([len(each) for each in spikes])
    write_filtered(tmp_path / "d" / "k.npy", arrays["keypoints"])
    np.save(tmp_path / "d" / "t.npy", arrays["tcam"])
    with pytest.raises(DataError, match=r"a\.nwb: its units are spike times; state with --neural-rate"):
        read_study(tmp_path / "d", NOTHING)
    (session,) = read_study(tmp_path / "d", Stated(neural_rate=2))
    found = staged(session, tmp_path).traces[:]
    assert found.sum() == 1000
    inside = (spikes[3] >= 20) & (spikes[3] < 20.5)
    place = int(np.argmin(np.abs(session.tneural - 20.25)))
    assert found[3, place] == inside.sum()


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    root = write_one(tmp_path / "d", arrays)

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return (print, ("keypoint_labels movSVD",))

    np.save(root / "evil.npy", np.array({"xy": Runs()}, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"evil\.npy is refused"):
        read_study(root, NOTHING)

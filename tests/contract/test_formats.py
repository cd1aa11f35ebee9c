"""One suite over every keypoint format, and each foreign format as its own readers see it."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from support.smalldisk import disk_of

from rtface.core.errors import DataError, UsageError
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.record import formats
from rtface.record.formats.base import MOST_MISSING_ROWS
from rtface.record.table import NO_TIME, PoseTable

FILES = {
    "deeplabcut-csv": "mouse.csv",
    "deeplabcut-h5": "mouse.h5",
    "facemap": "mouse_FacemapPose.h5",
    "rtface": "mouse.rtface.h5",
}
WHOLE = ("rtface",)
"""Formats that keep all of a table."""
BY_FRAME = ("deeplabcut-csv", "deeplabcut-h5", "facemap")
"""Formats whose rows are frame numbers."""
NAMES = ("paw", "eye(back)", "whisker(III)", "Zunge, rechts", "nose(r)")
FRAMES = (0, 1, 2, 5, 6, 9)


def make_table(frames: tuple[int, ...] = FRAMES, *, legacy: bool = False) -> PoseTable:
    rng = np.random.default_rng(3)
    rows, points = len(frames), len(NAMES)
    xy = rng.uniform(-50, 2000, (rows, points, 2)).astype(np.float32)
    score = rng.uniform(0, 1, (rows, points)).astype(np.float32)
    trained = (True, True, True, True, False)
    xy[:, 4], score[:, 4] = np.nan, 0
    if rows > 3:
        xy[3, 1] = np.nan
    outside = (xy < 0).any(axis=2)
    likelihood = score + np.float32(0.5) if legacy else None
    frame_id = np.asarray(frames, np.int64)
    return PoseTable(
        names=NAMES,
        trained=trained,
        xy=xy,
        score=score,
        outside=outside,
        frame_id=frame_id,
        exposure_ns=2**60 + frame_id * 5_000_000,
        arrival_ns=2**60 + frame_id * 5_000_000 + 123,
        camera_ns=frame_id * 40_000_000,
        likelihood=likelihood,
        source="Mäuse/März.avi",
        engine="face-1,b",
        score_definition="P(error < 5 px)",
        provenance={"rtface": "0.1", "größe/µ": "é\n"},
    )


def points_of(table: PoseTable, name: str, frames: tuple[int, ...] = FRAMES) -> np.ndarray:
    """x, y and score of one keypoint, shape (frames, 3)."""
    rows = np.searchsorted(table.frame_id, np.asarray(frames) + table.first_frame)
    point = table.names.index(name)
    return np.concatenate([table.xy[rows, point], table.score[rows, point, None]], axis=1)


@pytest.fixture(params=sorted(formats.FORMATS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(kind: str, tmp_path: Path) -> Path:
    return tmp_path / FILES[kind]


def test_each_format_is_held_to_what_it_keeps() -> None:
    """A new one is named in `FILES`, and in `WHOLE` or `BY_FRAME`."""
    assert FILES.keys() == formats.FORMATS.keys()
    assert sorted(WHOLE + BY_FRAME) == sorted(formats.FORMATS)


def test_keypoints_read_back_as_they_were_written(path: Path) -> None:
    table = make_table()
    formats.write(table, path)
    back = formats.read(path)
    for name in NAMES:
        np.testing.assert_array_equal(points_of(back, name), points_of(table, name), err_msg=name)
        assert back.trained[back.names.index(name)] == (name != "nose(r)"), name
    assert back.engine == table.engine
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_frame_number_is_a_row_of_nan(tmp_path: Path) -> None:
    for kind in BY_FRAME:
        path = tmp_path / FILES[kind]
        formats.write(make_table(), path)
        back = formats.read(path)
        np.testing.assert_array_equal(back.frame_id, np.arange(10), err_msg=kind)
        lost = ~np.isin(back.frame_id, FRAMES)
        assert np.isnan(back.xy[lost]).all(), kind
        assert not back.score[lost].any(), kind
        assert (back.exposure_ns == NO_TIME).all()
        assert (back.camera_ns == NO_TIME).all()


@pytest.mark.parametrize("kind", BY_FRAME, indirect=True)
def test_row_zero_is_the_first_frame_of_a_camera_that_counts_from_elsewhere(path: Path) -> None:
    start = 7_000_000_000
    frames = tuple(start + each for each in FRAMES)
    table = make_table(frames)
    with pytest.raises(DataError, match=f"first_frame.*{start}"):
        formats.write(table, path)
    assert not path.exists()
    shifted = dataclasses.replace(table, first_frame=start)
    formats.write(shifted, path)
    back = formats.read(path)
    np.testing.assert_array_equal(points_of(back, "paw"), points_of(shifted, "paw", FRAMES))
    with pytest.raises(DataError, match="lies before the first frame"):
        formats.write(dataclasses.replace(table, first_frame=start + 1), path, overwrite=True)


@pytest.mark.parametrize("frames", [(0, 1, 1, 2), (5, 6, 0, 1), (-1, 0)])
@pytest.mark.parametrize("kind", BY_FRAME, indirect=True)
def test_frame_numbers_that_are_no_rows_are_refused(path: Path, frames: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="frame"):
        formats.write(make_table(frames), path)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("frames", [(0, 1, 1, 2), (5, 6, 0, 1), (), (3, 3 + 2 * MOST_MISSING_ROWS)])
@pytest.mark.parametrize("kind", WHOLE, indirect=True)
def test_a_format_that_keeps_all_keeps_frames_as_they_came(path: Path, frames: tuple[int, ...]) -> None:
    table = make_table(frames)
    formats.write(table, path)
    np.testing.assert_array_equal(formats.read(path).frame_id, frames)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("kind", WHOLE, indirect=True)
def test_a_format_that_keeps_all_keeps_every_field(path: Path, legacy: bool, published: bool) -> None:
    table = dataclasses.replace(make_table(legacy=legacy), first_frame=-3)
    if published:
        table = dataclasses.replace(table, published_ns=table.exposure_ns + 7)
    formats.write(table, path)
    back = formats.read(path)
    for each in dataclasses.fields(PoseTable):
        before, after = getattr(table, each.name), getattr(back, each.name)
        assert type(after) is type(before), each.name
        if isinstance(before, np.ndarray):
            assert after.dtype == before.dtype, each.name
            np.testing.assert_array_equal(after, before, err_msg=each.name)
        else:
            assert after == before, each.name


def test_our_own_files_of_before_camera_ns_are_read(tmp_path: Path) -> None:
    path = tmp_path / FILES["rtface"]
    table = make_table()
    formats.write(table, path)
    with h5py.File(path, "a") as file:
        del file["camera_ns"]
    back = formats.read(path)
    assert back.camera_ns.tolist() == [NO_TIME] * len(FRAMES)
    np.testing.assert_array_equal(back.exposure_ns, table.exposure_ns)


def test_a_recording_of_no_frames_is_a_file_of_no_rows(path: Path) -> None:
    formats.write(make_table(()), path)
    back = formats.read(path)
    assert len(back) == 0
    assert set(NAMES) <= set(back.names)


def test_an_existing_file_is_kept_unless_told(path: Path) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match=path.name):
        formats.write(make_table(), path)
    assert path.read_bytes() == b"precious"
    formats.write(make_table(), path, overwrite=True)
    assert len(formats.read(path))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("size", [0, 700])
def test_a_full_disk_is_an_error_and_keeps_the_old_file(path: Path, size: int) -> None:
    path.write_bytes(b"precious")
    with disk_of(size), pytest.raises(DataError) as caught:
        formats.write(make_table(tuple(range(1000))), path, overwrite=True)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"precious"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_to_reach_the_disk_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DataError, match="No space left"):
        formats.write(make_table(), path)
    assert not list(path.parent.iterdir())


def test_a_folder_that_cannot_be_written_is_named(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "absent"):
        path = folder / FILES[kind]
        with pytest.raises(DataError) as caught:
            formats.write(make_table(), path)
        assert str(path) in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("content", [None, b"", b"\x00\xff\xfe garbage \x80" * 50, b"a,b\n1,2\n"])
def test_what_is_no_such_file_is_refused_by_name(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        formats.read(path)
    assert str(path) in str(caught.value)


def test_a_truncated_file_is_refused_by_name(path: Path) -> None:
    formats.write(make_table(tuple(range(500))), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 if path.suffix != ".csv" else 40])
    with pytest.raises(DataError) as caught:
        formats.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["deeplabcut-csv", "deeplabcut-h5"], indirect=True)
def test_deeplabcut_files_are_what_its_readers_expect(path: Path) -> None:
    table = make_table(legacy=True)
    formats.write(table, path)
    if path.suffix == ".csv":
        read = pd.read_csv(path, header=[0, 1, 2], index_col=0)
        lines = path.read_text("utf-8").splitlines()
        assert [line.split(",")[0] for line in lines[:4]] == ["scorer", "bodyparts", "coords", "0"]
    else:
        frame = pd.read_hdf(path)
        assert isinstance(frame, pd.DataFrame)
        read = frame
        with h5py.File(path) as file:
            assert list(file) == ["df_with_missing"]
    assert read.columns.names == ["scorer", "bodyparts", "coords"]
    assert read.columns.tolist() == [
        ("rtface_face-1,b", name, coord) for name in NAMES for coord in ("x", "y", "likelihood")
    ]
    assert read.index.tolist() == list(range(10))
    paw = read["rtface_face-1,b"]["paw"]
    np.testing.assert_array_equal(paw.loc[list(FRAMES), "x"].to_numpy(np.float32), table.xy[:, 0, 0])
    np.testing.assert_array_equal(paw.loc[list(FRAMES), "likelihood"].to_numpy(np.float32), table.score[:, 0])
    assert paw.loc[3, ["x", "y"]].isna().all()
    assert paw.loc[3, "likelihood"] == 0


def test_the_csv_is_what_pandas_writes_to_the_byte(tmp_path: Path) -> None:
    table = make_table(tuple(range(2500)))
    odd = np.array(
        [0, -0.0, 1, 0.1, 1e-5, 1e-4, 123456.79, 1e7, 1e16, 3e38, 1e-45, np.inf, -np.inf], np.float32
    )
    table.xy[: len(odd), 0, 0] = odd
    rng = np.random.default_rng(1)
    table.xy[len(odd) :, 0, 0] = rng.integers(0, 2**32, 2500 - len(odd)).astype(np.uint32).view(np.float32)
    table.xy[1000, 0] = np.nan
    formats.write(table, tmp_path / "ours.csv")
    values = np.concatenate([table.xy, table.score[:, :, None]], axis=2).reshape(2500, -1)
    columns = pd.MultiIndex.from_product(
        [["rtface_face-1,b"], NAMES, ["x", "y", "likelihood"]], names=["scorer", "bodyparts", "coords"]
    )
    pd.DataFrame(values, columns=columns).to_csv(
        tmp_path / "theirs.csv", encoding="utf-8", lineterminator="\n"
    )
    assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "theirs.csv").read_bytes()
    back = formats.read(tmp_path / "ours.csv")
    np.testing.assert_array_equal(points_of(back, "paw", (5, 999)), points_of(table, "paw", (5, 999)))


@pytest.mark.parametrize("kind", ["deeplabcut-csv", "deeplabcut-h5"], indirect=True)
def test_deeplabcut_files_are_laid_out_like_real_ones(path: Path, shared_data: Path) -> None:
    real = shared_data / "mouse_hand_tongue_labelled/labeled-data/reachingvideo1"
    real = real / f"CollectedData_Mackenzie{path.suffix}"
    formats.write(make_table(), path)
    if path.suffix == ".csv":
        theirs, ours = (pd.read_csv(each, header=[0, 1, 2], index_col=0) for each in (real, path))
    else:
        with pd.HDFStore(real, "r") as store, pd.HDFStore(path, "r") as mine:
            assert store.keys() == mine.keys()
            assert (
                store.get_storer(store.keys()[0]).format_type == mine.get_storer(mine.keys()[0]).format_type
            )
            theirs, ours = store[store.keys()[0]], mine[mine.keys()[0]]
    assert theirs.columns.names == ours.columns.names
    assert theirs.columns.nlevels == ours.columns.nlevels == 3
    assert set(theirs.columns.get_level_values(2)) < set(ours.columns.get_level_values(2))
    with pytest.raises(DataError, match="Hand has no column likelihood; a file of labels"):
        formats.read(real)


def test_predictions_of_another_tool_are_read(shared_data: Path) -> None:
    folder = shared_data / "ibl_keypoint_traces/ibl-paw"
    file = sorted(folder.glob("*.left.rng=0.csv"))[0]
    table = formats.read(file)
    with file.open() as lines:
        row = lines.readlines()[3].split(",")
    assert table.names == ("paw_l", "paw_r")
    assert table.engine == "heatmap_mhcrnn_tracker"
    first = np.concatenate([table.xy[0], table.score[0, :, None]], axis=1).ravel()
    np.testing.assert_array_equal(first, np.asarray(row[1:], np.float32))


DLC = "scorer,s,s,s\nbodyparts,paw,paw,paw\ncoords,x,y,likelihood\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DLC + "0,1,2,often\n", "paw, likelihood is not numbers"),
        (DLC + "0,1,2,0.5\n\n1,1,2\n", "line 6: 2 values for 3 columns"),
        (DLC.replace("y,", "x,") + "0,1,2,0.5\n", "column .*paw.* is twice there"),
        (DLC.replace(",likelihood", "") + "0,1,2,0.5\n", "three rows of one length"),
        (DLC + "0,1,2,0.5\n0,1,2,0.5\n", "frame numbers of the index must rise"),
        (DLC + "img1.png,1,2,0.5\n", "index must be frame numbers, found 'img1.png'"),
        (DLC.replace("y,", "z,") + "0,1,2,0.5\n", "paw has no column y"),
        (DLC.replace("bodyparts", "points") + "0,1,2,0.5\n", "found scorer, points, coords"),
        (DLC.replace("s,s,s", "s,t,s") + "0,1,2,0.5\n", "scorer must be one, found 2"),
        (
            "scorer,s,s,s\nindividuals,a,a,a\nbodyparts,p,p,p\ncoords,x,y,likelihood\n0,1,2,0.5\n",
            "several animals are not read",
        ),
    ],
)
def test_a_malformed_deeplabcut_file_names_the_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        formats.read(path)
    assert str(path) in str(caught.value)


def test_what_other_tools_write_for_no_number_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(DLC + "0,,NaN,0.5\n3,nan,NA,1e-3\n")
    table = formats.read(path)
    assert table.frame_id.tolist() == [0, 3]
    assert np.isnan(table.xy).all()
    np.testing.assert_array_equal(table.score[:, 0], np.float32([0.5, 1e-3]))


@pytest.mark.parametrize("legacy", [False, True])
def test_facemap_finds_each_of_its_keypoints(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / FILES["facemap"]
    table = make_table(legacy=legacy)
    formats.write(table, path)
    values = table.score if table.likelihood is None else table.likelihood
    with h5py.File(path) as file:
        assert list(file) == ["Facemap"]
        for name in FACEMAP_KEYPOINTS:
            x, y, likelihood = (file["Facemap"][name][coord] for coord in ("x", "y", "likelihood"))
            assert x.shape == y.shape == likelihood.shape == (10,)
            assert x.dtype == y.dtype == likelihood.dtype == np.float32
            if name in NAMES[:4]:
                k = NAMES.index(name)
                np.testing.assert_array_equal(x[:][list(FRAMES)], table.xy[:, k, 0])
                np.testing.assert_array_equal(y[:][list(FRAMES)], table.xy[:, k, 1])
                np.testing.assert_array_equal(likelihood[:][list(FRAMES)], values[:, k])
            else:
                assert np.isnan(x[:]).all()
                assert np.isnan(y[:]).all()
                assert not likelihood[:].any()
        assert "Zunge, rechts" in file["Facemap"]
        meaning = file["Facemap"].attrs["likelihood_definition"]
    assert meaning == ("Facemap's legacy likelihood" if legacy else "rtface score: P(error < 5 px)")
    back = formats.read(path)
    assert (back.likelihood is not None) == legacy
    assert back.names[: len(FACEMAP_KEYPOINTS)] == FACEMAP_KEYPOINTS


def test_a_file_without_our_attributes_is_read_as_facemaps_own(tmp_path: Path) -> None:
    path = tmp_path / FILES["facemap"]
    with h5py.File(path, "w") as file:
        for k, name in enumerate(reversed(FACEMAP_KEYPOINTS)):
            for coord in ("x", "y", "likelihood"):
                file[f"Facemap/{name}/{coord}"] = np.full(4, k, np.float32)
    table = formats.read(path)
    assert table.names == FACEMAP_KEYPOINTS
    np.testing.assert_array_equal(table.xy[0, :, 0], np.arange(15)[::-1])
    assert table.likelihood is not None
    assert table.score_definition == "Facemap's legacy likelihood"


@pytest.mark.parametrize("name", ["a/b", "."])
def test_a_name_that_hdf5_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    table = dataclasses.replace(make_table(), names=(name, *NAMES[1:]))
    with pytest.raises(DataError, match="cannot be a keypoint's name"):
        formats.write(table, tmp_path / FILES["facemap"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "field", "replacement"),
    [
        ("facemap", "/Facemap/paw/likelihood", None),
        ("facemap", "/Facemap/paw/x", np.zeros(3, np.float32)),
        ("facemap", "/Facemap/paw", np.zeros(3, np.float32)),
        ("facemap", "/Facemap", None),
        ("rtface", "/score", None),
        ("rtface", "/xy", np.zeros((6, 5), np.float32)),
        ("rtface", "/frame_id", np.zeros(6, np.float32)),
        ("rtface", "/camera_ns", np.zeros(5, np.int64)),
        ("rtface", "/trained", np.zeros(4, np.uint8)),
        ("rtface", "provenance", np.bytes_(b"{")),
        ("rtface", "provenance", np.bytes_(b'{"a": 1}')),
        ("rtface", "names", np.array([b"a", b"\xff", b"c", b"d", b"e"])),
        ("rtface", "names", np.array([b"a", b"a", b"c", b"d", b"e"])),
        ("rtface", "score", np.zeros((6, 5), np.float64)),
    ],
)
def test_a_malformed_hdf5_file_names_the_field(
    tmp_path: Path, kind: str, field: str, replacement: np.ndarray | None
) -> None:
    path = tmp_path / FILES[kind]
    formats.write(make_table(), path)
    with h5py.File(path, "a") as file:
        del file[field]
        if replacement is not None:
            file[field] = replacement
    with pytest.raises(DataError, match=field) as caught:
        formats.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("schema_version", 2, "schema_version is 2"),
        ("schema_version", "1", "schema_version is missing or not a whole number"),
        ("format", "other", "attribute format"),
        ("engine", 3, "engine is missing or not a text"),
    ],
)
def test_a_file_of_another_version_or_kind_is_refused(
    tmp_path: Path, attribute: str, value: object, message: str
) -> None:
    path = tmp_path / FILES["rtface"]
    formats.write(make_table(), path)
    with h5py.File(path, "a") as file:
        file.attrs[attribute] = value
    with pytest.raises(DataError, match=message):
        formats.read(path)


def test_our_own_file_says_what_its_numbers_are(tmp_path: Path) -> None:
    path = tmp_path / FILES["rtface"]
    formats.write(make_table(legacy=True), path)
    units = {
        "xy": "px",
        "exposure_ns": "ns",
        "arrival_ns": "ns",
        "camera_ns": "ns",
        "score": "1",
        "likelihood": "1",
        "outside": "1",
    }
    with h5py.File(path) as file:
        assert file.attrs["schema_version"] == 1
        assert [name.decode("utf-8") for name in file["names"]] == list(NAMES)
        for name, unit in units.items():
            assert file[name].attrs["units"] == unit


def test_sleap_io_takes_the_csv_for_deeplabcuts(tmp_path: Path) -> None:
    dlc = pytest.importorskip("sleap_io.io.dlc", reason="sleap-io is not installed")
    formats.write(make_table(), tmp_path / "a.csv")
    assert dlc.is_dlc_file(tmp_path / "a.csv")

"""Each format of labels: a round trip, and each thing that may be wrong with a file."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pandas as pd
import pytest
import tables
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.learn.labels.formats.deeplabcut_csv import label_csv
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.labels.reading import read_labels

NAN = float("nan")
POINTS = np.array([[[1.5, 2.25], [NAN, NAN]], [[3.1, 4.7], [29.4, 19.4]]])
"""Labels of nose and paw on two frames of 30x20 pixels."""


def picture(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (20, 30)).astype(np.uint8)


def save(path: Path, image: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def check(found: LabelSet, video: str, names: tuple[str, str], keypoints: tuple[str, ...]) -> None:
    assert found.keypoints == keypoints
    assert [(frame.video, frame.name) for frame in found.frames] == [(video, name) for name in names]
    for index, frame in enumerate(found.frames):
        assert frame.xy.dtype == np.float32
        np.testing.assert_array_equal(frame.xy, POINTS[index].astype(np.float32))
        np.testing.assert_array_equal(frame.image, picture(index))


# Our own csv


def table(folder: Path, *rows: str, header: str = "file,video,nose_x,nose_y,paw_x,paw_y") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(("a.png", "b.png")):
        save(folder / "frames" / name, picture(index))
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_a_table_is_read_with_its_gaps(tmp_path: Path) -> None:
    folder = table(tmp_path / "set", "a.png,one,1.5,2.25,,", "", "b.png,one,3.1,4.7,29.4,19.4")
    check(read_labels(folder), "one", ("a.png", "b.png"), ("nose", "paw"))


def test_a_table_may_lack_the_video_and_have_its_images_beside_it(tmp_path: Path) -> None:
    save(tmp_path / "rig 1" / "a.png", picture(0))
    (tmp_path / "rig 1" / "mine.csv").write_text(
        "\ufefffile,note,nose_x,nose_y\na.png,hello,1,2\n", encoding="utf-8"
    )
    (frame,) = read_labels(tmp_path / "rig 1" / "mine.csv").frames
    assert (frame.name, frame.video, frame.xy.tolist()) == ("a.png", "rig 1", [[1, 2]])


def test_a_written_table_loses_nothing(tmp_path: Path) -> None:
    xy = np.array([[1 / 3, 2.1], [NAN, NAN]], np.float32)
    keys = [
        ("clip 7", "C:/v"),
        ("clip 7", "c/V"),
        ("img.PNG", "v"),
        ("img.jpg", "v"),
        ("Img", "V"),
        ("../up,\n", ".."),
    ]
    frames = [LabelledFrame(name, video, picture(at), xy + at) for at, (name, video) in enumerate(keys)]
    frames.append(LabelledFrame("wide", "v", np.zeros((5, 50), np.uint8), xy))
    labels = LabelSet(("whisker(I), left", "a_x"), tuple(frames))
    assert write_table(labels, tmp_path / "deep" / "out") == tmp_path / "deep" / "out" / "labels.csv"
    again = read_labels(tmp_path / "deep" / "out")
    assert again.keypoints == labels.keypoints
    for one, other in zip(again.frames, labels.frames, strict=True):
        assert (one.name, one.video) == (other.name, other.video)
        np.testing.assert_array_equal(one.xy, other.xy)
        np.testing.assert_array_equal(one.image, other.image)
    files = [str(path).casefold() for path in (tmp_path / "deep" / "out").rglob("*.png")]
    assert len(files) == len(set(files)) == len(labels), "no two files differ in case alone"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"], "nothing is written elsewhere"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"], "nothing temporary is left"


def test_a_table_is_never_overwritten(tmp_path: Path) -> None:
    folder = table(tmp_path / "set", "a.png,one,1,2,,")
    before = (folder / "labels.csv").read_bytes()
    with pytest.raises(DataError, match="exists already"):
        write_table(read_labels(folder), folder)
    assert (folder / "labels.csv").read_bytes() == before
    (tmp_path / "empty").mkdir()
    write_table(read_labels(folder), tmp_path / "empty")
    assert len(read_labels(tmp_path / "empty")) == 1


def test_an_image_resized_since_it_was_labelled_is_refused(tmp_path: Path) -> None:
    out = write_table(read_labels(table(tmp_path / "set", "a.png,one,1,2,,")), tmp_path / "out")
    save(next((tmp_path / "out" / "frames").rglob("*.png")), np.zeros((40, 60), np.uint8))
    with pytest.raises(DataError, match="line 2: the image has 60x40 pixels, its labels are of 30x20"):
        read_labels(out)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c.png,one,1,2,3,4", r"line 3: the image .*c\.png is missing"),
        ("torn.png,one,1,2,3,4", r"line 3: .*torn\.png cannot be read as an image"),
        ("b.png,one,1,2,high,4", "line 3: paw_x is 'high', not a number"),
        ("b.png,one,1,2,inf,4", "line 3: paw .* is not finite"),
        ("b.png,one,1,2,30,4", r"line 3: paw at \(30, 4\) is outside the image of 30x20"),
        ("b.png,one,1,2,3,-0.6", "line 3: paw .* is outside"),
        ("b.png,one,1,2,,4", "line 3: paw has y but no x"),
        ("b.png,one,1,2,3,", "line 3: paw has x but no y"),
        ("a.png,one,1,2,3,4", r"line 3: frame 'a\.png' of video 'one' was labelled before, at .*line 2"),
        ("b.png,one,1,2,3", "line 3: 5 cells, but the header has 6"),
        (",one,1,2,3,4", "line 3: the file's name is empty"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str, message: str) -> None:
    folder = table(tmp_path / "set", "a.png,one,1,2,3,4", row)
    (folder / "frames" / "torn.png").write_bytes(b"\x89PNG torn")
    with pytest.raises(DataError, match=message):
        read_labels(folder)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("video,nose_x,nose_y", "line 1: the column file is missing"),
        ("file,nose_x", "line 1: there is nose_x but no nose_y"),
        ("file,nose_y", "line 1: there is nose_y but no nose_x"),
        ("file,nose_x,nose_y,nose_x", "line 1: the column nose_x is there twice"),
        ("file,video", "line 1: there is no keypoint"),
        ("file,width,nose_x,nose_y", "width and height there is only one"),
        ("file,_x,_y", "a keypoint has no name"),
        ("file,nose_x,nose_y", "holds no labels"),
    ],
)
def test_a_bad_header_is_refused(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(table(tmp_path / "set", header=header))


def test_a_table_without_one_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no labels: 1 frames"):
        read_labels(table(tmp_path / "set", "a.png,one,,,,"))


# DeepLabCut


def collected(
    points: NDArray[np.float64] = POINTS, *, levels: int = 3, video: str = "clip", scorer: str = "me"
) -> pd.DataFrame:
    """Return labels as DeepLabCut has them: the index in three levels, or as older versions in one."""
    columns = pd.MultiIndex.from_product(
        [[scorer], ["nose", "paw"], ["x", "y"]], names=["scorer", "bodyparts", "coords"]
    )
    parts = [("labeled-data", video, f"img{index}.png") for index in range(len(points))]
    index = pd.MultiIndex.from_tuples(parts) if levels == 3 else pd.Index(["/".join(part) for part in parts])
    return pd.DataFrame(points.reshape(len(points), -1), index=index, columns=columns)


def project(
    folder: Path,
    frame: pd.DataFrame,
    *,
    csv: bool = True,
    h5: bool = True,
    form: Literal["fixed", "table"] = "fixed",
) -> Path:
    clip = folder / "labeled-data" / "clip"
    clip.mkdir(parents=True)
    for index in range(len(frame)):
        save(clip / f"img{index}.png", picture(index))
    (folder / "config.yaml").write_text("Task: face\nscorer: me\nmultianimalproject: false\n")
    if csv:
        frame.to_csv(clip / "CollectedData_me.csv")
    if h5:
        frame.to_hdf(clip / "CollectedData_me.h5", key="df_with_missing", mode="w", format=form)
    return folder


@pytest.mark.parametrize(("levels", "form"), [(1, "table"), (1, "fixed"), (3, "fixed")])
def test_a_deeplabcut_project_is_read_by_every_door(
    tmp_path: Path, levels: int, form: Literal["fixed", "table"]
) -> None:
    folder = project(tmp_path / "face-me", collected(levels=levels), form=form)
    clip = folder / "labeled-data" / "clip"
    for path in (folder, clip, clip / "CollectedData_me.csv", clip / "CollectedData_me.h5"):
        check(read_labels(path), "clip", ("img0.png", "img1.png"), ("nose", "paw"))


@pytest.mark.parametrize("kind", ["csv", "h5"])
def test_a_deeplabcut_project_may_have_one_kind_only(tmp_path: Path, kind: str) -> None:
    folder = project(tmp_path, collected(), csv=kind == "csv", h5=kind == "h5")
    check(read_labels(folder), "clip", ("img0.png", "img1.png"), ("nose", "paw"))


def test_deeplabcut_labels_from_windows_and_in_a_renamed_folder(tmp_path: Path) -> None:
    frame = collected(levels=1)
    frame.index = pd.Index([name.replace("/", "\\") for name in frame.index])
    folder = project(tmp_path, frame, h5=False)
    renamed = (folder / "labeled-data" / "clip").rename(tmp_path / "mouse 5")
    check(read_labels(renamed), "mouse 5", ("img0.png", "img1.png"), ("nose", "paw"))


def test_deeplabcut_rows_of_another_folder_find_their_images(tmp_path: Path) -> None:
    folder = project(tmp_path, collected(), h5=False)
    merged = folder / "training-datasets" / "iteration-0" / "CollectedData_me.csv"
    merged.parent.mkdir(parents=True)
    (folder / "labeled-data" / "clip" / "CollectedData_me.csv").rename(merged)
    check(read_labels(merged), "clip", ("img0.png", "img1.png"), ("nose", "paw"))


def test_deeplabcut_videos_with_other_body_parts_are_united(tmp_path: Path) -> None:
    folder = project(tmp_path, collected(), h5=False)
    second = folder / "labeled-data" / "second"
    save(second / "img0.png", picture(7))
    (second / "CollectedData_me.csv").write_text(
        "scorer,,,me,me\nbodyparts,,,ear,ear\ncoords,,,x,y\nlabeled-data,second,img0.png,5,6\n"
    )
    found = read_labels(folder)
    assert found.keypoints == ("nose", "paw", "ear")
    assert found.videos == ("clip", "second")
    np.testing.assert_array_equal(found.only(["second"]).frames[0].xy, [[NAN, NAN], [NAN, NAN], [5, 6]])


def test_of_csv_and_h5_a_folder_gives_the_csv_and_each_alone_is_read(tmp_path: Path) -> None:
    folder = project(tmp_path, collected())
    clip = folder / "labeled-data" / "clip"
    other = POINTS.copy()
    other[1, 0, 1] += 0.5
    collected(other).to_csv(clip / "CollectedData_me.csv")
    for path in (folder, clip, clip / "CollectedData_me.csv"):
        assert read_labels(path).frames[1].xy[0, 1] == np.float32(5.2)
    assert read_labels(clip / "CollectedData_me.h5").frames[1].xy[0, 1] == np.float32(4.7)
    (clip / "CollectedData_me.h5").write_bytes(b"no hdf5")
    assert read_labels(folder).frames[1].xy[0, 1] == np.float32(5.2), "the h5 is not opened"


def test_only_an_h5_needs_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both, h5 = project(tmp_path / "both", collected()), project(tmp_path / "h5", collected(), csv=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    check(read_labels(both), "clip", ("img0.png", "img1.png"), ("nose", "paw"))
    with pytest.raises(DataError, match=r"pandas is not installed: pip install '\.\[lab\]'"):
        read_labels(h5)


def test_labels_of_several_scorers_are_told_apart_by_the_project(tmp_path: Path) -> None:
    folder = project(tmp_path, collected(), h5=False)
    clip = folder / "labeled-data" / "clip"
    collected(POINTS + 1 / 8, scorer="you").iloc[:1].to_csv(clip / "CollectedData_you.csv")
    check(read_labels(folder), "clip", ("img0.png", "img1.png"), ("nose", "paw"))
    with pytest.raises(DataError, match=r"several scorers .*CollectedData_you"):
        read_labels(clip)


def _bad_cell(folder: Path) -> None:
    path = folder / "labeled-data" / "clip" / "CollectedData_me.csv"
    path.write_text(path.read_text().replace("3.1", "left"))


def _predictions(folder: Path) -> None:
    path = folder / "labeled-data" / "clip" / "CollectedData_me.csv"
    path.write_text("scorer,n,n,n\nbodyparts,a,a,a\ncoords,x,y,likelihood\n0,1,2,0.9\n")


def _individuals(folder: Path) -> None:
    path = folder / "labeled-data" / "clip" / "CollectedData_me.csv"
    path.write_text("scorer,me,me\nindividuals,m1,m1\nbodyparts,a,a\ncoords,x,y\nimg0.png,1,2\n")


def _multianimal(folder: Path) -> None:
    (folder / "config.yaml").write_text("scorer: me\nmultianimalproject: true\n")


def _no_image(folder: Path) -> None:
    (folder / "labeled-data" / "clip" / "img1.png").unlink()


def _no_files(folder: Path) -> None:
    (folder / "labeled-data" / "clip" / "CollectedData_me.csv").unlink()


def _one_axis(folder: Path) -> None:
    path = folder / "labeled-data" / "clip" / "CollectedData_me.csv"
    path.write_text("scorer,me,me\nbodyparts,a,b\ncoords,x,y\nimg0.png,1,2\n")


def _outside(folder: Path) -> None:
    path = folder / "labeled-data" / "clip" / "CollectedData_me.csv"
    path.write_text(path.read_text().replace("29.4", "29.6"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_bad_cell, r"CollectedData_me\.csv: line 5: nose x is 'left', not a number"),
        (_predictions, "holds predictions, not labels"),
        (_individuals, r"CollectedData_me\.csv is of a project of several animals"),
        (_multianimal, r"config\.yaml is of a project of several animals"),
        (_no_image, r"line 5: the image .*img1\.png is missing"),
        (_no_files, "no folder with labels"),
        (_one_axis, "each body part needs one column x and one y"),
        (_outside, r"line 5: paw at \(29\.6, 19\.4\) is outside"),
    ],
)
def test_a_bad_deeplabcut_project_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = project(tmp_path, collected(), h5=False)
    spoil(folder)
    with pytest.raises(DataError, match=message):
        read_labels(folder)


class Payload:
    """Unpickled plainly, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("place", ["attribute", "array"])
def test_a_malicious_h5_is_refused_before_it_runs(tmp_path: Path, place: str) -> None:
    folder = project(tmp_path / "p", collected(), csv=False)
    path, mark = folder / "labeled-data" / "clip" / "CollectedData_me.h5", tmp_path / "mark"
    with tables.open_file(str(path), "a") as file:
        if place == "attribute":
            file.get_node("/df_with_missing")._v_attrs.axis0_name0 = Payload(mark)
        else:
            node = file.create_vlarray("/", "extra", tables.ObjectAtom())
            node.append(Payload(mark))
    with pytest.raises(
        DataError, match=r"is refused: .*(names posix\.mkdir|names nt\.mkdir|pickled objects)"
    ):
        read_labels(path)
    assert not mark.exists()
    if place == "attribute":
        with tables.open_file(str(path)) as file:
            file.get_node("/df_with_missing")._v_attrs.axis0_name0  # noqa: B018
        assert mark.exists(), "the payload is real: PyTables alone runs it"


def test_an_h5_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "CollectedData_me.h5").write_bytes(b"no hdf5")
    with pytest.raises(DataError, match=r"CollectedData_me\.h5 "):
        read_labels(tmp_path / "CollectedData_me.h5")


# Facemap


def refined(path: Path, **changes: Any) -> Path:
    """Write what Facemap's training window saves, for two frames of 30x20 pixels."""
    stack = np.stack([picture(0), picture(1)]).astype(np.float64)
    low, high = np.percentile(stack, [1, 99])
    data = {
        "imgs": [(stack - low) / (high - low)],
        "keypoints": [np.concatenate([POINTS, np.full((2, 2, 1), 0.9)], axis=2).astype(np.float32)],
        "bbox": [[0, 20, 0, 30]],
        "bodyparts": ["nose", "paw"],
        "frame_ind": np.array([40, 7]),
        "video_path": "D:\\rig\\mouse5.cam1.avi",
    }
    np.save(path, np.array({**data, **changes}, object))
    return path


def test_facemaps_refined_data_are_read(tmp_path: Path) -> None:
    found = read_labels(refined(tmp_path / "m_Facemap_refined_data.npy"))
    both = np.stack([picture(0), picture(1)])
    assert (both.min(), both.max()) == (0, 255), "so that the stretch comes back as it was"
    check(found, "mouse5", ("mouse5 40", "mouse5 7"), ("nose", "paw"))


def test_facemaps_single_frame_and_older_stretches(tmp_path: Path) -> None:
    alone = np.array([[[1.0, 2.0, 0.9], [3.0, 4.0, 0.9]]], np.float32)
    pair = np.repeat(alone, 2, axis=0)
    images = [np.float32(picture(0)), np.zeros((2, 9, 9)), np.ones((1, 8, 8), np.uint8)]
    path = refined(
        tmp_path / "older.npy", imgs=images, keypoints=[alone, pair, alone], frame_ind=np.array([4]), bbox=[]
    )
    found = read_labels(path)
    assert [(frame.video, frame.name) for frame in found.frames] == [
        ("mouse5", "mouse5 4"),
        ("older stretch 2", "older stretch 2 0"),
        ("older stretch 2", "older stretch 2 1"),
        ("older stretch 3", "older stretch 3 0"),
    ]
    assert [frame.image.shape for frame in found.frames] == [(20, 30), (9, 9), (9, 9), (8, 8)]
    assert found.frames[3].image.max() == 1, "8-bit images are kept"


def test_facemaps_later_stretches_of_the_same_video_are_numbered_on(tmp_path: Path) -> None:
    points = np.ones((2, 2, 3), np.float32)
    path = refined(
        tmp_path / "x.npy",
        imgs=[np.zeros((2, 9, 9)), np.zeros((1, 9, 9))],
        keypoints=[points, points[:1]],
        frame_ind=np.array([40, 7, 300]),
    )
    assert [frame.name for frame in read_labels(path).frames] == ["mouse5 40", "mouse5 7", "mouse5 300"]


def test_facemaps_old_names_become_those_of_today(tmp_path: Path) -> None:
    path = refined(tmp_path / "d.npy", bodyparts=["whisker(d1)", "whisker(d2)"])
    assert read_labels(path).keypoints == ("whisker(II)", "whisker(III)")
    path = refined(tmp_path / "c.npy", bodyparts=["whisker(c2)", "whisker(c1)"])
    assert read_labels(path).keypoints == ("whisker(III)", "whisker(I)")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bodyparts": "nose"}, "bodyparts is no list of names"),
        ({"bodyparts": ["nose"]}, r"stretch 1: keypoints of shape \(2, 2, 3\), not \(2, 1, 3\)"),
        ({"keypoints": []}, "1 stretches of images but 0 of keypoints"),
        ({"imgs": [np.zeros((2, 20, 30, 3))]}, "stretch 1: images of shape"),
        ({"imgs": [np.full((2, 20, 30), NAN)]}, "stretch 1: .*no finite numbers"),
        ({"imgs": [np.zeros((2, 20, 25))]}, r"stretch 1, frame 1: paw at .* outside the image of 25x20"),
        ({"frame_ind": [3, 3]}, "frame 1: frame 'mouse5 3' .* labelled before"),
    ],
)
def test_bad_refined_data_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(refined(tmp_path / "r.npy", **changes))


def test_other_npy_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(DataError, match="holds an array of float64"):
        read_labels(path)
    np.save(path, np.array({"proc": 1}, object))
    with pytest.raises(DataError, match=r"not Facemap's refined data.*without imgs"):
        read_labels(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="damaged"):
        read_labels(path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"damaged or no \.npy file"):
        read_labels(path)


def test_a_malicious_npy_is_refused_before_it_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = refined(tmp_path / "bad.npy", bbox=Payload(mark))
    with pytest.raises(DataError, match=r"is refused: its pickle names (posix|nt)\.mkdir"):
        read_labels(path)
    assert not mark.exists()
    np.load(path, allow_pickle=True)
    assert mark.exists(), "the payload is real: numpy alone runs it"


def _npy(pickled: bytes) -> bytes:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|O", "fortran_order": False, "shape": ()})
    return head.getvalue() + pickled


@pytest.mark.parametrize(
    "pickled",
    [
        pickle.dumps(subprocess.Popen),
        pickle.dumps(eval),
        pickle.dumps(np.dtype([("a", "f8")])),
        pickle.dumps(np.array([{}, 1], object)).replace(b"ndarray", b"memmap "),
        pickle.dumps(np.zeros(2, "M8[s]")),
        b"cnumpy.core.multiarray\n_reconstruct\n}S'__call__'\nI1\nsb.",
        b"(lp0\ng0\na.",
    ],
)
def test_a_pickle_that_is_more_than_data_is_refused(tmp_path: Path, pickled: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(_npy(pickled))
    with pytest.raises(DataError, match=r"refused|damaged"):
        read_labels(path)
    check(read_labels(refined(tmp_path / "sound.npy")), "mouse5", ("mouse5 40", "mouse5 7"), ("nose", "paw"))


def test_a_pickle_that_refers_to_itself_a_billion_times_is_built_once(tmp_path: Path) -> None:
    nested: list[Any] = []
    for _ in range(60):
        nested = [nested, nested]
    check(
        read_labels(refined(tmp_path / "x.npy", bbox=nested)),
        "mouse5",
        ("mouse5 40", "mouse5 7"),
        ("nose", "paw"),
    )


# SLEAP


@pytest.fixture
def sleap_io() -> Any:
    return pytest.importorskip("sleap_io", reason="sleap-io is not installed: pip install '.[sleap]'")


def sleap_labels(sio: Any, folder: Path, *, video: Any = None) -> Any:
    """Return labels on images 0 and 2 of three, with predictions there and on the one between."""
    if video is None:
        images = []
        for name, seed in (("f0.png", 0), ("f1.png", 9), ("f2.png", 1)):
            save(folder / "clip" / name, picture(seed))
            images.append(str(folder / "clip" / name))
        video = sio.Video.from_filename(images)
    skeleton = sio.Skeleton(["nose", "paw"])
    guess = sio.PredictedInstance.from_numpy(np.full((2, 2), 6.0), skeleton=skeleton)
    frames = [sio.LabeledFrame(video=video, frame_idx=1, instances=[guess])]
    for index, points in zip((2, 0), POINTS[::-1], strict=True):
        mine = sio.Instance.from_numpy(points.copy(), skeleton=skeleton)
        frames.append(sio.LabeledFrame(video=video, frame_idx=index, instances=[mine, guess]))
    return sio.Labels(frames)


@pytest.mark.parametrize("inside", [False, True])
def test_sleaps_labels_are_read_without_its_predictions(tmp_path: Path, sleap_io: Any, inside: bool) -> None:
    path = tmp_path / ("x.pkg.slp" if inside else "x.slp")
    sleap_labels(sleap_io, tmp_path).save(str(path), embed=inside, verbose=False)
    if inside:
        (tmp_path / "clip").rename(tmp_path / "gone")
    check(read_labels(path), "clip", ("f0.png", "f2.png"), ("nose", "paw"))


def test_a_sleap_image_in_colour_becomes_gray_as_everywhere(tmp_path: Path, sleap_io: Any) -> None:
    colour = np.random.default_rng(3).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    save(tmp_path / "clip" / "f0.png", colour)
    video = sleap_io.Video.from_filename([str(tmp_path / "clip" / "f0.png")])
    labels = sleap_labels(sleap_io, tmp_path / "other", video=video)
    sleap_io.Labels(labels.labeled_frames[2:]).save(str(tmp_path / "x.slp"), embed=False, verbose=False)
    (frame,) = read_labels(tmp_path / "x.slp").frames
    np.testing.assert_array_equal(frame.image, cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY))


def test_a_sleap_video_is_read_and_found_beside_its_labels(tmp_path: Path, sleap_io: Any) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    writer = cv2.VideoWriter(str(old / "mouse.avi"), cv2.VideoWriter.fourcc(*"FFV1"), 25.0, (30, 20))
    for seed in (0, 9, 1):
        writer.write(cv2.cvtColor(picture(seed), cv2.COLOR_GRAY2BGR))
    writer.release()
    video = sleap_io.Video.from_filename(str(old / "mouse.avi"))
    labels = sleap_labels(sleap_io, tmp_path, video=video)
    labels.save(str(old / "x.slp"), embed=False, verbose=False)
    video.close()
    old.rename(new)
    found = read_labels(new / "x.slp")
    assert [(frame.video, frame.name) for frame in found.frames] == [
        ("mouse", "mouse 0"),
        ("mouse", "mouse 2"),
    ]
    for index, frame in enumerate(found.frames):
        np.testing.assert_array_equal(frame.xy, POINTS[index].astype(np.float32))
        assert np.abs(frame.image.astype(int) - picture(index)).max() <= 2, "the codec's colours round"
    (new / "mouse.avi").unlink()
    with pytest.raises(DataError, match=r"video mouse is missing: neither .* exists"):
        read_labels(new / "x.slp")


def test_sleap_videos_of_one_name_are_told_apart(tmp_path: Path, sleap_io: Any) -> None:
    one, two = (sleap_labels(sleap_io, tmp_path / day) for day in ("monday", "tuesday"))
    both = sleap_io.Labels([*one.labeled_frames, *two.labeled_frames])
    both.save(str(tmp_path / "x.slp"), embed=False, verbose=False)
    assert read_labels(tmp_path / "x.slp").videos == ("monday/clip", "tuesday/clip")


def test_a_point_that_sleap_hides_is_missing(tmp_path: Path, sleap_io: Any) -> None:
    labels = sleap_labels(sleap_io, tmp_path)
    labels.labeled_frames[1].user_instances[0].points["visible"][1] = False
    labels.save(str(tmp_path / "x.slp"), embed=False, verbose=False)
    found = read_labels(tmp_path / "x.slp")
    assert np.isnan(found.frames[1].xy[1]).all()
    assert not np.isnan(found.frames[1].xy[0]).any()


def _two_animals(sio: Any, labels: Any) -> None:
    frame = labels.labeled_frames[1]
    frame.instances.append(sio.Instance.from_numpy(POINTS[1].copy(), skeleton=labels.skeletons[0]))


def _far_label(_: Any, labels: Any) -> None:
    labels.labeled_frames[1].user_instances[0].points["xy"][0] = (30.0, 5.0)


def _no_instances(_: Any, labels: Any) -> None:
    del labels.labeled_frames[1:]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_two_animals, r"x\.slp: video clip, frame 2: 2 labelled instances; rtface tracks one animal"),
        (_far_label, r"video clip, frame 2: nose at \(30, 5\) is outside the image of 30x20"),
        (_no_instances, "holds no labels"),
    ],
)
def test_bad_sleap_labels_are_refused(
    tmp_path: Path, sleap_io: Any, spoil: Callable[[Any, Any], None], message: str
) -> None:
    labels = sleap_labels(sleap_io, tmp_path)
    spoil(sleap_io, labels)
    labels.save(str(tmp_path / "x.slp"), embed=False, verbose=False)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path / "x.slp")


def test_all_faults_of_a_sleap_file_are_in_one_message(tmp_path: Path, sleap_io: Any) -> None:
    """A frame with two animals, one with a label outside, an image that is gone, and a whole video that is."""
    one, two, three = (sleap_labels(sleap_io, tmp_path / day) for day in ("monday", "tuesday", "wednesday"))
    _two_animals(sleap_io, one)
    two.labeled_frames[2].user_instances[0].points["xy"][0] = (30.0, 5.0)
    both = sleap_io.Labels([*one.labeled_frames, *two.labeled_frames, *three.labeled_frames])
    both.save(str(tmp_path / "x.slp"), embed=False, verbose=False)
    (tmp_path / "tuesday" / "clip" / "f2.png").write_bytes(b"no image")
    (tmp_path / "wednesday" / "clip" / "f0.png").unlink()
    with pytest.raises(DataError) as refusal:
        read_labels(tmp_path / "x.slp")
    first, *faults = str(refusal.value).splitlines()
    assert first.endswith("x.slp: 4 faults:")
    assert "monday/clip, frame 2: 2 labelled instances" in faults[0]
    assert "tuesday/clip, frame 2: the image cannot be read" in refusal.value.args[0]
    assert "tuesday/clip, frame 0: nose at (30, 5) is outside" in refusal.value.args[0]
    assert "video wednesday/clip is missing" in faults[3]


def test_an_image_resized_since_sleap_labelled_it_is_refused(tmp_path: Path, sleap_io: Any) -> None:
    sleap_labels(sleap_io, tmp_path).save(str(tmp_path / "x.slp"), embed=False, verbose=False)
    for image in (tmp_path / "clip").iterdir():
        save(image, np.zeros((40, 60), np.uint8))
    with pytest.raises(
        DataError, match="video clip, frame 0: the image has 60x40 pixels, its labels are of 30x20"
    ):
        read_labels(tmp_path / "x.slp")


def test_nothing_is_fetched_for_sleap(tmp_path: Path, sleap_io: Any) -> None:
    video = sleap_io.Video(filename="https://rig.invalid/clip.mp4", open_backend=False)
    labels = sleap_labels(sleap_io, tmp_path, video=video)
    labels.save(str(tmp_path / "x.slp"), embed=False, verbose=False)
    with pytest.raises(DataError, match="rtface fetches nothing"):
        read_labels(tmp_path / "x.slp")


def test_a_file_that_is_not_sleaps_is_refused(tmp_path: Path, sleap_io: Any) -> None:
    (tmp_path / "x.slp").write_bytes(b"no hdf5")
    with pytest.raises(DataError, match=r"x\.slp cannot be read as a SLEAP file"):
        read_labels(tmp_path / "x.slp")


def test_without_sleap_io_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sleap_io", None)
    (tmp_path / "x.slp").write_bytes(b"")
    with pytest.raises(DataError, match=r"sleap_io .* not installed: pip install '.\[sleap\]'"):
        read_labels(tmp_path / "x.slp")


def test_the_csv_for_deeplabcut_is_the_one_that_pandas_writes() -> None:
    names, images = ["nose (tip)", "paw"], [("labeled-data", "day, 1", f"img{at}.png") for at in range(3)]
    xy = np.random.default_rng(0).uniform(0, 500, (3, 2, 2)).astype(np.float32)
    xy[1, 0], xy[2, 1] = np.nan, (1e-7, 3)
    table = pd.DataFrame(
        xy.reshape(3, -1).astype(np.float64),
        index=pd.MultiIndex.from_tuples(images),
        columns=pd.MultiIndex.from_product(
            [["lab"], names, ["x", "y"]], names=["scorer", "bodyparts", "coords"]
        ),
    )
    assert label_csv("lab", images, names, xy) == table.to_csv(lineterminator="\n")

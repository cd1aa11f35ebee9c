"""Label sets that are fetched: licence first, hashes that stay the same, and what lies there at the end."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.commandline import run
from support.drawn_labels import NAMES, drawn
from support.file_server import FileServer, serving
from support.lightning_pose import archived, write_lightning_pose

from rtface.core.errors import DataError, UsageError
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.learn.fetch.catalogue import catalogue, entry_of, parse_catalogue
from rtface.learn.fetch.sets import FetchRequest, fetch_set
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.reading import read_labels
from rtface.learn.labels.set_record import is_non_commercial, read_record

ENTRY = entry_of("facemap-lightning-pose").model_copy(
    update={"renames": {"bright": "nose(tip)", "not in it": "mouth"}}
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "home" / "engines"))
    (tmp_path / "made").mkdir()
    write_lightning_pose(tmp_path / "made" / "facemap")
    with serving(archived(tmp_path / "made" / "facemap").read_bytes()) as running:
        yield running


@pytest.fixture
def request_for(server: FileServer) -> Callable[..., FetchRequest]:
    def make(**changes: object) -> FetchRequest:
        return replace(FetchRequest("facemap", ENTRY, True, f"{server.url}/set.zip"), **changes)  # type: ignore[arg-type]

    return make


def test_a_project_of_lightning_pose_is_read_as_labels(tmp_path: Path) -> None:
    made = write_lightning_pose(tmp_path / "project")
    labels = read_labels(tmp_path / "project")
    assert labels.keypoints == NAMES
    assert labels.videos == ("mouse0_cam0", "mouse1_cam1", "mouse2_cam0")
    assert len(labels) == len(made) == 12, "neighbours of labelled frames are not labelled frames"
    for ours, theirs in zip(labels.frames, made.frames, strict=True):
        assert np.array_equal(ours.image, theirs.image)
        np.testing.assert_allclose(ours.xy, theirs.xy, atol=1e-4)
    assert len(read_labels(tmp_path / "project" / "CollectedData.csv")) == 8


def test_nothing_is_asked_for_before_the_licence_is_accepted(
    server: FileServer, request_for: Callable[..., FetchRequest]
) -> None:
    with pytest.raises(UsageError, match=r"CC-BY-NC-4\.0 https://creativecommons.*--accept-licence"):
        fetch_set(request_for(accepted=False))
    assert server.asked == []


def test_a_set_comes_with_a_record_of_what_it_is(
    server: FileServer, request_for: Callable[..., FetchRequest], tmp_path: Path
) -> None:
    done = fetch_set(request_for())
    assert done is not None
    assert done.folder == tmp_path / "home" / "label-sets" / "facemap"
    record = read_record(done.folder)
    assert record == done.record
    assert record is not None
    assert (record.frames, record.labels, record.licence) == (12, 36, "CC-BY-NC-4.0")
    assert record.keypoints == ("nose(tip)", *NAMES[1:])
    assert record.renames == {"bright": "nose(tip)"}
    assert record.sha256 == hashlib.sha256(server.body).hexdigest()
    labels = read_labels(done.folder)
    assert (labels.keypoints, len(labels)) == (record.keypoints, 12)
    assert read_record(done.folder / "facemap" / "labeled-data") == record, "a part of it is of it"
    assert sorted(path.name for path in done.folder.parent.iterdir()) == ["facemap", "facemap.sha256.json"]
    asked = len(server.asked)
    assert fetch_set(request_for()) == done
    assert len(server.asked) == asked, "what is there is not fetched again"


def test_a_copy_of_its_labels_is_still_under_its_licence(
    request_for: Callable[..., FetchRequest], tmp_path: Path
) -> None:
    done = fetch_set(request_for())
    assert done is not None
    copied = run("learn", "labels", done.folder, "--out", tmp_path / "copy", "--json")
    assert copied.returncode == 0, copied.stderr
    assert [each["licence"] for each in json.loads(copied.stdout)["public_sets"]] == ["CC-BY-NC-4.0"]
    again = read_labels(tmp_path / "copy")
    assert again.origins == (done.record,)
    assert again.arranged(("faint",)).only(["mouse0_cam0"]).origins == (done.record,)
    write_table(drawn(2, video="ours"), tmp_path / "ours")
    assert read_labels(tmp_path / "ours", tmp_path / "copy").origins == (done.record,)
    assert read_labels(tmp_path / "ours").origins == ()
    (tmp_path / "copy" / "rtface-origins.json").write_text("[{}]")
    with pytest.raises(DataError, match=r"rtface-origins\.json is damaged"):
        read_labels(tmp_path / "copy")


def test_the_hash_of_the_first_time_is_held_against_the_next(
    server: FileServer, request_for: Callable[..., FetchRequest]
) -> None:
    done = fetch_set(request_for())
    assert done is not None
    first = hashlib.sha256(server.body).hexdigest()
    assert fetch_set(request_for(again=True)) is not None
    server.body, server.etag = server.body + b"more", '"two"'
    now = hashlib.sha256(server.body).hexdigest()
    with pytest.raises(DataError, match=f"sha256 {now}, expected {first}"):
        fetch_set(request_for(again=True))
    assert read_labels(done.folder).labels == 36, "what was there still is"
    with pytest.raises(DataError, match=f"sha256 {first}, expected {now}"):
        fetch_set(request_for(sha256=now))
    accepted = fetch_set(request_for(again=True, sha256=now))
    assert accepted is not None
    assert accepted.record.sha256 == now


def test_a_cut_one_is_gone_on_with_and_a_bad_one_leaves_nothing(
    server: FileServer, request_for: Callable[..., FetchRequest], tmp_path: Path
) -> None:
    whole = server.body
    server.body, server.etag = shutil_zip({"readme.txt": b"no labels here"}, tmp_path), '"bad"'
    with pytest.raises(DataError, match="not laid out as a set of lightning-pose"):
        fetch_set(request_for(again=True))
    assert not (tmp_path / "home" / "label-sets" / "facemap").exists()
    (tmp_path / "home" / "label-sets" / "facemap.sha256.json").unlink()
    server.body, server.etag = whole, '"good"'
    stops = iter([True])
    assert fetch_set(request_for(), stop=lambda: next(stops)) is None
    assert fetch_set(request_for()) is not None


def shutil_zip(entries: dict[str, bytes], tmp_path: Path) -> bytes:
    folder = tmp_path / "bare"
    folder.mkdir()
    for name, body in entries.items():
        (folder / name).write_bytes(body)
    return Path(shutil.make_archive(str(folder), "zip", folder)).read_bytes()


def test_what_is_here_already_is_taken_from_here(
    server: FileServer, request_for: Callable[..., FetchRequest], tmp_path: Path
) -> None:
    archive = fetch_set(request_for(url=None, source=tmp_path / "made" / "facemap.zip"))
    assert archive is not None
    assert (tmp_path / "made" / "facemap.zip").exists()
    folder = fetch_set(request_for(url=None, source=tmp_path / "made" / "facemap"))
    assert folder is not None
    assert (folder.folder, folder.record.sha256) == (tmp_path / "made" / "facemap", None)
    assert read_labels(folder.folder).labels == read_labels(archive.folder).labels == 36
    with pytest.raises(DataError, match="expected 0000"):
        fetch_set(
            request_for(name="other", url=None, source=tmp_path / "made" / "facemap.zip", sha256="0" * 64)
        )
    assert server.asked == []


def test_a_folder_of_something_else_is_left_alone(
    request_for: Callable[..., FetchRequest], tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    for again in (False, True):
        with pytest.raises(DataError, match="no set that was fetched"):
            fetch_set(request_for(folder=tmp_path / "thesis", again=again))
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_a_damaged_record_names_what_is_missing(request_for: Callable[..., FetchRequest]) -> None:
    done = fetch_set(request_for())
    assert done is not None
    file = done.folder / "rtface-set.json"
    kept = json.loads(file.read_text())
    del kept["licence"]
    file.write_text(json.dumps(kept))
    with pytest.raises(DataError, match=r"rtface-set\.json.*licence"):
        read_record(done.folder)


def test_the_catalogue_states_what_is_known_and_its_names_are_ours() -> None:
    known = catalogue()
    assert set(known) == {"facemap-lightning-pose", "facemap-archive"}
    for entry in known.values():
        assert entry.licence == "CC-BY-NC-4.0"
        assert entry.non_commercial
        assert any("10.25378/janelia.23712957" in page for page in entry.pages)
        assert set(entry.renames.values()) <= set(FACEMAP_KEYPOINTS)
        assert (entry.url is None) == (entry.sha256 is None)
    assert not is_non_commercial("CC-BY-4.0")
    assert is_non_commercial("cc by-nc-sa 4.0")
    assert not is_non_commercial("ANCIENT licence")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {licence: MIT}", "a: title"),
        ("a: {title: A, licence: MIT, sha256: 12}", "a: sha256"),
        ("a: {title: A, licence: MIT, colour: red}", "a: colour"),
        ("A b: {title: A, licence: MIT}", "'A b' cannot be a set's name"),
        ("- a", "holds no entries"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_wrong_catalogue_names_entry_and_field(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_catalogue(text, "catalogue.yaml")


def test_on_the_command_line(server: FileServer, tmp_path: Path) -> None:
    listed = run("learn", "fetch")
    assert listed.returncode == 0
    assert "facemap-lightning-pose" in listed.stdout
    assert "10.25378/janelia.23712957" in listed.stdout
    address = ("--url", f"{server.url}/set.zip")
    refused = run("learn", "fetch", "facemap-lightning-pose", *address)
    assert refused.returncode == 2
    assert "licence: CC-BY-NC-4.0" in refused.stderr
    assert "not for commercial use" in refused.stderr
    assert server.asked == []
    unknown = run("learn", "fetch", "facemap-lightning-pose", "--accept-licence")
    assert unknown.returncode == 2
    assert "--url" in unknown.stderr
    assert "hf download" in unknown.stderr
    nameless = run("learn", "fetch", "mine", *address, "--accept-licence")
    assert nameless.returncode == 2
    assert "--licence" in nameless.stderr
    done = run("learn", "fetch", "mine", *address, "--licence", "CC0-1.0", "--accept-licence", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["frames"], told["licence"], Path(told["folder"]).name) == (12, "CC0-1.0", "mine")
    wrong = run(
        "learn", "fetch", "mine", *address, "--licence", "CC0-1.0", "--accept-licence", "--sha256", "12"
    )
    assert wrong.returncode == 2


def test_a_set_of_our_own_format_too(
    server: FileServer, request_for: Callable[..., FetchRequest], tmp_path: Path
) -> None:
    write_table(drawn(4), tmp_path / "ours" / "set")
    server.body = archived(tmp_path / "ours").read_bytes()
    entry = ENTRY.model_copy(update={"layout": "any"})
    done = fetch_set(request_for(name="ours", entry=entry))
    assert done is not None
    assert done.record.labels == 12

"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from rtface.core.files import cache_folder, file_hash, folder_written_whole, write_json, written_whole


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_takes_its_place_when_the_block_ends(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with written_whole(path, durable=durable) as fresh:
        fresh.write_text("new")
        assert fresh.parent == tmp_path
        assert path.read_text() == "old"
        assert not [each for each in tmp_path.glob("*.json") if each != path]
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fail() -> None:
        with written_whole(path) as fresh:
            fresh.write_text("ne")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_durable_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    synced = []

    def fsync(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with written_whole(path, durable=True) as fresh:
        fresh.write_text("new")
    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_a_disk_that_cannot_put_a_folder_down_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(handle: int) -> None:
        if os.fstat(handle).st_ino == tmp_path.stat().st_ino:
            raise OSError

    monkeypatch.setattr(os, "fsync", fsync)
    with written_whole(tmp_path / "a", durable=True) as fresh:
        fresh.touch()
    assert (tmp_path / "a").exists()


def test_a_folder_takes_its_place_when_the_block_ends(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "a"
    with folder_written_whole(folder) as fresh:
        (fresh / "new").touch()
        assert not folder.exists()
    assert [each.name for each in folder.iterdir()] == ["new"]
    assert list(folder.parent.iterdir()) == [folder]
    (tmp_path / "plain").mkdir()
    assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_only_an_empty_folder_is_replaced_unasked(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    with folder_written_whole(folder) as fresh:
        (fresh / "first").touch()
    with pytest.raises(OSError, match="a"), folder_written_whole(folder) as fresh:
        (fresh / "second").touch()
    assert [each.name for each in folder.iterdir()] == ["first"]
    with folder_written_whole(folder, replace=True) as fresh:
        (fresh / "third").touch()
    assert [each.name for each in folder.iterdir()] == ["third"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "old").touch()
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if target == folder and (self / "new").exists():
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(KeyboardInterrupt), folder_written_whole(folder, replace=True) as fresh:
        (fresh / "new").touch()
    assert [each.name for each in folder.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [folder]


def test_json_is_written_for_people_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"maße": [1, None]})
    assert path.read_text(encoding="utf-8") == '{\n  "maße": [\n    1,\n    null\n  ]\n}\n'
    with pytest.raises(TypeError):
        write_json(path, {"no": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"maße": [1, None]}
    assert list(tmp_path.iterdir()) == [path]


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(content)
    assert file_hash(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RTFACE_CACHE", "/elsewhere")
    assert cache_folder("plans") == Path("/elsewhere/plans")
    monkeypatch.delenv("RTFACE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder("plans") == Path("/xdg/rtface/plans")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder("plans") == tmp_path / ".cache" / "rtface" / "plans"

"""Archives that are unpacked, and those that must not be."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from rtface.core.errors import DataError
from rtface.learn.fetch import unpack as module
from rtface.learn.fetch.unpack import unpack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "a" / "b" / "set"
    target.mkdir(parents=True)
    return target


def zipped(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in entries.items():
            archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, entries: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, body in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


SET = {
    "set/CollectedData.csv": b"scorer",
    "./set/labeled-data/one/img1.png": b"png",
    "set\\labeled-data\\one\\img2.png": b"2",
}
AS_FILES = {
    "set/CollectedData.csv": b"scorer",
    "set/labeled-data/one/img1.png": b"png",
    "set/labeled-data/one/img2.png": b"2",
}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_what_is_in_it_lies_in_the_folder(tmp_path: Path, folder: Path, kind: str) -> None:
    extra = {"__MACOSX/set/._img1.png": b"x", "set/._CollectedData.csv": b"x", "set/empty/": b""}
    archive = tmp_path / f"set.{kind}"
    if kind == "zip":
        zipped(archive, SET | extra)
    else:
        tarred(
            archive,
            SET | {name: body for name, body in extra.items() if not name.endswith("/")},
            f"w:{kind[4:]}",
        )
    assert unpack(archive, folder) == 3
    assert files(folder) == AS_FILES


@pytest.mark.parametrize(
    "name",
    ["../out", "set/../../out", "/tmp/out", "C:\\out", "..\\..\\out", "set/a\\..\\..\\..\\out", "c:out"],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_nothing_leads_out_of_the_folder(tmp_path: Path, folder: Path, name: str, kind: str) -> None:
    make = zipped if kind == "zip" else tarred
    archive = make(tmp_path / f"set.{kind}", {"set/good.png": b"good", name: b"bad"})
    with pytest.raises(DataError, match=r"leads out of its folder; nothing was unpacked"):
        unpack(archive, folder)
    assert files(tmp_path) == {f"set.{kind}": archive.read_bytes()}


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "device", "link in a zip", "pipe"])
def test_links_and_devices_are_refused(tmp_path: Path, folder: Path, kind: str) -> None:
    archive = tmp_path / "set.archive"
    if kind == "link in a zip":
        with zipfile.ZipFile(archive, "w") as opened:
            link = zipfile.ZipInfo("set/link")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            opened.writestr(link, "/etc/passwd")
    else:
        with tarfile.open(archive, "w") as tar:
            info = tarfile.TarInfo("set/link")
            info.type = {
                "symbolic link": tarfile.SYMTYPE,
                "hard link": tarfile.LNKTYPE,
                "device": tarfile.CHRTYPE,
            }.get(kind, tarfile.FIFOTYPE)
            info.linkname = "/etc/passwd"
            tar.addfile(info)
    with pytest.raises(DataError, match="'set/link' is a link or a device"):
        unpack(archive, folder)
    assert files(folder) == {}


def test_a_bomb_is_refused(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALWAYS_BYTES", 1 << 20)
    bomb = zipped(tmp_path / "bomb.zip", {"set/a.png": bytes(8 << 20)})
    with pytest.raises(DataError, match="8388608 bytes unpacked are more than"):
        unpack(bomb, folder)
    assert files(folder) == {}
    assert unpack(zipped(tmp_path / "fair.zip", {"set/a.png": bytes(1 << 19)}), folder) == 1


def test_a_bomb_that_lies_about_its_size_is_stopped(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALWAYS_BYTES", 1 << 20)
    bomb = zipped(tmp_path / "bomb.zip", {"set/a.png": bytes(8 << 20)})
    true, lie = (8 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    bomb.write_bytes(bomb.read_bytes().replace(true, lie))
    with pytest.raises(DataError):
        unpack(bomb, folder)
    assert sum(len(body) for body in files(folder).values()) <= 1 << 20


def test_what_comes_is_bounded_whatever_was_declared(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ALWAYS_BYTES", 1 << 20)
    (tmp_path / "set.zip").write_bytes(b"")
    endless = module._Member("a.png", 1000, False, True, lambda: io.BytesIO(bytes(8 << 20)))
    with pytest.raises(DataError, match="unpacks to more than the 1048576 bytes"):
        module._extract(tmp_path / "set.zip", folder, [endless], 10, 1 << 40, lambda files: None)


def test_too_many_files_and_names_that_collide(tmp_path: Path, folder: Path) -> None:
    many = zipped(tmp_path / "many.zip", {f"{number}.png": b"" for number in range(20)})
    with pytest.raises(DataError, match="20 files are more than the 10"):
        unpack(many, folder, most_files=10)
    twice = zipped(tmp_path / "twice.zip", {"a.png": b"1", "A.png": b"2"})
    with pytest.raises(DataError, match=r"'A\.png' is there twice"):
        unpack(twice, folder)
    inside = zipped(tmp_path / "inside.zip", {"a": b"1", "a/b.png": b"2"})
    with pytest.raises(DataError, match="lies in a, which is a file"):
        unpack(inside, folder)
    assert files(folder) == {}


def test_a_damaged_archive_is_named(tmp_path: Path, folder: Path) -> None:
    whole = tarred(tmp_path / "set.tar.gz", {"a.png": bytes(range(256)) * 4000}).read_bytes()
    (tmp_path / "set.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"set\.tar\.gz"):
        unpack(tmp_path / "set.tar.gz", folder)
    broken = bytearray(zipped(tmp_path / "set.zip", {"a.png": bytes(range(256)) * 40}).read_bytes())
    broken[60] ^= 255
    (tmp_path / "set.zip").write_bytes(broken)
    with pytest.raises(DataError, match=r"set\.zip"):
        unpack(tmp_path / "set.zip", folder)


def test_a_file_that_is_no_archive_is_taken_as_it_is(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "x.download").write_bytes(b"numbers")
    assert unpack(tmp_path / "x.download", folder, name="mouse_Facemap_refined_data.npy") == 1
    assert files(folder) == {"mouse_Facemap_refined_data.npy": b"numbers"}

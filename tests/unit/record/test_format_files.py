"""How a format is chosen, and files that appear whole or not at all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from support.paths import DOCS

from rtface.core.errors import DataError, UsageError
from rtface.record import formats
from rtface.record.formats.base import atomic_file


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.csv", "deeplabcut-csv"),
        ("A.CSV", "deeplabcut-csv"),
        ("mouse_FacemapPose.h5", "facemap"),
        ("mouseDLC.h5", "deeplabcut-h5"),
        ("mouse.hdf5", "deeplabcut-h5"),
        ("mouse.rtface.h5", "rtface"),
        ("mouse.rtface", "rtface"),
    ],
)
def test_the_ending_chooses_the_format(file: str, name: str) -> None:
    assert formats.choose(Path("folder.csv") / file).name == name


def test_each_ending_chooses_its_own_format_and_no_two_have_one() -> None:
    endings = [(ending.lower(), each.name) for each in formats.FORMATS.values() for ending in each.endings]
    assert len(dict(endings)) == len(endings)
    for ending, name in endings:
        assert formats.choose(Path(f"mouse{ending}")).name == name
        assert formats.has_ending(Path(f"mouse{ending}"))
    assert not formats.has_ending(Path("mouse.avi"))


def test_the_page_has_each_format_and_its_endings() -> None:
    page = (DOCS / "formats.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", page.partition("\n## ")[0], re.MULTILINE))
    assert told.keys() == formats.FORMATS.keys()
    for name, endings in told.items():
        assert tuple(re.findall(r"`([^`]+)`", endings)) == formats.FORMATS[name].endings


def test_a_name_goes_before_the_ending() -> None:
    assert formats.choose(Path("a.csv"), "rtface").name == "rtface"


@pytest.mark.parametrize(("file", "name"), [("a.txt", None), ("csv", None), ("a.csv", "sleap")])
def test_an_unknown_format_lists_the_choices(file: str, name: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        formats.choose(Path(file), name)
    message = str(caught.value)
    assert (name or file) in message
    assert all(known in message for known in formats.FORMATS)


def test_importing_the_formats_loads_neither_pandas_nor_h5py() -> None:
    code = (
        "import sys, rtface.record.formats; "
        "sys.exit(str([name for name in ('pandas', 'h5py', 'tables') if name in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_the_file_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new"
    with atomic_file(path, overwrite=False) as out:
        out.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_whatever_interrupts_a_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")

    def write() -> None:
        with atomic_file(path, overwrite=True) as out:
            out.write(b"half of the n")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_appears_during_a_write_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write() -> None:
        with atomic_file(path, overwrite=False) as out:
            out.write(b"ours")
            path.write_bytes(b"theirs")

    with pytest.raises(UsageError, match="exists already"):
        write()
    assert path.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with atomic_file(tmp_path / "new", overwrite=False):
        pass
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_in_the_place_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(DataError, match="folder"), atomic_file(path, overwrite=True) as out:
        out.write(b"new")
    assert [each.name for each in path.iterdir()] == ["inside"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_target_is_checked_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    formats.check(path)
    assert not list(tmp_path.iterdir())
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match="exists already"):
        formats.check(path)
    formats.check(path, overwrite=True)
    assert path.read_bytes() == b"old"
    with pytest.raises(DataError, match="absent"):
        formats.check(tmp_path / "absent" / "a.csv")
    with pytest.raises(UsageError, match="choose one of"):
        formats.check(tmp_path / "a.txt")


def test_a_table_carries_what_older_versions_of_pandas_ask_for(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    from rtface.record.formats.pandas_store import put_for_all_pandas

    for layout in ("fixed", "table"):
        path = tmp_path / f"{layout}.h5"
        with pandas.HDFStore(path, mode="w") as store:
            put_for_all_pandas(store, "key", pandas.DataFrame({"x": [1.0]}), layout)
        with h5py.File(path) as file:
            assert file["key"].attrs["pandas_version"].decode() == "0.15.2"

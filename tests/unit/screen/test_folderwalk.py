"""The folders of a workspace: gone through no longer than need be, and nothing wanted is hidden by what is not."""

from __future__ import annotations

from pathlib import Path

from rtface.screen.folderwalk import FolderWalk, files_below


def filled(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_many_files_of_another_kind_do_not_hide_the_wanted_ones(tmp_path: Path) -> None:
    filled(tmp_path, [f"a/{number}.csv" for number in range(300)] + ["z/rig.yaml"])
    assert list(files_below(tmp_path, lambda path: path.suffix == ".yaml")) == [tmp_path / "z" / "rig.yaml"]


def test_no_more_are_found_than_are_asked_for(tmp_path: Path) -> None:
    filled(tmp_path, [f"{number}.yaml" for number in range(9)])
    assert [path.name for path in files_below(tmp_path, lambda path: True, most=2)] == ["0.yaml", "1.yaml"]


def test_it_goes_no_deeper_than_it_is_told_and_the_nearest_come_first(tmp_path: Path) -> None:
    filled(tmp_path, ["a/b/c/deep", "a/near", "z/near", "top"])
    assert [here.name for here, _, _ in FolderWalk(tmp_path, deepest=2)] == [tmp_path.name, "a", "z", "b"]


def test_hidden_ones_and_links_to_folders_are_left_out_and_links_to_files_are_not(tmp_path: Path) -> None:
    filled(tmp_path, ["real/file", ".hidden/file", ".file"])
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "one").symlink_to(tmp_path / "real" / "file")
    assert [(here.name, files) for here, _, files in FolderWalk(tmp_path)] == [
        (tmp_path.name, ["one"]),
        ("real", ["file"]),
    ]


def test_a_folder_that_is_taken_out_of_the_list_is_not_gone_into(tmp_path: Path) -> None:
    filled(tmp_path, ["a/file", "b/file"])
    seen = []
    for here, folders, _ in FolderWalk(tmp_path):
        seen.append(here.name)
        if "a" in folders:
            folders.remove("a")
    assert seen == [tmp_path.name, "b"]


def test_it_says_where_it_ended_early(tmp_path: Path) -> None:
    filled(tmp_path, [f"{number}/file" for number in range(9)])
    walk = FolderWalk(tmp_path, most=12)
    assert len(list(walk)) == 4
    assert not walk.whole
    walk = FolderWalk(tmp_path)
    assert len(list(walk)) == 10
    assert walk.whole

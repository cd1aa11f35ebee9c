"""A label set under many hands: acts merge by point, undo and redo know no limit, and every view of the journal agrees."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.core.errors import UsageError
from rtface.screen.label.journal import JournalEntry, create_journal
from rtface.screen.label.project import JOURNAL, LabelProject
from rtface.screen.label.state import REDO, UNDO
from rtface.screen.label.values import Key

FRAME = {"file": "frames/a.png", "video": "day1", "name": "a.png", "width": 30, "height": 20, "from": {}}


def begin(folder: Path, frames: int = 2, points: int = 2) -> None:
    changes: list[tuple[Key, Any]] = [(("name", f"p{at}"), f"point {at}") for at in range(1, points + 1)]
    changes += [(("frame", f"f{at}"), {**FRAME, "name": f"{at}.png"}) for at in range(1, frames + 1)]
    assert create_journal(folder / JOURNAL, [JournalEntry(0, "", "anna", "start", "s0", tuple(changes))])


def clock() -> Iterator[datetime]:
    for second in itertools.count():
        yield datetime(2026, 11, 30, 12, tzinfo=UTC) + timedelta(seconds=second)


@pytest.fixture
def project(tmp_path: Path) -> LabelProject:
    begin(tmp_path)
    ticks = clock()
    return LabelProject(tmp_path, now=lambda: next(ticks))


def label(x: float, y: float = 5.0, origin: str = "hand") -> dict[str, Any]:
    return {"x": x, "y": y, "from": origin}


def place(x: float, frame: str = "f1", point: str = "p1") -> list[Any]:
    return [["label", "first", frame, point], label(x)]


def shown(project: LabelProject) -> dict[Key, Any]:
    return {key: found.value for key, found in project.read()[1] if found.value is not None}


def test_an_act_is_there_for_another_process_and_after_a_restart(project: LabelProject) -> None:
    other = LabelProject(project.folder)
    project.act("anna", "place", [place(3)])
    for each in (other, LabelProject(project.folder)):
        assert shown(each)["label", "first", "f1", "p1"] == label(3.0)


def test_the_journal_says_who_when_and_what(project: LabelProject) -> None:
    project.act("anna", "place", [place(3)], act="b1-1")
    line = (project.folder / JOURNAL).read_text().splitlines()[-1]
    for part in (
        '"who": "anna"',
        '"at": "2026-11-30T12:00:',
        '"do": "place"',
        '"id": "b1-1"',
        '["label", "first", "f1", "p1"]',
    ):
        assert part in line


def test_an_act_that_is_sent_twice_counts_once(project: LabelProject) -> None:
    project.act("anna", "place", [place(3)], act="b1-1")
    project.act("bert", "place", [place(4)], act="b2-1")
    before = (project.folder / JOURNAL).read_bytes()
    project.act("anna", "place", [place(3)], act="b1-1")
    assert (project.folder / JOURNAL).read_bytes() == before
    assert shown(project)["label", "first", "f1", "p1"]["x"] == 4


def test_an_act_that_is_in_the_journal_twice_counts_once(project: LabelProject) -> None:
    """As two programs leave it on a disk without locks that were both sent it."""
    project.act("anna", "place", [place(3)])
    journal = project.folder / JOURNAL
    with journal.open("ab") as file:
        file.write(journal.read_bytes().splitlines(keepends=True)[-1])
    again = LabelProject(project.folder)
    again.turn("anna", UNDO)
    assert ("label", "first", "f1", "p1") not in shown(again)
    assert again.turns("anna") == (False, True)


def test_since_returns_what_changed_and_what_undoing_changed(project: LabelProject) -> None:
    project.act("anna", "place", [place(3)])
    n, _ = project.read()
    project.act("anna", "place", [place(4, "f2")])
    assert [key for key, _ in project.read(n)[1]] == [("label", "first", "f2", "p1")]
    n, _ = project.read()
    assert project.read(n) == (n, [])
    project.turn("anna", UNDO)
    assert [(key, found.value) for key, found in project.read(n)[1]] == [
        (("label", "first", "f2", "p1"), None)
    ]


def test_undoing_ones_own_takes_nothing_of_anothers(project: LabelProject) -> None:
    project.act("anna", "place", [place(3)])
    project.act("bert", "place", [place(9)])
    project.turn("anna", UNDO)
    assert shown(project)["label", "first", "f1", "p1"]["x"] == 9
    project.turn("bert", UNDO)
    assert ("label", "first", "f1", "p1") not in shown(project)
    project.turn("anna", REDO)
    assert shown(project)["label", "first", "f1", "p1"]["x"] == 3
    with pytest.raises(UsageError, match="carl has nothing to undo"):
        project.turn("carl", UNDO)


def test_undo_has_no_limit_and_crosses_a_restart(project: LabelProject) -> None:
    for x in range(28):
        project.act("anna", "place", [place(x)])
    for x in reversed(range(28)):
        again = LabelProject(project.folder)
        assert shown(again)["label", "first", "f1", "p1"]["x"] == x
        again.turn("anna", UNDO)
    assert project.read()
    assert project.turns("anna") == (False, True)
    for _ in range(28):
        LabelProject(project.folder).turn("anna", REDO)
    assert shown(project)["label", "first", "f1", "p1"]["x"] == 27
    assert project.turns("anna") == (True, False)


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["anna", "bert"]),
        st.sampled_from(["place", "place", "hide", "clear", "skip", UNDO, UNDO, REDO]),
        st.sampled_from(["f1", "f2"]),
        st.sampled_from(["p1", "p2"]),
        st.booleans(),
    ),
    max_size=30,
)


@given(ACTS)
def test_any_acts_in_any_order_leave_the_last_that_was_not_undone(
    acts: list[tuple[str, str, str, str, bool]],
) -> None:
    """Against the plain list of acts, in two processes that take turns, and once more after a restart."""
    with TemporaryDirectory() as folder:
        begin(Path(folder))
        processes = LabelProject(Path(folder)), LabelProject(Path(folder))
        done: list[tuple[str, Key, Any]] = []
        live: set[int] = set()
        undone: dict[str, list[int]] = {"anna": [], "bert": []}
        for number, (who, do, frame, point, first) in enumerate(acts):
            project = processes[first]
            mine = [at for at in sorted(live) if done[at][0] == who]
            if do in (UNDO, REDO):
                possible = mine if do == UNDO else undone[who]
                if not possible:
                    with pytest.raises(UsageError):
                        project.turn(who, do)
                    continue
                project.turn(who, do)
                if do == UNDO:
                    live.remove(mine[-1])
                    undone[who].append(mine[-1])
                else:
                    live.add(undone[who].pop())
                continue
            key: Key = ("skip", frame) if do == "skip" else ("label", "first", frame, point)
            value = {
                "place": label(float(number % 20)),
                "hide": {"hidden": True},
                "clear": None,
                "skip": True,
            }[do]
            project.act(who, do, [[list(key), value]])
            live.add(len(done))
            done.append((who, key, value))
            undone[who].clear()
        expected = {done[at][1]: done[at][2] for at in sorted(live)}
        expected = {key: value for key, value in expected.items() if value is not None}
        for project in (*processes, LabelProject(Path(folder))):
            found = shown(project)
            assert {key: value for key, value in found.items() if key[0] in ("label", "skip")} == expected
            assert project.turns("anna") == (any(done[at][0] == "anna" for at in live), bool(undone["anna"]))


def test_names_are_added_changed_and_taken_out_and_labels_stay(project: LabelProject) -> None:
    new = project.next_point()
    project.act("anna", "name", [[["name", new], "tongue"]])
    project.act("anna", "place", [place(3)])
    project.act("bert", "rename", [[["name", "p1"], "nose(tip)"]])
    assert project.points() == {"p1": "nose(tip)", "p2": "point 2", "p3": "tongue"}
    with pytest.raises(UsageError, match="another keypoint is called tongue"):
        project.act("anna", "rename", [[["name", "p2"], "Tongue"]])
    project.act("bert", "retire", [[["name", "p1"], None]])
    assert list(project.points()) == ["p2", "p3"]
    project.turn("bert", UNDO)
    assert list(project.points()) == ["p1", "p2", "p3"]
    assert project.labels("first")["f1", "p1"].value == label(3.0)


def test_undo_never_gives_two_keypoints_one_name(project: LabelProject) -> None:
    project.act("anna", "rename", [[["name", "p1"], "old nose"]])
    project.act("bert", "rename", [[["name", "p2"], "point 1"]])
    with pytest.raises(UsageError, match="another keypoint is called point 1"):
        project.turn("anna", UNDO)
    assert project.points() == {"p1": "old nose", "p2": "point 1"}


def test_passes_are_apart(project: LabelProject) -> None:
    project.act("anna", "place", [place(3)])
    project.act("bert", "place", [[["label", "second", "f1", "p1"], label(4)]])
    assert project.labels("first")["f1", "p1"].value["x"] == 3
    assert project.labels("second")["f1", "p1"].value["x"] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([["label", "first", "f9", "p1"], None], "no frame f9"),
        ([["label", "first", "f1", "p9"], None], "no keypoint p9"),
        ([["label", "third", "f1", "p1"], None], "a pass is"),
        ([["label", "first", "f1"], None], "is no key"),
        ([["label", "first", "../f1", "p1"], None], "names no frame"),
        ([["frame", "f1"], FRAME], "not placed by hand"),
        ([["skip", "f1"], 2], "left out"),
        ([["label", "first", "f1", "p1"], {"x": 1, "y": 2}], "has x, y and from"),
        ([["label", "first", "f1", "p1"], label(29.6)], "outside the frame of 30x20"),
        ([["label", "first", "f1", "p1"], label(float("nan"))], "two numbers"),
        ([["label", "first", "f1", "p1"], label(True)], "two numbers"),  # type: ignore[arg-type]
        ([["label", "first", "f1", "p1"], label(3, origin="network")], "is from"),
        ([["name", "p1"], " "], "a keypoint's name"),
        ([["name", "p1"], "a,b"], "no comma"),
        ([["name", "p1"], "a\nb"], "no comma"),
        (["name"], "pair"),
        ({}, "pair"),
        ([3, 4], "list of texts"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    project: LabelProject, change: Any, message: str
) -> None:
    before = (project.folder / JOURNAL).read_bytes()
    with pytest.raises(UsageError, match=message):
        project.act("anna", "place", [place(3), change])
    assert (project.folder / JOURNAL).read_bytes() == before


@pytest.mark.parametrize(
    ("who", "do"), [("", "place"), ("a" * 200, "place"), ("a\nb", "place"), ("anna", "start")]
)
def test_nobody_and_nothing_are_refused(project: LabelProject, who: str, do: str) -> None:
    with pytest.raises(UsageError):
        project.act(who, do, [place(3)])


def test_the_edge_of_a_frame_is_half_a_pixel_out(project: LabelProject) -> None:
    project.act("anna", "place", [[["label", "first", "f1", "p1"], label(-0.5, 19.5)]])
    assert shown(project)["label", "first", "f1", "p1"] == label(-0.5, 19.5)


def test_frames_are_added_once_and_can_be_undone(project: LabelProject) -> None:
    assert project.add_frames("anna", [{**FRAME, "name": "live.png"}]) == ["f3"]
    with pytest.raises(UsageError, match="already"):
        LabelProject(project.folder).add_frames("bert", [{**FRAME, "name": "live.png"}])
    project.turn("anna", UNDO)
    assert [each.frame for each in project.frames()] == ["f1", "f2"]
    assert project.add_frames("bert", [{**FRAME, "name": "live.png"}]) == ["f4"]


def test_images_outside_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    folder = tmp_path / "set"
    frame = {**FRAME, "file": "../secret.png"}
    create_journal(
        folder / JOURNAL, [JournalEntry(0, "", "anna", "start", "s0", ((("frame", "f1"), frame),))]
    )
    with pytest.raises(UsageError, match="outside"):
        LabelProject(folder).image("f1")

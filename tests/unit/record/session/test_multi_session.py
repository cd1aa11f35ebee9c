"""One session of several cameras: whole, each camera apart, and replayed bit for bit; changed, it differs."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgpack
import pytest
from support.multi_session import RULES, record_multi

from rtface.core.decision import Action, Reason
from rtface.core.errors import DataError
from rtface.decide.rules import RulesFile
from rtface.offline.replay.rules import replay_rules
from rtface.record.session.coding import encode
from rtface.record.session.entries import CameraEntry, GapEntry, LossesEntry
from rtface.record.session.logreader import LogReader
from rtface.record.session.reader import read_session
from rtface.record.session.rows import CAMERA_STEP, FEATURES, POSES, ROW_NAMES, base_kind, camera_of
from rtface.record.session.verify import verify


def test_it_is_whole_and_each_camera_has_its_rows(tmp_path: Path) -> None:
    folder, decisions = record_multi(tmp_path, 600)
    session = read_session(folder)
    found = {each.verdict for each in verify(session) if each.check != "pulses"}  # no output took commands
    assert found == {"whole"}
    assert session.cameras == ("left", "right")
    left, right = session.of_camera("left"), session.of_camera("right")
    assert len(left.poses) == 600
    assert 150 < len(right.poses) < 300
    assert left.poses["score"].shape[1] == 2
    assert right.poses["score"].shape[1] == 1
    assert (left.poses["published_ns"] > 0).all()
    assert (right.poses["published_ns"] > 0).all()
    assert right.configuration is not None
    assert right.configuration.features == (
        "right.nose.x",
        "right.nose.y",
        "right.picture.same",
        "right.view.ok",
    )
    assert len(session.decisions) == len(decisions)
    assert session.row_count("poses") == len(left.poses) + len(right.poses)
    with pytest.raises(DataError, match="no camera is called up; there are: left, right"):
        session.of_camera("up")
    with pytest.raises(DataError, match=r"each of its cameras \(left, right\) has poses of its own"):
        session.pose_table()
    assert right.pose_table().names == ("nose",)


@pytest.mark.parametrize("blind", [False, True], ids=["clear", "sealed"])
def test_every_decision_is_the_same_bit_for_bit_when_it_is_replayed(tmp_path: Path, blind: bool) -> None:
    folder, decisions = record_multi(tmp_path, 900, blind=blind)
    actions = {(each.rule, each.action) for each in decisions}
    assert {("one", Action.FIRE), ("both", Action.WITHHOLD)} <= actions
    assert any(each.reason is Reason.CAMERA_LOST for each in decisions)
    assert any(each.rule == "both" and each.trial is not None for each in decisions)
    found = replay_rules(folder)
    assert found.identical, found.first
    assert sum(found.replayed.values()) == len(decisions)


def test_other_rules_differ_at_the_frame_of_a_camera(tmp_path: Path) -> None:
    folder, _ = record_multi(tmp_path, 600)
    rules = RULES | {"rules": {"one": RULES["rules"]["one"] | {"when": "left.reach.distance < 30"}}}
    found = replay_rules(folder, RulesFile.model_validate(rules))
    assert found.decision is not None
    assert "one" in found.decision.in_words()


def test_rows_keep_the_order_in_which_the_cameras_came(tmp_path: Path) -> None:
    """The order of the log is the order of the decisions: a replay has no other."""
    folder, _ = record_multi(tmp_path, 200)
    records = [record.kind for record in LogReader(folder / "session.log") if record.kind in ROW_NAMES]
    kinds = [kind for kind in records if base_kind(kind) == FEATURES]
    turns = [camera_of(kind) for kind in kinds]
    assert {0, 1} == set(turns)
    assert all(one != two for one, two in itertools.pairwise(turns) if one == 1)
    session = read_session(folder)
    assert session.unknown == 0


def test_kinds_of_the_first_camera_are_those_of_the_only_one() -> None:
    assert (camera_of(POSES), base_kind(POSES)) == (0, POSES)
    assert (camera_of(FEATURES + CAMERA_STEP), base_kind(FEATURES + CAMERA_STEP)) == (1, FEATURES)


@pytest.mark.parametrize(
    "entry",
    [CameraEntry(1, {}), LossesEntry(1, 1, 2, 3, 4), GapEntry(1, "lost", "why", None, 1)],
)
def test_an_entry_of_the_only_camera_is_written_as_it_always_was(
    entry: CameraEntry | LossesEntry | GapEntry,
) -> None:
    assert "camera_name" not in msgpack.unpackb(encode(entry))

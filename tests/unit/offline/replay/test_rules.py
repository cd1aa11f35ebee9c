"""The rules replayed: identical when nothing changed, and the first difference named when anything did."""

from __future__ import annotations

import copy
import dataclasses
import json
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.changed_log import changed, events, flipped_bit
from support.recorded_loop import RULES, Loop, record_loop, setup

from rtface.config import SessionSettings
from rtface.core.decision import Action, Reason
from rtface.core.errors import DataError, UsageError
from rtface.decide.rules import RulesFile
from rtface.live.rulesfile import Rules
from rtface.offline.replay.rules import replay_rules
from rtface.record.session import LOG_NAME
from rtface.record.session.entries import CallEntry, ConfigurationEntry, DecisionEntry
from rtface.record.session.recorder import SessionRecorder
from rtface.record.session.rows import FEATURES, POSES, decode_rows, encode_rows

FRAMES = 3000


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("sessions"), FRAMES)


def test_a_session_of_thousands_of_frames_replays_identically(loop: Loop) -> None:
    report = replay_rules(loop.folder)
    assert report.identical, report.first
    assert (report.frames, report.first, report.hole) == (FRAMES, None, None)
    assert report.calls > FRAMES / 10
    assert report.values == FRAMES * 3 * len(loop.evaluator.bank.names)
    wanted = Counter(each.action.value for each in loop.decisions)
    assert report.recorded == report.replayed == dict(wanted)
    for action in ("fire", "sham", "catch", "withhold", "cancel", "none"):
        assert wanted[action] >= 1, wanted
    for reason in (Reason.OPERATOR, Reason.CAMERA_LOST, Reason.RESTED, Reason.ENDED, Reason.SCHEDULE):
        assert any(each.reason is reason for each in loop.decisions), reason


def test_one_flipped_bit_of_a_pose_is_named_with_the_value_that_it_changes(
    loop: Loop, tmp_path: Path
) -> None:
    report = replay_rules(changed(loop.folder, tmp_path / "s", flipped_bit(1510, 2, 1)))
    assert not report.identical
    first = report.first
    assert first is not None
    assert (first.what, first.frame_id) == ("value", 1510)
    assert "the value of reach.distance was" in first.text
    inputs = first.inputs
    assert inputs["recorded"]["reach.distance"]["value"] == first.recorded["value"]
    assert inputs["replayed"]["reach.distance"]["value"] == first.replayed["value"]
    assert set(inputs["keypoints"]) == {"nose", "whisker", "paw"}
    assert report.decision is None
    assert report.frames == FRAMES


def test_a_decision_that_a_pose_changes_ends_the_replay_and_is_named_with_its_inputs(
    loop: Loop, tmp_path: Path
) -> None:
    fired = next(each for each in loop.decisions if each.rule == "near" and each.action.value == "fire")
    assert fired.frame_id is not None
    report = replay_rules(changed(loop.folder, tmp_path / "s", flipped_bit(fired.frame_id, 2, 0x00400000)))
    assert report.value is not None
    assert report.value.frame_id == fired.frame_id
    decision = report.decision
    assert decision is not None
    assert decision.frame_id == fired.frame_id
    assert (decision.recorded["action"], decision.replayed.get("action")) == ("fire", None) or (
        decision.text.startswith("the decision of near: inputs was")
    )
    assert decision.inputs["recorded"]["neural.pc1"]["value"] > 0.5
    assert report.frames == fired.frame_id - 10 + 1


def test_another_threshold_is_named_at_the_first_decision_that_it_changes(loop: Loop) -> None:
    rules = copy.deepcopy(RULES)
    rules["rules"]["whisk"]["on_above"] = 6.5
    report = replay_rules(loop.folder, RulesFile.model_validate(rules))
    assert report.value is None
    decision = report.decision
    assert decision is not None
    first = next(each for each in loop.decisions if each.rule == "whisk" and each.frame_id is not None)
    assert decision.now_ns >= first.now_ns
    assert "was decided and is not" in decision.text
    assert 6 < decision.inputs["recorded"]["pad.amplitude"]["value"] < 6.5


def test_the_same_rules_from_a_file_are_the_same(loop: Loop) -> None:
    assert replay_rules(loop.folder, RulesFile.model_validate(RULES)).identical


@pytest.mark.parametrize("name", ["neural.strange", "neural.ood"])
def test_either_name_of_out_of_distribution_replays_to_the_same(
    loop: Loop, tmp_path: Path, name: str
) -> None:
    """The value is recorded as neural.strange, whichever name the rules use."""

    def configured(each: ConfigurationEntry) -> list[ConfigurationEntry]:
        given = tuple(known.replace("neural.pc1", "neural.strange") for known in each.features)
        resolved = each.resolved.replace("neural.pc1", name)
        return [dataclasses.replace(each, features=given, given=("neural.strange",), resolved=resolved)]

    def decided(each: DecisionEntry) -> list[DecisionEntry]:
        inputs = tuple((known.replace("pc1", "strange"), *rest) for known, *rest in each.inputs)
        return [dataclasses.replace(each, inputs=inputs)]

    renamed = changed(loop.folder, tmp_path / "a", events(ConfigurationEntry, configured))
    report = replay_rules(changed(renamed, tmp_path / "b", events(DecisionEntry, decided)))
    assert report.identical, report.first
    assert report.recorded["fire"] == sum(each.action.value == "fire" for each in loop.decisions)


def test_features_of_another_name_are_not_compared(loop: Loop) -> None:
    rules = copy.deepcopy(RULES)
    rules["features"]["more"] = {"kind": "position", "point": "paw"}
    report = replay_rules(loop.folder, RulesFile.model_validate(rules))
    assert report.identical
    assert report.values == FRAMES * 3 * len(loop.evaluator.bank.names)


def test_a_decision_that_is_missing_or_made_up_is_named(loop: Loop, tmp_path: Path) -> None:
    dropped = events(DecisionEntry, lambda each: [] if each.number == 20 else [each])
    report = replay_rules(changed(loop.folder, tmp_path / "a", dropped))
    assert report.decision is not None
    assert "is decided and was not" in report.decision.text
    twice = events(DecisionEntry, lambda each: [each, each] if each.number == 20 else [each])
    report = replay_rules(changed(loop.folder, tmp_path / "b", twice))
    assert report.decision is not None
    assert "was decided and is not" in report.decision.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", "stale"),
        ("session_ns", 17),
        ("trial", 99),
        ("blind", None),
        ("state_after", "nowhere"),
        ("t_ns", 1),
        ("inputs", (("pad.amplitude", 1.0, 1.0, 1),)),
    ],
)
def test_every_field_of_a_decision_counts(loop: Loop, tmp_path: Path, field: str, value: Any) -> None:
    def change(each: DecisionEntry) -> list[DecisionEntry]:
        new = not each.blind if field == "blind" else value
        return [dataclasses.replace(each, **{field: new})] if each.number == 20 else [each]

    report = replay_rules(changed(loop.folder, tmp_path / "s", events(DecisionEntry, change)))
    assert report.decision is not None
    assert f"{field.replace('t_ns', 'now_ns')} was " in report.decision.text


def test_a_call_that_is_not_in_the_record_shows(loop: Loop, tmp_path: Path) -> None:
    gone = events(CallEntry, lambda each: [] if each.call == "ended" else [each])
    report = replay_rules(changed(loop.folder, tmp_path / "s", gone))
    assert not report.identical


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (CallEntry(1, "explode", {}), "has no call"),
        (CallEntry(1, "fault", {}), "fault of the record cannot be made again"),
        (CallEntry(1, "fault", {"reason": "no reason"}), "cannot be made again"),
        (CallEntry(1, "ended", {"rule": "nobody"}), "no rule with a pulse is called nobody"),
    ],
)
def test_a_call_that_cannot_be_made_ends_the_replay_with_its_reason(
    loop: Loop, tmp_path: Path, call: CallEntry, message: str
) -> None:
    made = events(CallEntry, lambda each: [call] if each.call == "disarm" else [each])
    report = replay_rules(changed(loop.folder, tmp_path / "s", made))
    assert not report.identical
    assert report.hole is not None
    assert message in report.hole.text


@pytest.mark.parametrize("lost", [POSES, FEATURES])
def test_rows_that_the_disk_lost_end_the_replay_where_they_are_missing(
    loop: Loop, tmp_path: Path, lost: int
) -> None:
    def drop(kind: int, payload: bytes) -> Iterable[tuple[int, bytes]]:
        if kind == lost:
            rows = decode_rows(kind, payload)
            kept = [row.tobytes() for row in rows if row["frame_id"] != 1000]
            width = rows.dtype["score" if lost == POSES else "scores"].shape[0]
            return [(kind, encode_rows(width, kept))] if kept else []
        return [(kind, payload)]

    report = replay_rules(changed(loop.folder, tmp_path / "s", drop))
    assert report.hole is not None
    assert report.frames == 990
    assert "but the next pose in the log is" in report.hole.text


def test_a_damaged_session_is_not_replayed(loop: Loop, tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).write_bytes(
        struct.pack("<B", 0).join([(loop.folder / LOG_NAME).read_bytes()[:5000]] * 2)
    )
    with pytest.raises(DataError, match="is damaged and cannot be replayed"):
        replay_rules(tmp_path)


def test_a_session_without_rules_has_none_to_replay(tmp_path: Path) -> None:
    recorder = SessionRecorder(
        SessionSettings(folder=tmp_path, min_free_gb=0), "x", setup(RulesFile.model_validate({}))
    )
    recorder.open()
    assert recorder.close()
    with pytest.raises(UsageError, match="run without rules"):
        replay_rules(recorder.folder)


def test_pulse_times_of_another_session_are_in_the_record_and_replay_without_it(tmp_path: Path) -> None:
    (tmp_path / "times.txt").write_text("1.5\n3.25\n4\n", encoding="utf-8")
    text = yaml.safe_dump(
        {
            "features": RULES["features"],
            "rules": {
                "yoked": {
                    "pulse": {"width_ms": 20},
                    "schedule": {"kind": "yoked", "source": "times.txt", "seed": 1},
                    "refractory_ms": 10,
                },
                "matched": {
                    "pulse": {"width_ms": 20},
                    "schedule": {"kind": "matched", "source": "times.txt", "span_s": [0, 4], "seed": 1},
                    "refractory_ms": 10,
                },
            },
        },
        sort_keys=False,
    )
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    rules = Rules(tmp_path / "rules.yaml")
    loop = record_loop(tmp_path / "sessions", 900, json.loads(rules.spec.model_dump_json()))
    assert RulesFile.recorded(rules.spec.model_dump_json()) == rules.spec
    (tmp_path / "times.txt").unlink()
    fired = [each for each in loop.decisions if each.action.value == "fire"]
    assert {each.rule for each in fired} == {"yoked", "matched"}
    report = replay_rules(loop.folder)
    assert report.identical, report.first
    assert report.recorded["fire"] == len(fired)


def test_the_order_that_a_session_drew_is_replayed_also_with_a_rules_file_that_does_not_name_it(
    tmp_path: Path,
) -> None:
    drawn = RulesFile.model_validate(RULES).of_session(99)
    session = record_loop(tmp_path, 800, json.loads(drawn.model_dump_json()))
    assert any(each.action is Action.SHAM for each in session.decisions)
    assert replay_rules(session.folder).identical
    assert replay_rules(session.folder, RulesFile.model_validate(RULES)).identical
    other = replay_rules(session.folder, RulesFile.model_validate(RULES).of_session(98))
    assert other.decision is not None

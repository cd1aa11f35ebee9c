"""The latency certificate: what it counts, what it says, and what it keeps to itself."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support.changed_log import changed, events
from support.recorded_loop import Loop, record_loop

from rtface.core.budget import Budget
from rtface.core.latency import LatencyRecorder
from rtface.offline.sessions.certificate import BLINDED, certify
from rtface.offline.sessions.certificate_text import WIDTH, certificate_text
from rtface.offline.sessions.comparison import compare_sessions
from rtface.offline.sessions.outline import Outline, outline
from rtface.record.session.entries import ConfigurationEntry, LatencyEntry, OutputEntry

FRAMES = 700
STAGE = {"n": 5, "p50_ms": 1.0, "p95_ms": 1.5, "p99_ms": 2.0, "p999_ms": 3.0, "max_ms": 4.0}
GATE = {
    "kind": "gate", "label": "uno", "enforces_limits": True, "firmware": "1.4", "build": "00c0ffee", "protocol": "3",
    "limits": {"max_on_ms": 20}, "settings": {"priority": "fifo"},
}  # fmt: skip


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("sessions"), FRAMES)


def with_budget(source: Path, target: Path, latency: dict[str, Any]) -> Outline:
    """The session as of a rig with such a section `latency`; every frame was published after 2.15 ms."""

    def change(entry: ConfigurationEntry) -> list[ConfigurationEntry]:
        return [dataclasses.replace(entry, rig=json.dumps({"latency": latency}))]

    return outline(changed(source, target, events(ConfigurationEntry, change)))


@pytest.mark.parametrize(
    ("deadline_ms", "budget", "misses", "late", "held"),
    [
        (3, "p99 < 3 ms", 0, 0, True),
        (2, "p99 < 2.15 ms", FRAMES, FRAMES, False),
        (2.15, "max < 2.151 ms", 0, 0, True),
        (2.149, "max < 2.15 ms", FRAMES, FRAMES, False),
    ],
)
def test_misses_and_budget(
    loop: Loop, tmp_path: Path, deadline_ms: float, budget: str, misses: int, late: int, held: bool
) -> None:
    found = with_budget(loop.folder, tmp_path / "x", {"deadline_ms": deadline_ms, "budget": budget})
    certified = certify(found)
    assert (certified.misses, certified.deadline_ms) == (misses, deadline_ms)
    assert certified.budget is not None
    assert (certified.budget.late, certified.budget.n, certified.budget.held) == (late, FRAMES, held)
    assert ("NOT held" in certificate_text(certified)) != held


def test_a_few_late_frames_are_within_a_percentile(loop: Loop) -> None:
    found = dataclasses.replace(outline(loop.folder), budget=Budget.parse("p99 < 3 ms"))
    for late, held in ((7, True), (8, False)):
        certified = certify(dataclasses.replace(found, over_budget=late))
        assert certified.budget is not None
        assert certified.budget.held is held


def test_firmware_real_time_class_and_light(loop: Loop) -> None:
    found = outline(loop.folder)
    more = (OutputEntry(1, "gate", GATE), LatencyEntry(1, {"light": STAGE, "answer": STAGE | {"n": 0}}))
    found = dataclasses.replace(
        found, session=dataclasses.replace(found.session, events=(*found.session.events, *more))
    )
    told = certify(found, unblind=True)
    assert told.real_time == "fifo"
    assert told.outputs[0]["firmware"] == "1.4"
    assert told.light == {"light": STAGE}
    text = certificate_text(told)
    for expected in ("firmware 1.4 build 00c0ffee", "limits in the device", "fifo", "exposure to light on"):
        assert expected in text
    blind = certify(found)
    assert (blind.light, blind.light_why) == (None, BLINDED)


def test_it_is_json_and_one_page(loop: Loop) -> None:
    certified = certify(outline(loop.folder))
    told = json.loads(json.dumps(certified.as_dict()))
    assert told["form"] == 1
    assert told["stages"]["network"]["from"] == "prepared"
    text = certificate_text(certified)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert len(text.splitlines()) < 60
    long = dataclasses.replace(certified, faults=tuple("x" * 300 for _ in range(50)), missing=("y" * 900,))
    assert len(certificate_text(long).splitlines()) < 80


def test_the_percentiles_are_those_that_the_loop_itself_counts(loop: Loop) -> None:
    from support.recorded_loop import pose_at

    counted = LatencyRecorder(10_000_000)
    for number in range(FRAMES):
        stamps = pose_at(number, 10**12).stamps
        counted.add(stamps, stamps.decided_ns + 50_000, stamps.decided_ns + 250_000)
    told = certify(outline(loop.folder)).stages
    for stage in ("transfer", "wait", "prepare", "network", "decide", "end_to_end"):
        assert told[stage] == counted.summary()[stage]


def test_settings_that_differ_are_named_and_no_others(loop: Loop, tmp_path: Path) -> None:
    first = with_budget(loop.folder, tmp_path / "a", {"deadline_ms": 3, "budget": "p99 < 5 ms"})
    second = with_budget(loop.folder, tmp_path / "b", {"deadline_ms": 4, "budget": "p99 < 5 ms"})
    compared = compare_sessions(first, second)
    assert [(each.name, each.first, each.second) for each in compared.settings] == [
        ("rig.latency.deadline_ms", "3", "4")
    ]
    assert compared.rules == ()
    same = {each.name: (each.first, each.second) for each in compared.counts}
    assert same["poses"] == (FRAMES, FRAMES)
    assert "sham" not in json.dumps(compared.as_dict())
    assert "sham" in json.dumps(compare_sessions(first, second, unblind=(False, True)).as_dict())

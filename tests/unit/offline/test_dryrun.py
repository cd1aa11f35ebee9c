"""The dry run: the code that decides live, over recordings of every kind; its figures and its picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.feature_runs import MS
from support.session_parts import put_pose

from rtface.core.decision import Action, Reason
from rtface.core.errors import DataError
from rtface.core.records import FrameMeta, Pose, Stamps
from rtface.live.rulesfile import Rules
from rtface.offline.dryrun import DryRun, Poses, dry_run, has_poses, on_time_axis, read_poses
from rtface.offline.dryrun_picture import draw_dry_run
from rtface.offline.replay.rules import like_recorded
from rtface.record import formats
from rtface.record.session.entries import ConfigurationEntry
from rtface.record.session.packing import Packer
from rtface.record.session.writer import SessionWriter
from rtface.record.table import NO_TIME, PoseTable

TEXT = """
features:
  a: {kind: position, point: a}
  unused: {kind: position, point: b}
rules:
  right:
    when: a.x > 10
    release: a.x < 5
    refractory_ms: 300
    pulse: {frequency_hz: 100, width_ms: 2, duration_ms: 30}
  left:
    when: a.x < -10
    min_score: 0.9
    pulse: {width_ms: 5}
    schedule: {kind: mixed, sham: 0.5, block: 2, seed: 1}
"""
RATE_HZ = 100.0


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    path = tmp_path / "rules.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return Rules(path)


def table(frames: int = 1000, **changes: Any) -> PoseTable:
    """Return a point that swings from -20 to 20 px in 2 s and back, and is doubtful from the eighth second on."""
    times = np.arange(frames) * round(1e9 / RATE_HZ)
    xy = np.zeros((frames, 2, 2), np.float32)
    xy[:, 0, 0] = 20 * np.sin(2 * np.pi * times / 2e9)
    score = np.ones((frames, 2), np.float32)
    score[800:] = 0.6
    made = PoseTable(
        names=("a", "b"),
        trained=(True, True),
        xy=xy,
        score=score,
        outside=np.zeros((frames, 2), np.bool_),
        frame_id=np.arange(frames, dtype=np.int64),
        exposure_ns=np.full(frames, NO_TIME, np.int64),
        arrival_ns=np.full(frames, NO_TIME, np.int64),
        camera_ns=times.astype(np.int64),
        source="swing.avi",
    )
    return dataclasses.replace(made, **changes)


def fired(run: DryRun, rule: str) -> list[float]:
    return [each["time_s"] for each in run.summary()["rules"][rule]["trials"]]


def test_it_fires_when_the_rules_say_and_tells_why_not(rules: Rules) -> None:
    run = dry_run(rules, on_time_axis(table(), latency_ms=5))
    crossing = np.arcsin(0.5) / np.pi  # s
    expected = [crossing + 2 * each for each in range(5)]
    assert fired(run, "right") == pytest.approx(expected, abs=0.02)
    summary = run.summary()
    right, left = summary["rules"]["right"], summary["rules"]["left"]
    assert (right["fired"], right["sham"], right["withheld"]) == (5, 0, {})
    assert right["light_s"] == pytest.approx(5 * 3 * 0.002)
    assert right["median_interval_s"] == pytest.approx(2.0, abs=0.011)
    assert right["per_minute"] == pytest.approx(5 / run.seconds * 60)
    assert (left["fired"], left["sham"]) == (2, 2)
    assert left["withheld"] == {"low_score": 1}
    assert summary["frames"] == 1000
    assert summary["features"]["a.x"]["unit"] == "px"
    assert summary["features"]["a.x"]["p50"] == pytest.approx(0, abs=0.1)
    assert summary["features"]["a.x"]["known"] == 1
    holds = run.holds[:, 0] == 1
    np.testing.assert_array_equal(run.values[:, 0], table().xy[:, 0, 0])
    assert holds[round(RATE_HZ * 0.5)]
    assert not holds[round(RATE_HZ * 1.2)]


def test_pulses_end_as_a_light_would_and_the_session_is_disarmed_at_the_end(rules: Rules) -> None:
    run = dry_run(rules, on_time_axis(table(1018), latency_ms=5))  # the last pulse is running at the end
    ends = [each.now_ns for each in run.decisions if each.rule == "right" and each.reason is Reason.ENDED]
    starts = [each.now_ns for each in run.of("right", Action.FIRE)]
    assert len(starts) == len(ends) + 1 == 6
    np.testing.assert_array_equal(np.array(ends) - starts[:-1], 22 * MS)
    assert [(each.action, each.reason) for each in run.decisions if each.rule == "right"][-1] == (
        Action.CANCEL,
        Reason.SESSION,
    )


def test_it_is_late_when_the_latency_is(rules: Rules) -> None:
    run = dry_run(rules, on_time_axis(table(), latency_ms=25))
    assert run.summary()["rules"]["right"]["withheld"] == {"stale": 5}
    assert run.summary()["rules"]["right"]["fired"] == 0


@pytest.mark.parametrize("ending", ["poses.rtface.h5", "poses.csv", "poses.h5"])
def test_keypoint_files_are_read_with_their_times_or_a_rate(
    rules: Rules, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / ending
    formats.write(table(), path)
    assert has_poses(path)
    poses = read_poses(path, rate_hz=None if "rtface" in ending else RATE_HZ, latency_ms=5)
    assert poses.rate_hz == pytest.approx(RATE_HZ)
    assert fired(dry_run(rules, poses), "right") == fired(
        dry_run(rules, on_time_axis(table(), latency_ms=5)), "right"
    )


def test_frames_without_times_need_a_rate() -> None:
    bare = table(camera_ns=np.full(1000, NO_TIME, np.int64))
    with pytest.raises(DataError, match=r"swing.avi: its frames have no times; .*--rate"):
        on_time_axis(bare)
    assert on_time_axis(bare, rate_hz=50.0).exposure_ns[10] == 200 * MS


def test_the_rate_is_that_between_frames_that_are_not_lost() -> None:
    whole = table()
    kept = np.delete(np.arange(1000), [100, 101, 500])
    fields = ("xy", "score", "outside", "frame_id", "exposure_ns", "arrival_ns", "camera_ns")
    lossy = dataclasses.replace(whole, **{name: getattr(whole, name)[kept] for name in fields})
    assert on_time_axis(lossy).rate_hz == pytest.approx(RATE_HZ)


def test_a_recording_without_frames_is_refused() -> None:
    with pytest.raises(DataError, match="no frames"):
        on_time_axis(table(0))


def test_a_session_is_decided_on_when_it_was_decided_on_live(rules: Rules, tmp_path: Path) -> None:
    folder, made = tmp_path / "session", table()
    writer = SessionWriter(folder, "s", Packer(2).widths)
    writer.open()
    writer.put(ConfigurationEntry(0, rig="", rules="", keypoints=made.names, trained=made.trained))
    for index, time_ns in enumerate(made.camera_ns.tolist()):
        exposure_ns = 10**12 + time_ns
        decided_ns = exposure_ns + (30 if 210 < index < 260 else 4) * MS
        stamps = Stamps(exposure_ns, exposure_ns, exposure_ns, exposure_ns, exposure_ns, decided_ns)
        frame = FrameMeta(index, exposure_ns, exposure_ns)
        put_pose(writer, Pose(frame, stamps, made.xy[index], made.score[index], made.outside[index]))
    assert writer.close()
    assert has_poses(folder)
    run = dry_run(rules, read_poses(folder))
    assert run.summary()["rules"]["right"]["withheld"]["stale"] == 1
    late = run.of("right", Action.WITHHOLD)[0]
    assert late.inputs == (("a.x", pytest.approx(10, abs=1), 1.0, 30 * MS),)
    assert run.decisions[0].now_ns == 10**12


def still() -> Poses:
    """Return two seconds of a point that does not move."""
    made = table(200)
    made.xy[:] = made.xy[60]
    return on_time_axis(made)


def test_a_recording_that_stands_still_fires_only_where_it_was_believed(rules: Rules) -> None:
    poses = still()
    assert Reason.FROZEN in {each.reason for each in dry_run(rules, poses).decisions}
    said = ConfigurationEntry(
        0,
        rig="",
        rules="",
        keypoints=("a", "b"),
        trained=(True, True),
        resolved='{"features": {}, "rules": {}}',
    )
    believed = dry_run(rules, dataclasses.replace(poses, said=said))
    assert Reason.FROZEN not in {each.reason for each in believed.decisions}


@pytest.mark.parametrize(
    ("resolved", "width"),
    [
        ('{"features": {}, "rules": {}}', None),
        ('{"input": {"width": 640, "height": 480}}', 640),
        ('{"input": null}', None),
        ("", 8192),
    ],
)
def test_rules_are_tried_on_a_session_s_frames_as_its_own_were(
    rules: Rules, resolved: str, width: int | None
) -> None:
    """Those of before there was `input` believed every frame."""
    said = ConfigurationEntry(0, rig="", rules="", keypoints=(), trained=(), resolved=resolved)
    given = like_recorded(rules.spec, said).input
    assert (None if given is None else given.width) == width


def test_what_can_never_be_known_at_the_recording_s_rate_is_told(tmp_path: Path) -> None:
    path = tmp_path / "slow.yaml"
    path.write_text(
        "features: {a: {kind: speed, point: a, max_gap_ms: 5}}\nrules: {fast: {when: a.speed > 1, pulse: {on_ms: 5}}}\n",
        encoding="utf-8",
    )
    run = dry_run(Rules(path), on_time_axis(table()))
    assert run.never_known == {"fast": ("a.speed",)}
    assert run.summary()["never_known"] == {"fast": ["a.speed"]}


def test_it_gives_the_same_decisions_again(rules: Rules) -> None:
    poses = on_time_axis(table())
    assert repr(dry_run(rules, poses).decisions) == repr(dry_run(rules, poses).decisions)


@pytest.mark.parametrize("frames", [1, 1000, 9000])
def test_the_picture_shows_what_the_rules_name(
    rules: Rules, tmp_path: Path, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args: (drawn.append(self), save(self, *args))[1])
    run = dry_run(rules, on_time_axis(table(frames), latency_ms=5, rate_hz=RATE_HZ))
    draw_dry_run(run, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    (figure,) = drawn
    feature, lanes = figure.axes
    assert feature.get_ylabel() == "a.x\n(px)"
    limits = {
        line.get_ydata()[0]
        for line in feature.get_lines()
        if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2
    }
    assert {10.0, 5.0, -10.0} <= limits
    labels = [each.get_text() for each in lanes.get_yticklabels()]
    counts = run.summary()["rules"]
    assert labels[0].startswith(f"right\n{counts['right']['fired']} fired")
    if frames == 1000:
        assert labels[1] == "left\n2 fired, 2 sham, 1 withheld"
        names = [each.get_text() for each in lanes.get_legend().get_texts()]
        assert names[-1] == "withheld: low_score"
    trace = max(feature.get_lines(), key=lambda line: len(line.get_xdata()))
    assert len(trace.get_xdata()) <= 4000
    if frames > 1:
        assert np.nanmax(trace.get_ydata()) == pytest.approx(20, abs=0.01)
        assert np.nanmin(trace.get_ydata()) == pytest.approx(-20, abs=0.01)


def test_views_that_were_not_known_when_it_was_tracked_withhold(rules: Rules, tmp_path: Path) -> None:
    known = np.ones(1000, np.float32)
    known[300:600] = 0.1
    path = tmp_path / "swing.rtface.h5"
    formats.write(dataclasses.replace(table(), view_ok=known), path, "rtface")
    run = dry_run(rules, read_poses(path))
    frames = {each.frame_id for each in run.of("right", Action.FIRE)}
    assert frames
    assert not frames & set(range(300, 600))
    withheld = [each for each in run.decisions if each.reason in (Reason.UNKNOWN_VIEW, Reason.OCCLUDED)]
    assert withheld
    assert {each.frame_id for each in withheld} <= set(range(300, 600))
    formats.write(table(), path, "rtface", overwrite=True)
    before = read_poses(path)
    assert before.table.view_ok is None, "a file of before, or of an engine that keeps no view"
    more = {each.frame_id for each in dry_run(rules, before).of("right", Action.FIRE)}
    assert more & set(range(300, 600))

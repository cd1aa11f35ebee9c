"""Rules files: what they say, what is refused with its line, and where pulse times come from."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from support.feature_runs import MS, measured, rule, rule_bank
from support.paths import DOCS

from rtface.core.decision import Action
from rtface.core.errors import ConfigError, DataError
from rtface.core.outputs import OutputEvent, OutputState, Report
from rtface.core.records import FACEMAP_KEYPOINTS, Pulse
from rtface.decide.controls import ScheduleSpec
from rtface.decide.description import describe_rule, thresholds
from rtface.decide.features.specs import FeatureSpec
from rtface.decide.multi import RuleCamera
from rtface.decide.rules import PulseSpec, RateSpec, RulesFile, RuleSpec
from rtface.decide.schedule import Schedule
from rtface.live.rulesfile import Rules, check_rules, pulse_times
from rtface.record.session.entries import ArmingEntry, DecisionEntry, GateReplyEntry, PulseCommandEntry
from rtface.record.session.writer import SessionWriter

EXAMPLE = files("rtface.cli").joinpath("example_rules.yaml").read_text("utf-8")


def written(folder: Path, text: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str, *, rate_hz: float | None = 200.0) -> str:
    with pytest.raises(ConfigError) as caught:
        Rules(written(folder, text)).evaluator(FACEMAP_KEYPOINTS, rate_hz)
    return str(caught.value).replace(str(folder / "rules.yaml"), "F")


def test_the_example_is_a_rules_file_that_fits(tmp_path: Path) -> None:
    rules = Rules(written(tmp_path, EXAMPLE))
    assert rules.text == EXAMPLE
    evaluator = rules.evaluator(FACEMAP_KEYPOINTS, 200.0)
    assert list(evaluator.states) == ["blink", "whisking_bout"]  # by priority
    assert evaluator.bank.names[:3] == ("pad.amplitude", "pad.frequency", "pad.setpoint")


def test_the_file_on_the_page_fits(tmp_path: Path) -> None:
    page = (DOCS / "rules.md").read_text("utf-8")
    shown, of_cameras = [
        each for each in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if each.startswith("features:")
    ]
    assert list(Rules(written(tmp_path, shown)).evaluator(FACEMAP_KEYPOINTS, 200.0).states) == [
        "whisking_bout"
    ]
    cameras = [RuleCamera(name, FACEMAP_KEYPOINTS, 200.0) for name in ("left", "right")]
    made = Rules(written(tmp_path, of_cameras)).multi_evaluator(cameras)
    assert made.needs == {"whisks_with_open_eye": {"left", "right"}}


def test_what_does_not_fit_several_cameras_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    text = """\
features:
  left.nose: {kind: position, point: nowhere}
  nose: {kind: position, point: nose(tip)}
  right.nose: {kind: position, point: nose(tip)}
rules:
  a: {when: left.nose.x > 1 and right.nose.x > 1, pulse: {width_ms: 1}}
  b: {when: right.noze.x > 1, pulse: {width_ms: 1}}
"""
    cameras = [RuleCamera(name, FACEMAP_KEYPOINTS, 200.0) for name in ("left", "right")]
    with pytest.raises(ConfigError) as refused:
        Rules(written(tmp_path, text)).multi_evaluator(cameras)
    said = str(refused.value)
    assert "line 2: features.left.nose: nowhere is not a keypoint" in said
    assert "line 3: features.nose: the feature's name must begin with a camera's" in said
    assert "line 7: rules.b.when" in said
    assert "rules.a" not in said, "what rests on something wrong is not wrong for that"


def test_the_page_names_every_setting() -> None:
    page = (DOCS / "rules.md").read_text("utf-8")
    kinds = [
        *get_args(get_args(FeatureSpec)[0]),
        RuleSpec,
        PulseSpec,
        RateSpec,
        *get_args(get_args(ScheduleSpec)[0]),
    ]
    shared = {"kind", "smooth", "min_score", "max_gap_ms"}
    missing = {f"{kind.__name__}.{name}" for kind in kinds for name in kind.model_fields if name not in page}
    assert missing == set()
    assert all(name in page for name in shared)


def test_an_empty_file_measures_nothing_and_requests_nothing(tmp_path: Path) -> None:
    evaluator = Rules(written(tmp_path, "")).evaluator(FACEMAP_KEYPOINTS, None)
    assert (evaluator.bank.names, evaluator.states) == ((), {})


FEATURE = "features:\n  nose: {kind: speed, point: nose(tip)}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [1, 2]", "F: line 1: rules: "),
        ("featurs: {}", "F: line 1: featurs: unknown setting; did you mean features?"),
        (
            "features:\n  nose: {kind: sped, point: x}",
            "F: line 2: features.nose.kind: no feature is called sped; there are: position, ",
        ),
        ("features:\n  nose: {point: x}", "F: line 2: features.nose.kind: missing; there are: position"),
        ("features:\n  nose: {kind: speed}", "F: line 2: features.nose.point: Field required"),
        (
            "features:\n  nose:\n    kind: speed\n    pont: x\n    point: y",
            "F: line 4: features.nose.pont: unknown setting; did you mean point?",
        ),
        (
            "features:\n  nose: {kind: speed, point: nosetip}",
            "F: line 2: features.nose: nosetip is not a keypoint of this engine; did you",
        ),
        (
            "features:\n  p:\n    kind: whisking\n    point: mouth\n    band_hz: [30, 6]",
            "F: line 5: features.p.band_hz: the lower edge comes first",
        ),
        (
            "features:\n  p:\n    kind: whisking\n    point: mouth\n    band_hz: [30, 100]",
            "F: line 5: features.p.band_hz: 100 Hz cannot be measured at 200",
        ),
        (
            "features:\n  e:\n    kind: blink\n    closed_below: 0.9\n    open_above: 0.8",
            "F: line 4: features.e.closed_below: closed_below 0.9 is above open_above 0.8",
        ),
        (
            FEATURE + "rules:\n  a:\n    when: nose.sped > 1",
            "F: line 5: rules.a.when: no feature is called nose.sped; did you mean nose.speed? (column 1)",
        ),
        (
            FEATURE + "rules:\n  a:\n    when: nose.speed > 1\n    release: nose.speed",
            "F: line 6: rules.a.release: a comparison is needed here",
        ),
        (
            FEATURE + "rules:\n  a:\n    dwell: 5\n    when: nose.speed > 1",
            "F: line 5: rules.a.dwell: unknown setting; did you mean dwell_ms?",
        ),
        (
            FEATURE + "rules:\n  a:\n    dwell_ms: -5\n    when: nose.speed > 1",
            "F: line 5: rules.a.dwell_ms: Input should be greater than or equal to 0 (it is -5)",
        ),
        (
            FEATURE + "rules:\n  a:\n    dwell_ms: .nan\n    when: nose.speed > 1",
            "F: line 5: rules.a.dwell_ms: ",
        ),
        (FEATURE + "rules:\n  a: {pulse: {width_ms: 5}}", "F: line 4: rules.a.when: a rule needs when"),
        (
            FEATURE + "rules:\n  a:\n    when: nose.speed > 1\n    value: nose.speed",
            "F: line 6: rules.a.value: value with thresholds, or when",
        ),
        (
            FEATURE + "rules:\n  a:\n    value: nose.speed\n    on_above: 1\n    off_above: 2",
            "F: line 5: rules.a.value: value needs on_above",
        ),
        (
            FEATURE + "rules:\n  a:\n    value: nose.speed\n    on_above: 1\n    off_below: 2",
            "F: line 7: rules.a.off_below: off_below 2 is above on_above 1",
        ),
        (
            FEATURE + "rules:\n  a:\n    when: nose.speed > 1\n    on_above: 2",
            "F: line 6: rules.a.on_above: on_above without value",
        ),
        (
            FEATURE + "rules:\n  a:\n    when: nose.speed > 1\n    pulse: {width_ms: 5, duration_ms: 5}",
            "F: line 6: rules.a.pulse: a pulse is width_ms alone, a train has",
        ),
        (
            FEATURE + "rules:\n  a:\n    when: nose.speed > 1\n    pulse: {frequency_hz: 10}",
            "F: line 6: rules.a.pulse.width_ms: Field required",
        ),
        (
            FEATURE
            + "rules:\n  a:\n    when: nose.speed > 1\n    pulse: {frequency_hz: 100, width_ms: 10, duration_ms: 100}",
            "rules.a.pulse.width_ms: pulses of 10 ms leave no dark time at 100 Hz",
        ),
        (
            FEATURE + "rules:\n  a:\n    when: nose.speed > 1\n    windows: [[5, 5]]",
            "F: line 6: rules.a.windows: 5 to 5 s: the earlier time comes first",
        ),
        (
            FEATURE
            + "rules:\n  a:\n    when: nose.speed > 1\n    pulse: {width_ms: 5}\n    schedule: {kind: mixed, sham: 0.5}",
            "F: line 7: rules.a.schedule.seed: Field required",
        ),
        (
            FEATURE
            + "rules:\n  a:\n    when: nose.speed > 1\n    pulse: {width_ms: 5}\n"
            + "    schedule: {kind: mixed, sham: 0.5, seed: 1, block: 5}",
            "rules.a.schedule.block: sham 0.5 of a block of 5 is 2.5 trials",
        ),
        (
            FEATURE
            + "rules:\n  a:\n    when: nose.speed > 1\n    pulse: {width_ms: 5}\n    schedule: {kind: mixd, seed: 1}",
            "rules.a.schedule.kind: no schedule is called mixd; there are: mixed, yoked, matched",
        ),
        (
            FEATURE + "rules:\n  a:\n    when: nose.speed > 1\n    schedule: {kind: mixed, seed: 1}",
            "rules.a.schedule: a schedule of controls without a pulse",
        ),
        (
            FEATURE + "rules:\n  a:\n    pulse: {width_ms: 5}\n    schedule: {kind: yoked, seed: 1}",
            "rules.a.schedule: yoked needs times_s or source",
        ),
        (
            FEATURE
            + "rules:\n  a:\n    pulse: {width_ms: 5}\n    schedule: {kind: matched, seed: 1, count: 5, span_s: [9, 1]}",
            "rules.a.schedule.span_s: the earlier time comes first",
        ),
        (
            FEATURE
            + "rules:\n  a:\n    pulse: {width_ms: 5}\n    schedule:\n      kind: yoked\n      seed: 1\n      source: nowhere",
            "F: line 9: rules.a.schedule.source: ",
        ),
        (
            FEATURE
            + "rules:\n  a:\n    pulse: {width_ms: 5}\n    schedule:\n      kind: matched\n"
            + "      seed: 1\n      count: 500\n      span_s: [0, 10]",
            "F: line 10: rules.a.schedule.span_s: 500 pulses",
        ),
        (
            FEATURE + "rules:\n  a:\n    when: nose.speed > 1\n  a:\n    when: nose.speed > 2",
            "F: line 6: a stands twice in the same section",
        ),
        (
            FEATURE + "rules:\n  a:\n    when: rule.b == 1\n  b:\n    when: rule.a == 1",
            "F: line 4: rules.a: rules rest on each other in a circle: a -> b -> a",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


def test_a_rhythm_without_a_frame_rate_is_told(tmp_path: Path) -> None:
    text = "features:\n  p: {kind: whisking, point: mouth}\n"
    assert "F: line 2: features.p.band_hz: a rhythm needs" in refused(tmp_path, text, rate_hz=None)


@pytest.mark.parametrize(
    ("settings", "pulse"),
    [
        ({"width_ms": 5}, Pulse(5 * MS, 5 * MS, 1, 1.0)),
        ({"frequency_hz": 20, "width_ms": 5, "duration_ms": 500}, Pulse(5 * MS, 50 * MS, 10, 1.0)),
        ({"frequency_hz": 20, "width_ms": 5, "duration_ms": 504.9}, Pulse(5 * MS, 50 * MS, 10, 1.0)),
        ({"frequency_hz": 20, "width_ms": 5, "duration_ms": 505}, Pulse(5 * MS, 50 * MS, 11, 1.0)),
        ({"frequency_hz": 20, "width_ms": 5, "duration_ms": 5}, Pulse(5 * MS, 5 * MS, 1, 1.0)),
        (
            {"frequency_hz": 3, "width_ms": 1, "duration_ms": 1000, "amplitude": 0.5},
            Pulse(MS, 333_333_333, 3, 0.5),
        ),
    ],
)
def test_pulses_and_trains(settings: dict[str, Any], pulse: Pulse) -> None:
    made = PulseSpec.model_validate(settings).record()
    assert made == pulse
    assert made.duration_ns <= 1e6 * settings.get("duration_ms", settings["width_ms"])


@pytest.mark.parametrize(
    "old",
    [
        {"on_ms": 5},
        {"on_ms": 5, "frequency_hz": None, "width_ms": None, "duration_ms": None, "amplitude": 1.0},
    ],
)
def test_a_pulse_of_before_is_read(old: dict[str, Any]) -> None:
    assert PulseSpec.model_validate(old) == PulseSpec(width_ms=5)
    train = {"frequency_hz": 20.0, "width_ms": 5.0, "duration_ms": 500.0}
    assert PulseSpec.model_validate({"on_ms": None, **train}) == PulseSpec(**train)


def test_the_old_name_of_a_pulses_width_is_read_with_a_hint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = FEATURE + "rules:\n  a:\n    when: nose.speed > 1\n    pulse:\n      on_ms: 5\n"
    rules = Rules(written(tmp_path, text))
    assert rules.spec.rules["a"].pulse == PulseSpec(width_ms=5)
    assert '"on_ms"' not in rules.spec.model_dump_json()
    (hint,) = caplog.messages
    assert hint.endswith(
        "rules.yaml: line 7: rules.a.pulse.on_ms: its name is width_ms now; on_ms is still read"
    )
    caplog.clear()
    Rules(written(tmp_path, text.replace("on_ms", "width_ms")))
    assert not caplog.messages
    assert "rules.a.pulse.on_ms: on_ms is the old name of width_ms: one" in refused(
        tmp_path, text + "      width_ms: 5\n"
    )


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = """\
features:
  nose: {kind: speed, point: nosetip}
  pad: {kind: whisking, point: mouth, band_hz: [6, 300]}
  eye: {kind: area, points: [eye(bak), eye(top), eye(frnt)]}
  lick: {kind: lik}
  paw: {kind: speed, point: paw}
rules:
  a: {when: nose.speed > 1 and paw.sped > 2, release: mouth.x < 1, pulse: {width_ms: 5}}
  b: {when: lick.rate > 1, pulse: {width_ms: -5}, refractory: 100}
  c: {when: rule.b == 1 and pad.amplitude > 2 and eye.area > 1, pulse: {width_ms: 5}}
  d: {pulse: {width_ms: 5}, schedule: {kind: yoked, seed: 1, source: nowhere}}
  e: {pulse: {width_ms: 5}, schedule: {kind: matched, seed: 1, count: 500, span_s: [0, 10]}}
  f g: {when: rule.d == 1 or paw.speed > }
"""
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        check_rules(path, FACEMAP_KEYPOINTS, 200.0)
    lines = [line for line in str(caught.value).splitlines() if line.startswith(str(path))]
    absent, gone = tmp_path / "nowhere", "No such file or directory"
    found = [line.removeprefix(f"{path}: line ").partition(";")[0] for line in lines]
    assert found == [
        "5: features.lick.kind: no feature is called lik",
        "9: rules.b.pulse.width_ms: Input should be greater than 0 (it is -5)",
        "9: rules.b.refractory: unknown setting",
        f"11: rules.d.schedule.source: {absent}: neither a session nor a list of times ([Errno 2] {gone}: '{absent}')",
        "2: features.nose: nosetip is not a keypoint of this engine",
        "3: features.pad.band_hz: 300 Hz cannot be measured at 200 frames/s",
        "4: features.eye: eye(bak) is not a keypoint of this engine",
        "4: features.eye: eye(frnt) is not a keypoint of this engine",
        "8: rules.a.when: no feature is called paw.sped",
        "8: rules.a.release: no feature is called mouth.x",
        "12: rules.e.schedule.span_s: 500 pulses with their refractory time take 502.5 s, more than the 10 s of the span",
        "13: rules.f g: a rule's name is made of letters, digits and _, and does not begin with a digit",
        "13: rules.f g.when: the condition ends here",
    ]
    with pytest.raises(ConfigError, match=r"rules\.a\.when(.|\n)*rules\.a\.release"):
        Rules(written(tmp_path, FEATURE + "rules: {a: {when: x > 1, release: y < 1}}")).evaluator(
            ("nose(tip)",), 200.0
        )
    with pytest.raises(ConfigError, match=r"called x; .*called y; "):
        Rules(written(tmp_path, FEATURE + "rules: {a: {when: x > y}}")).evaluator(("nose(tip)",), 200.0)


def test_thresholds_are_found_for_the_picture() -> None:
    spec = RuleSpec.model_validate(
        {"when": "x > 3 and (2 < y < 9 or -4 > x) and max(x, y) > 1", "release": "x < 2.5"}
    )
    assert thresholds(spec) == {
        "x": [(3.0, True), (-4.0, True), (2.5, False)],
        "y": [(2.0, True), (9.0, True)],
    }
    spec = RuleSpec.model_validate({"value": "x", "on_below": 1, "off_above": 2})
    assert thresholds(spec) == {"x": [(1.0, True), (2.0, False)]}


def test_a_describe_rule() -> None:
    spec = rule(
        when="x > 3", dwell_ms=20, refractory_ms=500, max_rate={"count": 3, "per_s": 60}, windows=[[5, 60]],
        pulse={"frequency_hz": 20, "width_ms": 5, "duration_ms": 250}, max_gap_frames=2, ignore_light_ms=4,
        schedule={"kind": "mixed", "sham": 0.2, "seed": 7, "blind": True},
    )  # fmt: skip
    assert describe_rule(spec) == [
        "holds when x > 3 for 20 ms, until that is no longer so",
        "light: 5 pulses of 5 ms at 20 Hz (205 ms in all) at full power",
        "controls: 20% shams, 0% catches, blinded (seed 7)",
        "held back: "
        + "; ".join(
            [
                "500 ms after each",
                "beyond 3 in 60 s",
                "outside 5 to 60 s",
                "score below 0.5",
                "older than 20 ms",
                "after more than 2 missing frames",
                "frames within 4 ms of a trial's light are ignored",
            ]
        ),
    ]
    timed = rule(when=..., schedule={"kind": "yoked", "times_s": [1, 2], "seed": 0})
    assert "controls: yoked: 2 pulses at the times of the list (seed 0)" in describe_rule(timed)


def test_the_threshold_of_an_alias_is_that_of_the_recorded_name() -> None:
    assert thresholds(rule(when="neural.ood < 1")) == {"neural.strange": [(1.0, True)]}


def test_pulse_times_of_a_text_file(tmp_path: Path) -> None:
    source = tmp_path / "times.txt"
    source.write_text("# seconds\n1.5\n\n3   # the second\n", encoding="utf-8")
    assert pulse_times(source) == (1.5, 3.0)
    text = "rules:\n  y:\n    pulse: {width_ms: 5}\n    schedule: {kind: yoked, seed: 0, source: times.txt}\n"
    rules = Rules(written(tmp_path, text))  # relative to the rules file
    schedule = rules.spec.rules["y"].schedule
    assert schedule is not None
    assert schedule.times_s == (1.5, 3.0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1\nsoon\n", "line 2: 'soon' is not a time"),
        ("-1", "line 1"),
        ("nan", "line 1"),
        ("# none\n", "no pulses"),
    ],
)
def test_pulse_times_that_are_none(tmp_path: Path, content: str, said: str) -> None:
    source = tmp_path / "times.txt"
    source.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        pulse_times(source)
    with pytest.raises(DataError, match="neither a session nor a list"):
        pulse_times(tmp_path / "nothing")


def recorded(folder: Path, *, armed: bool = True) -> list[float]:
    """Record a session in which two rules fire, of which each third pulse is refused; return when light came on, in
    seconds since it was armed. Of a train two pulses are reported; the device's clock tells it half a ms before the host."""
    made = rule_bank(one=rule(), two=rule(when="x < -5"))
    writer = SessionWriter(folder, "s", {})
    writer.open()
    start_ns = 10**12
    if armed:
        writer.put(ArmingEntry(start_ns, "armed", "operator", "test"))
    said = made.arm(start_ns)
    times = []
    for index in range(1, 60):
        now_ns = start_ns + index * 20 * MS
        found = made.frame(index, now_ns, now_ns, measured([6.0 * math.sin(index)], now_ns, 1.0))
        for each in found:
            if each.action is Action.FIRE:
                times.append((each.now_ns - start_ns) / 1e9)
                found = found + made.ended(now_ns + MS, each.rule, each.trial)
        said += found
    lit, command = [], 0
    for number, each in enumerate(said):
        writer.put(DecisionEntry.of(each, number))
        if each.action is not Action.FIRE:
            continue
        command += 1
        writer.put(PulseCommandEntry(each.now_ns, number, command, "gate", "fire"))
        if command % 3 == 0:
            refusal = Report(command, OutputEvent.REFUSED, each.now_ns + MS, OutputState.ARMED)
            writer.put(GateReplyEntry.of(refusal, "gate"))
            continue
        lit.append((each.now_ns + 2 * MS - start_ns) / 1e9)
        for after_ns in (2 * MS, 7 * MS):
            on_ns = each.now_ns + after_ns
            late = Report(command, OutputEvent.LIGHT_ON, on_ns + MS // 2, OutputState.FIRING, host_ns=on_ns)
            if command % 3 == 1:
                late = replace(late, t_ns=on_ns, host_ns=None)
            writer.put(GateReplyEntry.of(late, "gate"))
    assert len(times) == command
    assert writer.close()
    return lit


def test_pulse_times_of_a_session_are_those_of_its_light_since_it_was_armed(tmp_path: Path) -> None:
    times = recorded(tmp_path / "session")
    assert len(times) > 5
    assert pulse_times(tmp_path / "session") == pytest.approx(times)
    one = pulse_times(tmp_path / "session", "one")
    assert 0 < len(one) < len(times)
    assert pulse_times(tmp_path / "session" / "session.log", "one") == one
    with pytest.raises(DataError, match="no pulses"):
        pulse_times(tmp_path / "session", "three")
    recorded(tmp_path / "unarmed", armed=False)
    with pytest.raises(DataError, match="never armed"):
        pulse_times(tmp_path / "unarmed")


def orders(rules: Rules) -> list[str]:
    spec = rules.spec.rules["a"]
    made = Schedule("a", spec)
    return [made.draw().value for _ in range(40)]


SHAMS = (
    "features: {nose: {kind: speed, point: nose(tip)}}\n"
    "rules:\n  a: {when: nose.speed > 1, pulse: {on_ms: 5}, "
    "schedule: {kind: mixed, sham: 0.5, block: 4, seed: 1SEED}}\n"
)


def test_each_session_has_an_order_of_its_own_which_is_in_its_record(tmp_path: Path) -> None:
    path = written(tmp_path, SHAMS.replace("SEED", ""))
    days = [Rules(path) for _ in range(5)]
    for rules in days:
        rules.draw_session()
    assert len({tuple(orders(each)) for each in days}) == 5
    for rules in days:
        recorded_rules = RulesFile.model_validate_json(rules.spec.model_dump_json())
        assert recorded_rules == rules.spec
        again = Rules(path)
        again.spec = again.spec.of_session(recorded_rules.session_seed)
        assert orders(again) == orders(rules)


def test_an_order_that_is_wanted_again_is_given_by_both_seeds(tmp_path: Path) -> None:
    path = written(tmp_path, SHAMS.replace("SEED", ", session_seed: 7"))
    days = [Rules(path) for _ in range(3)]
    for rules in days:
        rules.draw_session()
    assert len({tuple(orders(each)) for each in days}) == 1


def test_rules_of_before_have_the_order_that_they_had(tmp_path: Path) -> None:
    rules = Rules(written(tmp_path, SHAMS.replace("SEED", "")))
    text = rules.spec.model_dump_json().replace('"session_seed":null,', "")
    assert "session_seed" not in text
    before = RulesFile.model_validate_json(text)
    assert before.session_seed is None
    made = Schedule("a", before.rules["a"])
    shuffled = "".join(made.draw().value[0] for _ in range(16))
    assert shuffled == "pspspsspssppppss"

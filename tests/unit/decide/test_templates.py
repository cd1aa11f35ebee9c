"""Templates of rules: each is read, fits the shipped engines, and fires on the simulated mouse or says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.commandline import run

from rtface.core.errors import UsageError
from rtface.decide.templates import template_names, template_text, template_words
from rtface.live.rulesfile import check_rules
from rtface.track.store import load_engine


@pytest.mark.parametrize("name", template_names())
def test_a_template_makes_sense_and_fits_the_default_engine(name: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(template_text(name), encoding="utf-8")
    points = load_engine("default").manifest.keypoints
    _, evaluator = check_rules(path, tuple(point.name for point in points), 200.0)
    untrained = {point.name for point in points if not point.trained}
    assert not any(set(used) & untrained for used in evaluator.bank.points.values())
    for rule in yaml.safe_load(template_text(name))["rules"].values():
        assert rule["pulse"]["amplitude"] <= 0.5, "a first light is a weak one"
        assert rule["max_pulses"] <= 200


@pytest.mark.parametrize("name", template_names())
def test_its_words_are_its_first_remark(name: str) -> None:
    words = template_words(name)
    assert words.startswith("Light when ")
    assert words.endswith(".")
    assert "\n" not in words


def test_the_command_prints_and_lists_them() -> None:
    assert run("rules", "example", "blink").stdout == template_text("blink")
    listed = run("rules", "example", "--list").stdout.splitlines()
    assert [line.split(":")[0] for line in listed] == list(template_names())
    assert run("rules", "example").stdout.startswith("# A rules file")
    wrong = run("rules", "example", "blinks")
    assert wrong.returncode == 2
    assert "did you mean blink" in wrong.stderr


def test_another_name_is_refused() -> None:
    with pytest.raises(UsageError, match="no rules template"):
        template_text("../templates/blink")

"""Whether an engine learnt from a recording, by all kinds of manifests."""

from __future__ import annotations

from typing import Any

import pytest
from support.fakes import fake_engine

from rtface.learn.engines.provenance import origin_in_words, training_on
from rtface.track.manifest import Manifest
from rtface.track.store import load_engine

ON, NOT, UNKNOWN = "trained on", "not trained on", "not known"
BY_TRAIN = {"recordings": ["a", "b.mp4"], "held_out": {"recordings": ["b", "c"]}}
DISTILLED = {"distilled_from": "t", "recordings": {"a.mp4": {"frames": 9}}, "labelled_frames": 0}


def manifest(training: dict[str, Any], metrics: dict[str, Any] | None = None) -> Manifest:
    return fake_engine().manifest.model_copy(update={"training": training, "metrics": metrics or {}})


@pytest.mark.parametrize(
    ("training", "video", "answer"),
    [
        ({}, "a", UNKNOWN),
        (BY_TRAIN, "a", ON),
        (BY_TRAIN, "b", ON),
        (BY_TRAIN, "c", NOT),
        (BY_TRAIN, "d", NOT),
        (BY_TRAIN, "A.1", NOT),
        (DISTILLED, "a", ON),
        (DISTILLED, "z", NOT),
        (DISTILLED | {"started_from": "face-2"}, "z", UNKNOWN),
        (DISTILLED | {"labelled_frames": 5}, "z", UNKNOWN),
        ({"parent": "face-2", "frames": 9}, "a", UNKNOWN),
        ({"parent": "face-2", "recordings": ["a"]}, "a", ON),
        ({"parent": "face-2", "recordings": ["a"]}, "b", UNKNOWN),
        ({"held_out": "day.2"}, "day.2", NOT),
        ({"held_out": "day.2"}, "day.1", UNKNOWN),
    ],
)
def test_it_tells_what_the_manifest_tells_and_no_more(
    training: dict[str, Any], video: str, answer: str
) -> None:
    assert training_on(manifest(training), video) == answer


@pytest.mark.parametrize("name", ["face-2", "face-2-int8"])
def test_the_shipped_engines_learnt_from_the_recordings_that_judge_their_recipe(name: str) -> None:
    shipped = load_engine(name).manifest
    assert training_on(shipped, "cam1_G7c1_1") == ON
    assert training_on(shipped, "another") == UNKNOWN
    assert "197 labelled frames" in origin_in_words(shipped)


def test_the_origin_names_what_it_was_made_from() -> None:
    assert origin_in_words(manifest(DISTILLED | {"started_from": None})) == "distilled from t"
    assert origin_in_words(manifest({"parent": "face-2"})) == "adapted from face-2"
    assert origin_in_words(manifest({})) == ""

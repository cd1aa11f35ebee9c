from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from support.fakes import engine_fields, fake_engine

from rtface.core.records import Keypoint
from rtface.track.manifest import (
    DecodeSpec,
    InputSpec,
    LevelsSpec,
    Manifest,
    ResampleSpec,
    preprocessing_hash,
)


def plain(**changes: Any) -> dict[str, Any]:
    """A manifest as it is read from JSON."""
    values: dict[str, Any] = fake_engine(**changes).manifest.model_dump(mode="json")
    return values


def refused(values: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        Manifest.model_validate_json(json.dumps(values))
    return str(caught.value)


def test_round_trip_through_json() -> None:
    manifest = fake_engine(
        keypoints=[("eye", True), ("paw", False)], columns=("x", "y", "score", "likelihood")
    ).manifest
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
    assert manifest.names == ("eye", "paw")
    assert manifest.skeleton == (Keypoint("eye"), Keypoint("paw", trained=False))


def test_the_hash_changes_with_every_part_of_the_preprocessing() -> None:
    parts: list[tuple[Any, Any]] = [
        (InputSpec(size=64), InputSpec(size=65)),
        (LevelsSpec(), LevelsSpec(low=2)),
        (ResampleSpec(half_pixel=True), ResampleSpec(half_pixel=False)),
        (
            DecodeSpec(method="a", columns=("x", "y", "score")),
            DecodeSpec(method="b", columns=("x", "y", "score")),
        ),
    ]
    first = tuple(part for part, _ in parts)
    hashes = {preprocessing_hash(*first)}
    for index, (_, other) in enumerate(parts):
        hashes.add(preprocessing_hash(*(*first[:index], other, *first[index + 1 :])))
    assert len(hashes) == 5
    assert preprocessing_hash(*first) == preprocessing_hash(*first)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("input", "size", 128),
        ("normalise", "low", 0.0),
        ("normalise", "high", 98.0),
        ("resample", "half_pixel", False),
        ("decode", "method", "argmax"),
        ("decode", "columns", ["x", "y", "score", "likelihood"]),
    ],
)
def test_an_edited_preprocessing_is_noticed(section: str, key: str, value: object) -> None:
    values = plain()
    assert values[section][key] != value
    values[section][key] = value
    assert "preprocessing_sha256 is" in (message := refused(values))
    assert "the manifest was edited" in message


def test_an_unknown_key_is_refused_at_each_level() -> None:
    for section in (None, "input", "normalise", "resample", "decode", "score"):
        values = plain()
        (values if section is None else values[section])["colour"] = 1
        assert "colour" in refused(values)


@pytest.mark.parametrize("name", ["../model", "a/b", "..\\model", ".hidden", "/etc/passwd", "..", "."])
def test_files_outside_the_engines_folder_are_refused(name: str) -> None:
    values = plain()
    values["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    assert "files outside the engine's folder" in refused(values)


def test_keypoints_named_twice_are_refused() -> None:
    values = plain()
    values["keypoints"] = [{"name": "eye"}, {"name": "nose"}, {"name": "eye"}]
    assert "keypoints named twice: eye" in refused(values)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("rtface_engine",), 2),
        (("rtface_engine",), 0),
        (("name",), "Upper"),
        (("name",), "../up"),
        (("name",), ""),
        (("keypoints",), []),
        (("keypoints",), [{"name": ""}]),
        (("input", "size"), 31),
        (("input", "channels"), 3),
        (("input", "dtype"), "float32"),
        (("input", "layout"), "NHWC"),
        (("normalise", "method"), "minmax"),
        (("normalise", "low"), 99.0),
        (("normalise", "high"), 101),
        (("resample", "interpolation"), "nearest"),
        (("decode", "columns"), ["y", "x", "score"]),
        (("decode", "columns"), []),
        (("score", "radius_px"), 0),
        (("precision",), "int4"),
        (("files",), {}),
        (("files", "model.onnx", "sha256"), "0" * 63),
        (("files", "model.onnx", "bytes"), 0),
        (("preprocessing_sha256",), "0" * 64),
    ],
)
def test_what_is_out_of_range_is_refused(place: tuple[str, ...], value: object) -> None:
    values = plain()
    section: Any = values
    for part in place[:-1]:
        section = section[part]
    section[place[-1]] = value
    assert place[0] in refused(values)


def test_every_field_that_has_no_default_is_needed() -> None:
    for key in ("name", "licence", "keypoints", "input", "resample", "decode", "score", "files"):
        values = plain()
        del values[key]
        assert key in refused(values)


def test_fields_for_tests_make_a_manifest() -> None:
    assert set(engine_fields()) <= set(Manifest.model_fields)

"""The conda recipe: accepted by rattler-build's parser, rendered, and of the same requirements as pyproject.toml. Not built."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.paths import REPOSITORY

rattler_build = pytest.importorskip("rattler_build", reason="py-rattler-build is not installed")

RECIPE = REPOSITORY / "conda" / "recipe.yaml"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CALLED = {"msgpack": "msgpack-python", "opencv-python-headless": "py-opencv", "PyYAML": "pyyaml"}
BY_PIP = {"genicam", "harvesters"}


def rendered(path: Path) -> dict[str, Any]:
    """Return the only variant of a recipe, with its expressions filled in."""
    (variant,) = rattler_build.Stage0Recipe.from_file(path).render(rattler_build.VariantConfig())
    return dict(variant.recipe.to_dict())


def test_it_is_of_this_version_and_needs_what_the_package_needs() -> None:
    recipe = rendered(RECIPE)
    assert recipe["package"] == {"name": PROJECT["name"], "version": PROJECT["version"]}
    assert recipe["about"]["license"] == PROJECT["license"]
    wanted = {"python " + PROJECT["requires-python"]}
    for line in PROJECT["dependencies"]:
        name, least = line.split(">=")
        if name not in BY_PIP:
            wanted.add(f"{CALLED.get(name, name)} >={least}")
    assert set(recipe["requirements"]["run"]) == wanted


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("  number: 0", "  nummer: 0"), ("noarch: python", "noarch: pyhton"), ("${{ version }}", "${{ version")],
)
def test_a_recipe_that_is_wrong_is_refused(tmp_path: Path, ours: str, theirs: str) -> None:
    text = RECIPE.read_text(encoding="utf-8")
    assert ours in text
    wrong = tmp_path / "recipe.yaml"
    wrong.write_text(text.replace(ours, theirs), encoding="utf-8")
    with pytest.raises(rattler_build.RattlerBuildError):
        rendered(wrong)

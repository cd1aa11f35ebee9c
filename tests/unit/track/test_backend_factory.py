from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from fakes import fake_engine

from rtface.config import BackendSettings
from rtface.errors import BackendError
from rtface.track.backends import factory
from rtface.track.backends.factory import BACKENDS, make_backend
from rtface.track.store import Engine


class Made:
    def __init__(self, engine: Engine, settings: BackendSettings, why: str) -> None:
        self.engine, self.settings, self.why = engine, settings, why


@pytest.fixture(autouse=True)
def _made_up_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two back ends, first and second, in the order of probing."""
    for name in ("first", "second"):
        module: Any = ModuleType(f"rtface_test_{name}")
        module.Backend = type(name, (Made,), {})
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(
        factory,
        "BACKENDS",
        {
            "openvino": ("rtface_test_first", "Backend", "onepackage", "pip install one"),
            "torch": ("rtface_test_second", "Backend", "otherpackage", "pip install other"),
        },
    )


def make(name: str, *installed: str) -> Any:
    settings = BackendSettings.model_validate({"name": name, "threads": 3})
    return make_backend(fake_engine(), settings, present=lambda package: package in installed)


def test_auto_takes_the_first_that_is_installed_and_says_why() -> None:
    both = make("auto", "onepackage", "otherpackage")
    assert type(both).__name__ == "first"
    assert both.why == "auto: onepackage is the first that is installed"
    assert both.settings.threads == 3
    assert both.engine == fake_engine()
    second = make("auto", "otherpackage")
    assert type(second).__name__ == "second"
    assert second.why == "auto: otherpackage is the first that is installed"


def test_the_one_asked_for_is_made_and_no_other() -> None:
    made = make("torch", "onepackage", "otherpackage")
    assert type(made).__name__ == "second"
    assert made.why == "asked for: torch"


def test_the_one_asked_for_is_missing_and_none_takes_its_place() -> None:
    with pytest.raises(BackendError, match=r"backend\.name is torch, but otherpackage .*: pip install other"):
        make("torch", "onepackage")


def test_none_is_installed() -> None:
    with pytest.raises(BackendError, match="no back end is installed: pip install one; or pip install other"):
        make("auto")


def test_installed_packages_are_found_without_importing_them() -> None:
    with pytest.raises(BackendError, match="not installed"):
        make_backend(fake_engine(), BackendSettings(name="openvino"))


def test_every_name_of_the_configuration_is_known() -> None:
    assert set(BACKENDS) | {"auto"} == set(BackendSettings.model_json_schema()["properties"]["name"]["enum"])

"""The release: packages that are the same each time they are built, small enough, with the same version everywhere."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest
from support.paths import REPOSITORY

from tools import release
from tools.tree import committed_at, copied, git

pytestmark = [
    pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="a release is built from a checkout"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("twine") is None:
        pytest.skip("twine is not installed")
    out = tmp_path_factory.mktemp("packages")
    assert list(release.faults(out)) == []
    return out


def test_both_packages_are_built_alike_twice_and_dated_by_the_commit(packages: Path) -> None:
    version = release.versions()["pyproject.toml"]
    assert {path.name for path in packages.iterdir()} == {
        f"{name}-{version}{ending}"
        for name in ("rtface", "rtface_client")
        for ending in ("-py3-none-any.whl", ".tar.gz")
    }
    (wheel,) = packages.glob("rtface-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        dates = {each.date_time[:3] for each in archive.infolist()}
        names = archive.namelist()
    assert len(dates) == 1
    assert dates.pop()[0] == int(git("log", "-1", "--format=%cd", "--date=format:%Y"))
    assert "rtface/engines/face-2-int8/model.onnx" in names
    assert "rtface/screen/static/vendor/uPlot.js" in names
    assert not [name for name in names if name.startswith(("tools", "tests", "bench", "docs"))]


def small_project(folder: Path, code: str) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n[project]\nname = "small"\n'
        'version = "1"\n[tool.hatch.build.targets.wheel]\ninclude = ["small.py"]\n',
        encoding="utf-8",
    )
    (folder / "small.py").write_text(code, encoding="utf-8")
    return folder


def test_builds_that_differ_and_a_wheel_that_is_too_large_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list(
        release.twice(
            lambda folder: small_project(folder, f"here = {str(folder)!r}"), 1_700_000_000, tmp_path
        )
    )
    assert found == ["small-1-py2.py3-none-any.whl: two builds differ", "small-1.tar.gz: two builds differ"]
    monkeypatch.setattr(release, "LARGEST_WHEEL", 100)
    (large,) = release.twice(lambda folder: small_project(folder, ""), 1_700_000_000, tmp_path)
    assert "a wheel must be smaller than 100" in large


def test_what_git_ignores_is_in_no_package(tmp_path: Path) -> None:
    tree = copied(tmp_path / "tree")
    assert (tree / "rtface" / "client.py").read_bytes() == (REPOSITORY / "rtface" / "client.py").read_bytes()
    assert not list(tree.rglob("__pycache__"))
    assert committed_at() > 1_700_000_000


def test_versions_that_differ_and_files_that_are_not_committed_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(set(release.versions().values())) == 1
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["release", str(out)])
    monkeypatch.setattr(release, "git", lambda *_: " M rtface/client.py\n")
    assert release.main() == 1
    assert "not committed" in capsys.readouterr().out
    monkeypatch.setattr(release.rtface, "__version__", "0.0.9")
    assert release.main() == 1
    assert "0.0.9" in capsys.readouterr().out
    assert not out.exists()

"""The site of the pages: built from this checkout, and what its checks find."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import DOCS, REPOSITORY

import rtface
from tools.site import lost_links, outside_loads, write_versions

BUILDER = ("furo", "myst_parser", "sphinx")
EXTRAS = (
    "torch",
    "onnx",
    "onnxruntime",
    "scipy",
    "sklearn",
    "matplotlib",
    "pandas",
    "tables",
    "sleap_io",
    "starlette",
)
DOCUMENTED = re.compile(r"^\.\. auto\w+:: ([\w.]+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := [name for name in BUILDER if importlib.util.find_spec(name) is None]:
        pytest.skip(f"the site's builder is not installed: {', '.join(missing)}")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "tools.site", str(out)]
    built = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return out


@pytest.mark.timeout(900)
def test_the_site_is_whole_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = site / rtface.__version__
    assert len([*pages.rglob("*.html")]) > 70
    assert [*outside_loads(site)] == []
    assert [*lost_links(site)] == []
    assert not list(site.rglob("*.woff*"))


@pytest.mark.timeout(900)
def test_pages_docstrings_and_versions_are_found(site: Path) -> None:
    pages = site / rtface.__version__
    index = (pages / "searchindex.js").read_text(encoding="utf-8")
    for word in ("rtface.client.Client", "docs/closed-loop", "docs/api/extending", "refractori"):
        assert word in index, word
    client = (pages / "docs/api/client.html").read_text(encoding="utf-8")
    assert "connects at once and finds a service that is started later" in client
    assert 'id="rtface.client.Client.emergency_stop"' in client
    assert f'href="{rtface.__version__}/index.html"' in (site / "index.html").read_text(encoding="utf-8")
    assert "../../../index.html" in client


def planted(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<link rel="stylesheet" href="https://fonts.example/css">'),
        ("a.html", '<script src="//cdn.example/x.js"></script>'),
        ("a.html", '<img src="http://host.example/badge.svg">'),
        ("a.html", '<p style="background: url(https://host.example/x.png)">'),
        ("a.html", "<script>fetch('https://host.example/x')</script>"),
        ("a.css", '@import "https://fonts.example/css";'),
        ("a.css", "@font-face { src: url( 'https://fonts.example/x.woff2' ) }"),
        ("a.js", 'request.open("GET", "https://host.example/x")'),
        ("a.js", 'import("https://cdn.example/x.js")'),
    ],
)
def test_what_would_be_loaded_from_elsewhere_is_found(tmp_path: Path, name: str, text: str) -> None:
    (fault,) = outside_loads(planted(tmp_path, name, text))
    assert name in fault
    assert "example" in fault


def test_a_link_to_another_host_is_no_load(tmp_path: Path) -> None:
    planted(tmp_path, "a.html", '<a href="https://host.example">there</a> <img src="x.png">')
    assert [*outside_loads(tmp_path)] == []


def test_lost_files_and_anchors_are_found(tmp_path: Path) -> None:
    planted(tmp_path, "b.html", '<h2 id="here">Here</h2>')
    planted(tmp_path, "a.html", '<a href="b.html#here">1</a> <a href="https://host.example/c.html">2</a>')
    assert [*lost_links(tmp_path)] == []
    planted(tmp_path, "c.html", '<a href="b.html#gone">1</a> <a href="d.html">2</a> <a href="#self">3</a>')
    assert [fault.split(": ", 1)[1] for fault in lost_links(tmp_path)] == [
        "b.html#gone: no such anchor",
        "d.html: no such file",
        "#self: no such anchor",
    ]


def test_versions_are_listed_newest_first_by_number(tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0", "no-version"):
        (tmp_path / version).mkdir()
    for version in ("0.9.0", "0.10.0"):
        planted(tmp_path / version, "objects.inv", "")
    write_versions(tmp_path)
    listed = re.findall(r'href="([\d.]+)/', (tmp_path / "index.html").read_text(encoding="utf-8"))
    assert listed == ["0.10.0", "0.9.0"]


def test_what_the_api_pages_name_is_imported_without_the_extras() -> None:
    names = [name for page in DOCS.glob("api/*.md") for name in DOCUMENTED.findall(page.read_text("utf-8"))]
    assert len(names) > 40
    code = f"""
import sys
from pydoc import locate
sys.modules.update(dict.fromkeys({EXTRAS!r}))
lost = [name for name in {names!r} if locate(name) is None]
assert not lost, lost
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

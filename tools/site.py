"""Builds the site of the pages: ``python -m tools.site OUT``, with what the extra ``docs`` pins.

The pages of this version go to ``OUT/VERSION``; ``OUT/index.html`` lists the versions that are there, so that a host
keeps the older ones beside. A warning of the builder, a link that leads nowhere within the site, and anything that a
page would load from another host are errors. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import html
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import rtface

REPOSITORY = Path(__file__).resolve().parent.parent
SETTINGS = REPOSITORY / "docs" / "site"

_LOADED = {
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
}
"""Attributes by whose address a browser loads something without being asked."""

_STYLE_LOADS = re.compile(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s;]+)""", re.IGNORECASE)
_SCRIPT_LOADS = re.compile(
    r"""(?:fetch|importScripts|import|\.open|WebSocket|EventSource|sendBeacon|\.src\s*=|\.href\s*=)"""
    r"""\s*\(?\s*(?:["'](?:GET|POST)["']\s*,\s*)?["'`]((?:(?:https?|wss?):)?//[^"'`\s]+)""",
    re.IGNORECASE,
)


class _Page(HTMLParser):
    """The links, anchors and loaded addresses of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            if name in ("href", "src"):
                self.links.append(value)
            if name in _LOADED.get(tag, ()):
                self.loads.append(value)


@cache
def _page(path: Path) -> _Page:
    return _Page(path.read_text(encoding="utf-8"))


def _is_outside(address: str) -> bool:
    return bool(urlsplit(address.strip()).netloc)


def outside_loads(folder: Path) -> Iterator[str]:
    """Yield what pages, styles and scripts under a folder would load from another host."""
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".html", ".css", ".js", ".svg"):
            continue
        text = path.read_text(encoding="utf-8")
        found = [] if path.suffix == ".js" else _STYLE_LOADS.findall(text)
        if path.suffix != ".css":
            found += _SCRIPT_LOADS.findall(text)
        if path.suffix in (".html", ".svg"):
            found += filter(_is_outside, _page(path).loads)
        yield from (f"{path.relative_to(folder)}: loads {address}" for address in found)


def lost_links(folder: Path) -> Iterator[str]:
    """Yield the links of pages under a folder whose file or anchor is not there; other hosts are not asked."""
    for path in sorted(folder.rglob("*.html")):
        for link in _page(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path if not parts.path else path.parent / unquote(parts.path)
            anchor = unquote(parts.fragment)
            if not target.is_file():
                yield f"{path.relative_to(folder)}: {link}: no such file"
            elif anchor and target.suffix == ".html" and anchor not in _page(target).anchors:
                yield f"{path.relative_to(folder)}: {link}: no such anchor"


def _order(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def write_versions(out: Path) -> None:
    """Write the page that lists the versions in a folder, the newest first."""
    there = (path.parent.name for path in out.glob("*/objects.inv"))
    lines = [
        f'<li><a href="{html.escape(name)}/index.html">{html.escape(name)}</a></li>'
        for name in sorted(there, key=_order, reverse=True)
    ]
    page = [
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>rtface: versions</title>',
        "<h1>rtface</h1>\n<p>The pages of each version, the newest first:</p>\n<ul>",
        *lines,
        "</ul>\n</html>\n",
    ]
    (out / "index.html").write_text("\n".join(page), encoding="utf-8")


def build(out: Path) -> list[str]:
    """Build the site of this version into ``out/VERSION`` and renew the list of versions.

    Parameters
    ----------
    out : Path
        Made if it is not there; other versions in it stay.

    Returns
    -------
    list of str
        What is wrong with the pages that were built, one line each.

    Raises
    ------
    subprocess.CalledProcessError
        The builder warned or failed; it has said why.
    """
    pages = out / rtface.__version__
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as trees:
        command = ["-W", "--keep-going", "-q", "-b", "html", "-d", trees, "-c", SETTINGS, REPOSITORY, pages]
        subprocess.run([sys.executable, "-m", "sphinx", *map(str, command)], check=True)
    write_versions(out)
    return [*outside_loads(pages), *lost_links(out)]


def main() -> int:
    """Build the site."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="folder of the site")
    out = parser.parse_args().out
    try:
        faults = build(out)
    except subprocess.CalledProcessError as error:
        print(
            "the site was not built: see the builder's lines above (pip install '.[docs]')", file=sys.stderr
        )
        return error.returncode
    print("\n".join(faults) or f"{out / 'index.html'}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())

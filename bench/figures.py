"""Write the figures of the pages from the results, or check that the pages hold what the results give.

    python -m bench.figures            # write
    python -m bench.figures --check    # exit code 1 and the difference where a page says something else

A page holds a block between `<!-- figures: NAME -->` and `<!-- end figures -->`. The words of the blocks are in
`figures.template.md`, between the same markers; each number in them is a place:

    {{ latency: stages/network/p99_ms | .2f }}    a value of results/latency.json, and its format
    {{ latency.json }}, {{ latency.png }}         a link to the result, to its plot

Formats are Python's, and those of `FORMATS`. What has to be computed from several values is in `derived`.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "bench" / "results"
TEMPLATE = REPOSITORY / "bench" / "figures.template.md"
PAGES = (
    "README.md",
    "bench/README.md",
    "docs/bridges.md",
    "docs/closed-loop.md",
    "docs/rigs.md",
    "docs/screen.md",
    "engines/README.md",
)
"""Pages with blocks, from the repository's root."""

BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n)(.*?)(<!-- end figures -->)", re.DOTALL)
PLACE = re.compile(r"\{\{ ([\w-]+)(?:\.(json|png)|: ([^|}]+?)(?: \| ([^}]+?))?) \}\}")


def _machine(facts: Mapping[str, Any]) -> str:
    processor = facts["processor"].replace("(R)", "").removesuffix(" Processor")
    return f"{facts['cores']} cores of an {processor}"


FORMATS: Mapping[str, Callable[[Any], str]] = {
    "machine": _machine,
    "day": lambda date: str(date)[:10],
    "all of": lambda values: " and ".join(f"{value:g}" for value in values),
    "us as ms, .2f": lambda value: f"{value / 1000:.2f}",
    "s as min": lambda value: f"{value / 60:g}",
    "sum": lambda values: f"{sum(values.values() if isinstance(values, dict) else values):g}",
    "mean .1f": lambda values: f"{sum(values) / len(values):.1f}",
    "same": lambda same: "the same, bit for bit" if same else "NOT the same",
    "goal at most 0.5": lambda value: "met" if value <= 0.5 else "missed",
    "goal at least 2": lambda value: "met" if value >= 2 else "missed",
}


@cache
def result(name: str) -> Any:
    """Return one result as plain values."""
    if name == "derived":
        return derived()
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def derived() -> dict[str, float]:
    """Return what is computed from several values of the results."""
    encoder = result("encoder_causal")
    explained = {each["family"]: each["variance_explained"][0] for each in encoder["networks"]}
    film = encoder["regressions"]["reduced rank, motion energy"]
    parity = result("parity_facemap")["cases"]
    return {
        "causal": explained["causal"],
        "facemap causal": explained["Facemap's, causal"],
        "facemap half future": explained["Facemap's, half of it future"],
        "causal of ceiling": explained["causal"] / encoder["ceiling"],
        "causal over film": explained["causal"] / film,
        "parity cases": len(parity),
        "parity median px": max(case["median_px"] for case in parity),
        "parity worst px": max(case["max_px"] for case in parity),
    }


def value(name: str, path: str) -> Any:
    """Return the value at a path of keys (of a list: its index) in a result."""
    found = result(name)
    for key in path.split("/"):
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"{TEMPLATE.name}: {name}.json has no {path!r}, at {key!r}") from error
    return found


def filled(text: str, page: Path) -> str:
    """Return a block's template with each place filled; links are relative to the page's folder."""

    def place(found: re.Match[str]) -> str:
        name, ending, path, style = found.groups()
        if ending:
            target = RESULTS / f"{name}.{ending}"
            if not target.is_file():
                raise ValueError(f"{TEMPLATE.name}: there is no {target.name}")
            shown = "plot" if ending == "png" else f"`{target.name}`"
            return f"[{shown}]({Path(os.path.relpath(target, page)).as_posix()})"
        filling = value(name, path)
        return FORMATS[style](filling) if style in FORMATS else format(filling, style or "")

    text = PLACE.sub(place, text)
    if "{{" in text:
        raise ValueError(f"{TEMPLATE.name}: not understood: {text[text.index('{{') :][:60]!r}")
    return text


def rendered(text: str, page: Path, templates: Mapping[str, str]) -> str:
    """Return a page's text with each of its blocks as the results give it.

    Parameters
    ----------
    text : str
    page : Path
        The folder of the page.
    templates : mapping
        The template of each block by its name.
    """
    if text.count("<!-- figures: ") != len(BLOCK.findall(text)):
        raise ValueError(f"{page}: a marker <!-- figures: NAME --> without its <!-- end figures -->")

    def block(found: re.Match[str]) -> str:
        if found[2] not in templates:
            raise ValueError(f"{page}: no block is called {found[2]!r}: there are {', '.join(templates)}")
        return f"{found[1]}{filled(templates[found[2]], page)}{found[4]}"

    return BLOCK.sub(block, text)


def main() -> int:
    """Write or check all pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is stale")
    check = parser.parse_args().check
    templates = {name: words for _, name, words, _ in BLOCK.findall(TEMPLATE.read_text(encoding="utf-8"))}
    stale, shown = False, set()
    for page in (REPOSITORY / name for name in PAGES):
        old = page.read_text(encoding="utf-8")
        new = rendered(old, page.parent, templates)
        shown |= {found[1] for found in BLOCK.findall(old)}
        if new == old:
            continue
        stale = True
        lines = old.splitlines(keepends=True), new.splitlines(keepends=True)
        print("".join(difflib.unified_diff(*lines, str(page), "from the results")))
        if not check:
            page.write_text(new, encoding="utf-8")
    if left := set(templates) - shown:
        print(f"blocks on no page: {', '.join(sorted(left))}")
    elif stale and check:
        print("stale: run python -m bench.figures and commit the pages with the results")
    return int(bool(left) or (stale and check))


if __name__ == "__main__":
    sys.exit(main())

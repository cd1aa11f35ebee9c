"""CITATION.cff and the paper: of the same version, licence and works, and no figure that is not a result."""

from __future__ import annotations

import re
import tomllib

import yaml
from support.paths import REPOSITORY

from bench.figures import BLOCK
from tools.release import versions

PAPER = (REPOSITORY / "paper" / "paper.md").read_text(encoding="utf-8")
WORKS = (REPOSITORY / "paper" / "paper.bib").read_text(encoding="utf-8")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_licence() -> None:
    assert len(set(versions().values())) == 1
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["authors"] == PROJECT["authors"]
    assert {each["doi"] for each in CITATION["references"]} <= set(re.findall(r"doi = \{(.+?)\}", WORKS))


def test_each_work_that_the_paper_cites_is_listed_and_the_other_way_round() -> None:
    cited = set(re.findall(r"@(\w+)", PAPER.split("---", 2)[2]))
    assert cited == set(re.findall(r"^@\w+\{(\w+),", WORKS, re.MULTILINE))


def test_the_paper_has_no_figure_outside_what_the_results_fill_in() -> None:
    assert len(BLOCK.findall(PAPER)) == 1
    words = BLOCK.sub("", PAPER.split("---", 2)[2])
    assert re.findall(r".*\d.*", words) == []

"""What the default install does without what the extras lab, nwb and sleap bring, in a process that cannot import it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.recorded_loop import record_loop

from rtface.record import formats

PROCESS = """
import json, sys

EXTRAS = ("matplotlib", "pandas", "tables", "pynwb", "hdmf", "ndx_pose", "ndx_optogenetics", "pyarrow", "sleap_io")

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from typer.testing import CliRunner
from rtface.cli.app import app
from rtface.core.errors import RtfaceError

for arguments in json.load(sys.stdin):
    result = CliRunner().invoke(app, arguments)
    code, text = result.exit_code, result.output
    if isinstance(result.exception, RtfaceError):
        code, text = result.exception.exit_code, str(result.exception)
    print(json.dumps([code, text]), flush=True)
"""

INSTALL = "not installed: pip install '.[lab]'"
RULES = """\
features: {nose: {kind: position, point: nose(tip)}}
rules: {a: {when: nose.x > 1, refractory_ms: 100, pulse: {width_ms: 2}}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    images = folder / "images"
    images.mkdir()
    for number in range(12):
        image = np.random.default_rng(number).integers(0, 255, (64, 64), np.uint8)
        cv2.imwrite(str(images / f"{number}.png"), image)
    (folder / "rules.yaml").write_text(RULES)
    record_loop(folder / "sessions", 100)
    return folder


def ran(place: Path, *commands: str) -> dict[str, tuple[int, str]]:
    """Run commands, one after the other in one process; return each one's exit code and what it printed."""
    (session,) = (place / "sessions").iterdir()
    arguments = [command.replace("SESSION", str(session)).split() for command in commands]
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        input=json.dumps(arguments),
        cwd=place,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(found) == len(commands), done.stderr
    return {command: (code, text) for command, (code, text) in zip(commands, found, strict=True)}


def test_all_but_pictures_and_deeplabcuts_h5_works(test_engine: str, place: Path) -> None:
    small = f"--engine {test_engine} --width 96 --height 80"
    done = ran(
        place,
        f"demo --seconds 0.5 {small}",
        f"track images --engine {test_engine} --out a.csv",
        f"track images --engine {test_engine} --out a.rtface.h5",
        f"track images --engine {test_engine} --out a_FacemapPose.h5",
        "session export SESSION --out csv --format deeplabcut-csv",
        "session export SESSION --out csv --slp",
        "rules dry-run rules.yaml a.csv --rate 100",
        f"bench throughput --frames 20 {small}",
    )
    assert {command: code for command, (code, _) in done.items()} == dict.fromkeys(done, 0), done
    assert len(formats.read(place / "a.csv")) == 12
    assert len(formats.read(place / "csv" / "poses.csv")) == 100
    assert (place / "throughput.json").exists()
    assert not (place / "throughput.png").exists()
    *_, (_, text) = done.values()
    assert INSTALL in text


def test_what_needs_them_says_so_before_the_work(test_engine: str, place: Path) -> None:
    done = ran(
        place,
        f"track images --engine {test_engine} --out b.h5",
        f"track images --engine {test_engine} --out b --format deeplabcut-h5",
        "session export SESSION --out h5 --format deeplabcut-h5",
        f"rules dry-run rules.yaml images --engine {test_engine} --out b.png",
        f"learn suggest images --engine {test_engine} --out b --guesses",
        "session export SESSION --out h5 --nwb",
        "session export SESSION --out h5 --parquet",
    )
    for command, (code, text) in done.items():
        assert code == 8, (command, text)
        other = command.endswith(("--nwb", "--parquet"))
        assert (INSTALL.replace("lab", "nwb") if other else INSTALL) in text, command
    assert not [each for folder in ("b", "h5") for each in (place / folder).iterdir()]
    assert not list(place.glob("b.*"))

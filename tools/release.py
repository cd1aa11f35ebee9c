"""Builds the release: ``python -m tools.release OUT``, with what the extra ``release`` names. Nothing is uploaded.

Wheel and sdist of rtface and of rtface-client, of the committed state and dated by it, each built twice in different
folders: they must be equal byte for byte. twine must find their descriptions in order, the version must be the same
wherever it stands, and no wheel may reach `LARGEST_WHEEL`.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import rtface
from tools.client import client_tree
from tools.tree import REPOSITORY, committed_at, copied, git, packed

LARGEST_WHEEL = 12_500_000
"""Bytes: of this size a wheel is refused. The goal of 10 MB is missed: float engines hold their weights as ONNX and for torch."""


def versions() -> dict[str, str]:
    """Return the version that each file names."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    cited = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    return {
        "rtface/__init__.py": rtface.__version__,
        "pyproject.toml": project["project"]["version"],
        "CITATION.cff": cited[1] if cited else "none",
    }


def twice(make: Callable[[Path], Path], epoch: int, out: Path) -> Iterator[str]:
    """Build the packages of a tree twice, keep them in a folder, and yield what is wrong with them.

    Parameters
    ----------
    make : callable
        Writes the tree to be packed into a new folder that it is given, and returns it.
    epoch : int
        As of `packed`.
    out : Path
    """
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory(prefix="another-") as other:
        first, second = (packed(make(Path(folder) / "tree"), epoch) for folder in (one, other))
        if [path.name for path in first] != [path.name for path in second]:
            yield f"two builds gave {[path.name for path in first]} and {[path.name for path in second]}"
            return
        for path, again in zip(first, second, strict=True):
            if path.read_bytes() != again.read_bytes():
                yield f"{path.name}: two builds differ"
            if path.suffix == ".whl" and path.stat().st_size >= LARGEST_WHEEL:
                yield f"{path.name}: {path.stat().st_size} bytes; a wheel must be smaller than {LARGEST_WHEEL}"
            shutil.copyfile(path, out / path.name)


def faults(out: Path) -> Iterator[str]:
    """Build all packages into a folder and yield what is wrong with them."""
    epoch = committed_at()
    for make in (copied, client_tree):
        yield from twice(make, epoch, out)
    packages = [str(path) for path in sorted(out.iterdir())]
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if checked.returncode:
        yield f"twine check: {checked.stdout}{checked.stderr}"


def main() -> int:
    """Build the release."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="new folder for the packages")
    parser.add_argument(
        "--uncommitted", action="store_true", help="take files that are not committed: for a try"
    )
    asked = parser.parse_args()
    if len(set(versions().values())) > 1:
        print(f"the version is not the same everywhere: {versions()}")
        return 1
    if not asked.uncommitted and (changed := git("status", "--porcelain")):
        print(f"not committed, so no release can be made of it:\n{changed}", end="")
        return 1
    asked.out.mkdir(parents=True)
    wrong = list(faults(asked.out))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    for path in sorted(asked.out.iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size} bytes")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

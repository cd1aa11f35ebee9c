"""The package rtface-client: of rtface's modules those that `rtface.Client` needs, and nothing else.

Which these are is read from the imports each time that it is built, so there is no list to keep. The modules are the
files of rtface unchanged, under the same names: ``import rtface; rtface.Client()`` is the same with either package.
"""

from __future__ import annotations

import ast
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tools.tree import REPOSITORY

NEEDED = ("msgpack", "numpy", "pyzmq")
"""Packages that a client needs, of those that rtface needs."""

_IMPORTED_AS = {"pyzmq": "zmq"}

_README = """# rtface-client

Receives the keypoints of a mouse's face from a running rtface service, and commands it.
It needs numpy, pyzmq and msgpack. It has no camera, network or command line; the service is the package rtface.

```python
import rtface

with rtface.Client("tcp://rig:5570", "tcp://rig:5571", keys="bonsai") as client:
    client.hello()
    for keypoints in client:
        print(dict(zip(client.names, keypoints.xy)))
```

It is built from rtface's source and holds modules of the same names: install one of the two in an environment, not both.
"""


def _file(module: str) -> Path | None:
    path = REPOSITORY.joinpath(*module.split("."))
    found = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return found if found.is_file() else None


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules, and the names in them, that code imports when it runs."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (each.name for each in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield child.module
            yield from (f"{child.module}.{each.name}" for each in child.names)
        yield from _imported(child)


def client_modules() -> dict[str, Path]:
    """Return the modules of rtface that `rtface.client` imports, directly or not, with their files.

    Raises
    ------
    ImportError
        One of them imports a package that a client must not need.
    """
    allowed = {"rtface", *(_IMPORTED_AS.get(name, name) for name in NEEDED), *sys.stdlib_module_names}
    found: dict[str, Path] = {}
    waiting = ["rtface.client"]
    while waiting:
        module = waiting.pop()
        path = _file(module)
        if module in found or path is None:
            continue
        found[module] = path
        if "." in module:
            waiting.append(module.rsplit(".", 1)[0])
        for name in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            if name.split(".")[0] not in allowed:
                raise ImportError(f"{path}: a client must not need {name}")
            if name.startswith("rtface."):
                waiting.append(name)
    return found


def client_tree(to: Path) -> Path:
    """Write the source of rtface-client into a new folder, and return it."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [line for line in project["dependencies"] if line.split(">")[0] in NEEDED]
    files = [path.relative_to(REPOSITORY) for path in client_modules().values()]
    for name in (*files, Path("rtface/py.typed"), Path("LICENSE")):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, to / name)
    (to / "README.md").write_text(_README, encoding="utf-8")
    settings = [
        '[build-system]\nrequires = ["hatchling>=1.25"]\nbuild-backend = "hatchling.build"\n',
        '[project]\nname = "rtface-client"',
        f'version = "{project["version"]}"',
        'description = "Receives keypoints of the mouse face from a running rtface, and commands it"',
        'readme = "README.md"',
        f'license = "{project["license"]}"',
        'license-files = ["LICENSE"]',
        f'requires-python = "{project["requires-python"]}"',
        'authors = [{ name = "The rtface developers" }]',
        f"dependencies = {wanted}\n",
        '[tool.hatch.build.targets.wheel]\npackages = ["rtface"]\n',
    ]
    (to / "pyproject.toml").write_text("\n".join(settings), encoding="utf-8")
    return to

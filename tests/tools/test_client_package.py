"""rtface-client: installed alone, with numpy, pyzmq and msgpack and nothing else, it receives from a service."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.paths import REPOSITORY
from support.waits import LONG_S

from rtface.config import PublishSettings, Rig, SimulatedCameraSettings
from rtface.live.service import Service
from tools import client
from tools.tree import packed

PROGRAM = """
import json, sys
import rtface
keypoints, control = sys.argv[1:]
with rtface.Client(keypoints, control, timeout_s=60) as client:
    session = client.hello().session
    got = [each for _, each in zip(range(20), client)]
    client.stop("alone")
print(json.dumps({
    "file": rtface.__file__, "version": rtface.__version__, "session": session, "names": client.names,
    "frames": [each.frame_id for each in got], "ages": [each.age_ns for each in got], "shape": got[0].xy.shape,
    "loaded": sorted({name.split(".")[0] for name in sys.modules}),
}))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the package and what it names, and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    site = Path(where.stdout.strip())
    for name in ("numpy", "zmq", "msgpack"):
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        package = Path(found.origin).parent
        for part in (package, package.with_name(f"{package.name}.libs"), package.with_name("pyzmq.libs")):
            if part.exists() and not (site / part.name).exists():
                (site / part.name).symlink_to(part)
    wheel = packed(client.client_tree(folder / "tree"), 1_700_000_000)[0]
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
    ]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python


@pytest.mark.timeout(600)
def test_it_receives_from_a_service_without_the_service_s_packages(alone: Path, test_engine: str) -> None:
    free = "tcp://127.0.0.1:*"
    rig = Rig.model_validate(
        {
            "camera": SimulatedCameraSettings(width=96, height=80, rate_hz=50),
            "engine": test_engine,
            "publish": PublishSettings(keypoints=free, control=free),
        }
    )
    with Service(rig) as service:
        command = [alone, "-I", "-c", PROGRAM, service.keypoints_address, service.control_address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10 * LONG_S, check=False)
        session = service.session
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["session"] == session
    assert said["shape"] == [15, 2]
    assert len(said["names"]) == 15
    assert sorted(set(said["frames"])) == said["frames"]
    assert min(said["ages"]) > 0
    assert str(alone.parent.parent) in said["file"]
    assert not {"pydantic", "yaml", "cv2", "openvino", "av", "h5py", "typer", "rich"} & set(said["loaded"])


def test_what_else_of_rtface_is_not_there(alone: Path) -> None:
    program = "import rtface, importlib.util as i; print([n for n in ('cli', 'live', 'track') if i.find_spec('rtface.' + n)])"
    done = subprocess.run([alone, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_each_module_is_rtface_s_own(tmp_path: Path) -> None:
    tree = client.client_tree(tmp_path / "tree")
    there = {path.relative_to(tree) for path in tree.rglob("*.py")}
    assert {Path("rtface/client.py"), Path("rtface/publish/wire.py"), Path("rtface/core/errors.py")} <= there
    assert len(there) < 50
    for path in there:
        assert (tree / path).read_bytes() == (REPOSITORY / path).read_bytes()
    settings = (tree / "pyproject.toml").read_text(encoding="utf-8")
    assert "['msgpack>=1.0.7', 'numpy>=1.26', 'pyzmq>=26']" in settings


def test_a_module_that_needs_more_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rtface").mkdir()
    (tmp_path / "rtface" / "__init__.py").touch()
    (tmp_path / "rtface" / "client.py").write_text("import rtface.more\n", encoding="utf-8")
    (tmp_path / "rtface" / "more.py").write_text("def late():\n    import cv2\n", encoding="utf-8")
    monkeypatch.setattr(client, "REPOSITORY", tmp_path)
    with pytest.raises(ImportError, match=r"more\.py: a client must not need cv2"):
        client.client_modules()
